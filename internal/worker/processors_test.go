package worker

import (
	"runtime"
	"testing"

	"github.com/droverdata/drover/internal/calls"
)

func TestAProcessorIsIdleWhileDuckDBsThreadsWorkAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	undo := keepIdle(1)
	if n := runtime.GOMAXPROCS(0); n != 2 {
		t.Errorf("%d processors for one thread", n)
	}
	if err := undo(); err != nil || runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("%d processors are left: %v", runtime.GOMAXPROCS(0), err)
	}
	runtime.GOMAXPROCS(4)
	undo = keepIdle(2)
	if n := runtime.GOMAXPROCS(0); n != 4 {
		t.Errorf("%d processors of 4 for two threads", n)
	}
	if err := undo(); err != nil {
		t.Error(err)
	}
}

// ends are a source and a sink whose rows DuckDB reads and writes.
type ends struct {
	reader
	writer
}

func (ends) Native() {}

func TestAStageIsNativeWhereBothItsEndsAre(t *testing.T) {
	type beside struct {
		reader
		writer
	}
	for name, tc := range map[string]struct {
		stage stage
		want  bool
	}{
		"both":            {stage{source: ends{}, sink: ends{}}, true},
		"the source only": {stage{source: ends{}, sink: beside{}}, false},
		"the sink only":   {stage{source: beside{}, sink: ends{}}, false},
		"functions":       {stage{source: ends{}, sink: ends{}, calls: &calls.Runner{}}, false},
	} {
		if got := tc.stage.native(); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
