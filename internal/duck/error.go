package duck

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	db "github.com/duckdb/duckdb-go-bindings"
)

// caret finds where DuckDB points in a message: "LINE 2: ...text" and, below, spaces and a caret.
var caret = regexp.MustCompile(`(?s)\n+LINE (\d+): (.*?)\n( *)\^\s*$`)

// newError turns DuckDB's message into an Error of kind, or of a better kind where the type says so. Code is DuckDB's own
// name of the error, Offset the byte in sql that its caret points at.
func newError(kind drover.Kind, typ db.ErrorType, msg, sql string) *drover.Error {
	e := &drover.Error{Kind: kind, Message: msg}
	if m := caret.FindStringSubmatchIndex(msg); m != nil {
		if sql != "" {
			line, _ := strconv.Atoi(msg[m[2]:m[3]])
			e.Offset = caretOffset(sql, line, msg[m[4]:m[5]], m[7]-m[6]-len("LINE : ")-(m[3]-m[2]))
		}
		e.Message = msg[:m[0]]
	}
	e.Message = strings.TrimSpace(e.Message)
	if name, rest, ok := strings.Cut(e.Message, ": "); ok && strings.HasSuffix(name, "Error") {
		e.Code, e.Message = name, rest
	}
	if typ == db.ErrorTypeOutOfMemory || e.Code == "Out of Memory Error" {
		e.Kind = drover.Overrun
		// What DuckDB suggests are settings of its own, which a job cannot set.
		e.Message, _, _ = strings.Cut(e.Message, "\n\nPossible solutions")
		e.Hint = "give more --memory, fewer --workers, or smaller chunks"
	}
	return e
}

// spilled makes an error of the machine's of one that says that a file in the session's scratch directory cannot be written. DuckDB has one type for all
// troubles with files.
func (s *Session) spilled(err error) error {
	var e *drover.Error
	if s.temp == "" || !errors.As(err, &e) || e.Code != "IO Error" || !strings.Contains(e.Message, s.temp) {
		return err
	}
	return (&drover.Error{Kind: drover.Disk, Code: e.Code, Message: "the disk of " + s.temp + ", where DuckDB keeps what does not fit into memory, is full or fails: " + e.Message}).
		WithHint("make room there, or give more --memory; the same command goes on where this one stopped")
}

// caretOffset returns the 1-based offset in sql of column col (from 0) of the excerpt that DuckDB printed of a line, or 0. Long lines are
// printed cut, with "..." on the cut sides.
func caretOffset(sql string, line int, excerpt string, col int) int {
	start := 0
	for range line - 1 {
		start += strings.IndexByte(sql[start:], '\n') + 1
	}
	text := excerpt
	if strings.HasPrefix(text, "...") {
		text, col = text[3:], col-3
	}
	text = strings.TrimSuffix(text, "...")
	at := strings.Index(sql[start:], text)
	if at < 0 || col < 0 || col > len(text) {
		return 0
	}
	return start + at + col + 1
}
