package files

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/storage"
)

// dialect is how the CSV files of a source are written: as RFC 4180 says, with one of a few delimiters. Nothing of it is guessed from the
// rows, as a guess that goes wrong loses some.
type dialect struct {
	Delimiter string `json:"delimiter"`
	Header    bool   `json:"header"`
	// QuotedNulls says that "" is NULL, as in files that quote every field; otherwise it is the empty text.
	QuotedNulls bool `json:"quoted_nulls,omitempty"`
}

// options returns the dialect as arguments of DuckDB's CSV functions. Rows with another number of fields than the header are errors.
func (d dialect) options() string {
	return fmt.Sprintf(`auto_detect=false, delim=%s, quote='"', escape='"', comment='', header=%t, allow_quoted_nulls=%t, strict_mode=true, null_padding=false, ignore_errors=false`,
		duck.Literal(d.Delimiter), d.Header, d.QuotedNulls)
}

// Reading implements connector.Describer: how the CSV files are taken to be written.
func (s *source) Reading() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil || s.found.Dialect == nil {
		return ""
	}
	d := s.found.Dialect
	names := "no line of names"
	if d.Header {
		names = "names in the first line"
	}
	nulls := `"" is the empty text`
	if d.QuotedNulls {
		nulls = `"" is NULL`
	}
	return fmt.Sprintf(`csv: delimiter %q, quote '"', %s, an empty field is NULL, %s`, d.Delimiter, names, nulls)
}

// delimiters are the ones that are looked for in a file's first line.
const delimiters = ",\t;|"

// headBytes bounds a file's first line.
const headBytes = 1 << 20

// csvHead returns the delimiter and the columns' names that a file's first line tells, all of them VARCHAR. said is the delimiter of the other
// files, or empty. A line without any delimiter is one column. Names that are empty, and all names where the line is
// data, are column0, column1 and so on.
func csvHead(ctx context.Context, store storage.Store, path, said string, header bool) (string, shape, error) {
	line, err := firstLine(ctx, store, path)
	if err != nil {
		return "", nil, drover.Errorf(drover.Refused, "%s is not readable as CSV: %w", path, err)
	}
	if header && bytes.HasPrefix(line, []byte("sep=")) {
		return "", nil, drover.Errorf(drover.Refused, "the first line of %s tells Excel its delimiter, and is no line of names", path).WithHint("remove that line")
	}
	delimiter := delimiterOf(line)
	switch {
	case strings.Contains(strings.ToLower(path), ".tsv"):
		delimiter = "\t"
	case delimiter == "" && said != "":
		delimiter = said
	case delimiter == "":
		delimiter = ","
	}
	in := csv.NewReader(bytes.NewReader(line))
	in.Comma, in.FieldsPerRecord = rune(delimiter[0]), -1
	if bytes.HasPrefix(line, []byte("\n")) || bytes.HasPrefix(line, []byte("\r\n")) {
		return "", nil, drover.Errorf(drover.Refused, "the first line of %s is empty", path).WithHint("remove the empty lines: the first line holds the columns' names")
	}
	names, err := in.Read()
	if err != nil {
		return "", nil, drover.Errorf(drover.Refused, "the first line of %s is no line of CSV: %w", path, err).
			WithHint("the first line holds the columns' names, quoted with \" where they need it")
	}
	// DuckDB takes the first break that it meets for the end of all lines, be it inside a name: where the lines end otherwise it skips every row.
	if head := line[:in.InputOffset()]; header && bytes.Contains(head, []byte("\r\n")) && bytes.Count(head, []byte("\n")) > bytes.Count(head, []byte("\r\n")) {
		name := names[slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, "\n") })]
		return "", nil, drover.Errorf(drover.Refused, "the column %q of %s has a line break in its name that is not the one at the end of the lines", name, path).
			WithHint("rename the column in the file, or write both line breaks alike")
	}
	var sh shape
	for i, name := range names {
		if strings.Contains(name, "\r") {
			return "", nil, drover.Errorf(drover.Refused, "the lines of %s end in a carriage return alone", path).WithHint("rewrite it with line feeds")
		}
		if !header || name == "" {
			name = fmt.Sprintf("column%d", i)
		}
		if drover.Schema(sh).Index(name) >= 0 {
			return "", nil, drover.Errorf(drover.Refused, "%s has two columns that differ at most in case: %q", path, name).
				WithHint("rename one of them in the file; of a file without a line of names, write no_header: true")
		}
		sh = append(sh, drover.Column{Name: name, Type: "VARCHAR"})
	}
	return delimiter, sh, nil
}

// delimiterOf returns the delimiter that the first line has most of outside quotes, or "".
func delimiterOf(line []byte) string {
	counts := map[rune]int{}
	quoted := false
	for _, r := range string(line) {
		if r == '"' {
			quoted = !quoted
		}
		if r == '\n' && !quoted {
			break
		}
		if !quoted {
			counts[r]++
		}
	}
	best := ""
	for _, d := range delimiters {
		if counts[d] > 0 && (best == "" || counts[d] > counts[rune(best[0])]) {
			best = string(d)
		}
	}
	return best
}

// firstLine returns the beginning of a text file.
func firstLine(ctx context.Context, store storage.Store, path string) (_ []byte, err error) {
	in, err := openText(ctx, store, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return io.ReadAll(io.LimitReader(in, headBytes))
}

// sampleAll is the size of a CSV file, in bytes, up to which every row is looked at; of larger files, sampleRows rows.
const (
	sampleAll  = 64 << 20
	sampleRows = 204800
)

// csvError says of a CSV file which line is wrong and how, without the reader's own options, which a job has not.
func csvError(path string, err error) error {
	message := err.Error()
	message, _, _ = strings.Cut(message, "Possible fixes")
	message, _, _ = strings.Cut(message, "Possible solutions")
	message, _, _ = strings.Cut(message, "Possible Solution")
	message = strings.Join(strings.Fields(message), " ")
	if cut := 400; len(message) > cut {
		message = strings.ToValidUTF8(message[:cut/2], "") + " ... " + strings.ToValidUTF8(message[len(message)-cut/2:], "") // what is wrong is said at the end
	}
	return &drover.Error{
		Kind: drover.Refused, Message: path + " is not readable as CSV: " + message,
		Hint: "every line needs as many fields as the first, and fields with a delimiter, a quote or a line break are quoted with \"; all lines end alike, in \\n or \\r\\n, and are UTF-8; correct the file",
	}
}
