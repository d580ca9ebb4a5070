package memory

import (
	"runtime"
	"testing"
)

// Between two readings of Pss a watch goes by the resident set, and must not lose sight of what grows.
func TestAWatchFollowsWhatGrows(t *testing.T) {
	w := StartWatch(0, nil, nil)
	defer w.Stop()
	var blocks [][]byte
	for range 12 {
		block := make([]byte, 8<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		blocks = append(blocks, block)
		if got, used := w.Recent(), Used(); got < used*9/10 || got > used*11/10 {
			t.Errorf("the watch says %d KiB of %d", got>>10, used>>10)
		}
	}
	runtime.KeepAlive(blocks)
}
