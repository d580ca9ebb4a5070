package cli

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// narrowest is the terminal on which a bar makes sense, in columns.
const narrowest = 60

// keepWritingToClosedPipes makes a write to a closed standard stream an error instead of the end of the process: `drover run | head`
// must not kill a run. A handler, unlike SIG_IGN, is not inherited by workers.
func keepWritingToClosedPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// isTerminal says whether w is a terminal that can redraw a line.
func (a *app) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || a.getenv("TERM") == "dumb" {
		return false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil && size.Col >= narrowest
}

// resultWriter remembers that a result could not be written. A reader that went away (`drover status | head`) is no failure.
type resultWriter struct {
	io.Writer
	err error
}

func (w *resultWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil && !errors.Is(err, syscall.EPIPE) && w.err == nil {
		w.err = err
	}
	return n, err
}
