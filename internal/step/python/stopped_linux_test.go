package python

import (
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
)

// TestAStoppedProcessIsReplaced: something has stopped it by a signal, and nobody may ever let it go on.
func TestAStoppedProcessIsReplaced(t *testing.T) {
	c, _ := start(t, `import os, signal
def clean(df):
    if not os.path.exists("stopped"):
        open("stopped", "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    return df
`, func(o *Options) {
		withPeople(o)
		o.StopTimeout = 100 * time.Millisecond
	})
	_, err := call(t, c, "a", rowsOf(t, people, ada))
	if drover.KindOf(err) != drover.Lost || !strings.Contains(err.Error(), "clean.py:clean: the Python process was stopped by a signal, and was ended") {
		t.Errorf("got %v", err)
	}
	if got, err := call(t, c, "a", rowsOf(t, people, ada)); err != nil || !strings.Contains(got, "Ada") {
		t.Errorf("got %s, %v", got, err)
	}
}
