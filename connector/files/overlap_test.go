package files

import (
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

func TestASinkThatWouldReadOrRemoveItsSourceIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/in/a.csv", "x\n1\n")
	for _, c := range []struct {
		source string
		sink   *Sink
		refuse bool
	}{
		{dir + "/in", Out(dir + "/in").Overwrite(), true},
		{dir + "/in", Out(dir + "/in/out").Append(), true},
		{dir + "/in", Out(dir).Overwrite(), true},
		{dir + "/in/a.csv", Out(dir + "/in").PartitionBy("x").OverwritePartitions(), true},
		{dir + "/in/*.csv", Out(dir + "/in").Overwrite(), true},
		{dir + "/in/a.csv", Out(dir + "/in").Append(), false},
		{dir + "/in/*.csv", Out(dir + "/in/out").Append(), false},
		{dir + "/in", Out(dir).Append(), false},
		{dir + "/in", Out(dir + "/inner").Overwrite(), false},
		{dir + "/in", Out(dir + "/out").Overwrite(), false},
	} {
		src, err := openSource(t.Context(), In(c.source), connector.Env{})
		if err != nil {
			t.Fatal(err)
		}
		snk, err := openSink(c.sink, connector.Env{})
		if err != nil {
			t.Fatal(err)
		}
		err = snk.CheckSource(src)
		if refused := drover.KindOf(err) == drover.Invalid; refused != c.refuse {
			t.Errorf("%s -> %s: %v", c.source, c.sink, err)
		}
	}
}
