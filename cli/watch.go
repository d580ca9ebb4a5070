package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/machine"
	"github.com/droverdata/drover/internal/redact"
	"golang.org/x/sys/unix"
)

// How often --watch looks: in place, and where each look is a line that stays.
const (
	watchInPlace = time.Second
	watchLines   = 5 * time.Second
)

func machinesOf(ctx context.Context, l ledger.Ledger, r ledger.Run) ([]machineStatus, error) {
	machines, err := l.Machines(ctx, r.UID)
	if err != nil {
		return nil, fmt.Errorf("read the machines of run %s: %w", r.ID, err)
	}
	var out []machineStatus
	shown := map[string]int{}
	for _, m := range machines {
		d, ok := machine.ParseDriver(m.Driver)
		if !ok {
			d.Host = m.Driver
		}
		out = append(out, machineStatus{
			Driver: m.Driver, Host: d.Host, PID: d.PID, Workers: m.Workers, SeenAt: m.SeenAt.UTC(), SilentSeconds: m.Silent.Seconds(), name: d.Short(),
		})
		shown[d.Short()]++
	}
	for i, m := range out {
		if shown[m.name] > 1 || m.PID == 0 {
			out[i].name = m.Driver // two containers of one host name
		}
	}
	return out, nil
}

func (m machineStatus) text() string {
	return fmt.Sprintf("%s: %s, %s rows/s, heard of %s ago", m.name, human.Plural(int64(m.Workers), "worker"), human.Short(m.RowsPerSec),
		human.Span(time.Duration(m.SilentSeconds*float64(time.Second))))
}

// watchRun shows a run until it is over. An interrupt ends the process: there is nothing to clean up.
func (a *app) watchRun(ctx context.Context, l ledger.Ledger, job, id, ledgerFlag string) error {
	width, every := a.outWidth(), watchLines
	if width > 0 {
		every = watchInPlace
	}
	above := 0
	for {
		var look string
		s, err := statusNow(ctx, l, job, id)
		if err != nil {
			return err
		}
		job, id = "", s.UID // the newest one may be another by the next look
		switch text := cut(s.text(a.showErrorsWith(a.ledgerName(ledgerFlag, ""))), width); {
		case width > 0:
			// Up to the first line of the last look, and clear from there (ECMA-48: CPL, ED).
			if above > 0 {
				look = fmt.Sprintf("\x1b[%dF\x1b[J", above)
			}
			look += text
			above = strings.Count(text, "\n")
		default:
			look = redact.Passwords(s.line()) + "\n"
		}
		// Nobody needs the rest once the reader is gone; that something else went wrong, resultWriter tells.
		if n, _ := io.WriteString(a.out, look); n < len(look) || s.State.Over() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// outWidth is the number of columns of the terminal that results go to; 0 where it is none.
func (a *app) outWidth() int {
	w := a.out
	if r, ok := w.(*resultWriter); ok {
		w = r.Writer
	}
	if !a.isTerminal(w) {
		return 0
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// cut shortens each line to the terminal's width: a line that wraps would be two to go up.
func cut(text string, width int) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if runes := []rune(line); width > 0 && len(runes) >= width {
			lines[i] = string(runes[:width-1])
		}
	}
	return strings.Join(lines, "\n")
}

// line is a run in one line.
func (s runStatus) line() string {
	text := fmt.Sprintf("%s %s %s: %s, %s rows in, %s rows/s", time.Now().Format("15:04:05"), s.Run, s.State, chunksText(s.Chunks), human.Count(s.RowsIn),
		human.Short(s.RowsPerSec))
	if s.Merge != nil {
		text += ", merge of " + chunksText(s.Merge)
	}
	if len(s.Machines) > 0 {
		text += ", " + human.Plural(int64(len(s.Machines)), "machine")
	}
	if s.LeftSeconds > 0 {
		text += ", about " + human.Span(time.Duration(s.LeftSeconds*float64(time.Second))) + " left"
	}
	return text
}
