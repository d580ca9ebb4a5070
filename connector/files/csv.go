package files

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// dialect is how the CSV files of a source are written. It is sniffed once and then fixed.
type dialect struct {
	Delimiter string `json:"delimiter"`
	Quote     string `json:"quote"`
	Escape    string `json:"escape"`
	Comment   string `json:"comment,omitempty"`
	Skip      string `json:"skip,omitempty"`
	Header    bool   `json:"header"`
	Date      string `json:"date,omitempty"`
	Timestamp string `json:"timestamp,omitempty"`
	// QuotedNulls says that "" is NULL, as in files that quote every field; otherwise it is the empty text.
	QuotedNulls bool `json:"quoted_nulls,omitempty"`
}

// options returns the dialect as arguments of DuckDB's CSV functions.
func (d dialect) options() string {
	o := fmt.Sprintf("delim=%s, quote=%s, escape=%s, header=%t, allow_quoted_nulls=%t",
		duck.Literal(d.Delimiter), duck.Literal(d.Quote), duck.Literal(d.Escape), d.Header, d.QuotedNulls)
	if d.Comment != "" {
		o += ", comment=" + duck.Literal(d.Comment)
	}
	if d.Skip != "" {
		o += ", skip=" + d.Skip
	}
	if d.Date != "" {
		o += ", dateformat=" + duck.Literal(d.Date)
	}
	if d.Timestamp != "" {
		o += ", timestampformat=" + duck.Literal(d.Timestamp)
	}
	return o
}

// sampleAll is the size of a text file, in bytes, up to which every row is sniffed; of larger files, sampleRows rows.
const (
	sampleAll  = 64 << 20
	sampleRows = 204800
)

func sample(bytes int64) string {
	if bytes <= sampleAll {
		return "sample_size=-1"
	}
	return fmt.Sprintf("sample_size=%d", sampleRows)
}

// csvSniffed is what DuckDB makes of one file.
type csvSniffed struct {
	dialect
	columns shape
}

func sniff(ctx context.Context, s *duck.Session, path, options string) (csvSniffed, error) {
	var out csvSniffed
	call := "sniff_csv(" + duck.Literal(globEscape(path)) + ", " + options + ")"
	blank := func(c cell) string {
		if c.Null || c.Text == "(empty)" {
			return ""
		}
		return c.Text
	}
	err := texts(ctx, s, `SELECT Delimiter, Quote, Escape, Comment, SkipRows, HasHeader, DateFormat, TimestampFormat, c.name, c.type
		FROM (SELECT *, unnest(Columns) AS c FROM `+call+`)`, func(row []cell) error {
		out.dialect = dialect{
			Delimiter: blank(row[0]), Quote: blank(row[1]), Escape: blank(row[2]), Comment: blank(row[3]),
			Header: row[5].Text == "true", Date: blank(row[6]), Timestamp: blank(row[7]),
		}
		if row[4].Text != "0" {
			out.Skip = blank(row[4])
		}
		out.columns = append(out.columns, drover.Column{Name: row[8].Text, Type: row[9].Text})
		return nil
	})
	if err != nil {
		return out, drover.Errorf(drover.Refused, "%s is not readable as CSV: %w", path, err)
	}
	if out.Quote == "" {
		out.Quote = `"`
	}
	if out.Escape == "" {
		out.Escape = out.Quote
	}
	return out, nil
}

// sniffCSV returns one file's columns under the set's dialect, which the first file of a set decides. A column that no row of the file has a
// value in gets nullType: it says nothing about the set's.
func sniffCSV(ctx context.Context, s *duck.Session, path string, size int64, set *dialect) (csvSniffed, error) {
	options := sample(size)
	switch {
	case set != nil:
		options += ", " + set.options()
	case formatOf(path) == formatCSV && strings.Contains(strings.ToLower(path), ".tsv"):
		options += ", delim='\t'"
	}
	if set == nil {
		options += ", allow_quoted_nulls=false"
	}
	out, err := sniff(ctx, s, path, options)
	if err != nil {
		return out, err
	}
	if set != nil {
		out.dialect = *set
	} else if loose, err := sniff(ctx, s, path, strings.Replace(options, "allow_quoted_nulls=false", "allow_quoted_nulls=true", 1)); err != nil {
		return out, err
	} else if fewerTexts(loose.columns, out.columns) {
		out, out.QuotedNulls = loose, true
	}
	return out, checkSniffed(ctx, s, path, size, &out)
}

// fewerTexts reports whether a has fewer text columns than b.
func fewerTexts(a, b shape) bool {
	count := func(sh shape) (n int) {
		for _, c := range sh {
			if c.Type == "VARCHAR" {
				n++
			}
		}
		return n
	}
	return len(a) == len(b) && count(a) < count(b)
}

// checkSniffed keeps numbers that would not print back as they were written (00501, or more digits than a DOUBLE holds) as
// text, and finds the columns without a value.
func checkSniffed(ctx context.Context, s *duck.Session, path string, size int64, f *csvSniffed) error {
	var exprs []string
	for _, c := range f.columns {
		q := duck.Ident(c.Name)
		odd := "false"
		if c.Type == "BIGINT" || c.Type == "DOUBLE" {
			odd = "coalesce(bool_or(regexp_matches(" + q + `, '^\s*[+-]?0[0-9]|^\s*\+`
			if c.Type == "DOUBLE" {
				odd += "|[0-9]{17,}"
			}
			odd += "')), false)"
		}
		exprs = append(exprs, "count("+q+")", odd)
	}
	names := make([]string, len(f.columns))
	for i, c := range f.columns {
		names[i] = duck.Literal(c.Name) + ": 'VARCHAR'"
	}
	from := "read_csv(" + duck.Literal(globEscape(path)) + ", auto_detect=false, " + f.options() + ", columns={" + strings.Join(names, ", ") + "})"
	if size > sampleAll {
		from = fmt.Sprintf("(SELECT * FROM %s LIMIT %d)", from, sampleRows)
	}
	err := texts(ctx, s, "SELECT "+strings.Join(exprs, ", ")+" FROM "+from, func(row []cell) error {
		for i := range f.columns {
			if row[2*i].Text == "0" {
				f.columns[i].Type = nullType
			} else if row[2*i+1].Text == "true" {
				f.columns[i].Type = "VARCHAR"
			}
		}
		return nil
	})
	if err != nil {
		return drover.Errorf(drover.Refused, "%s is not readable as CSV: %w", path, err)
	}
	return nil
}

// csvHeader returns the names of a CSV file's columns in its own order.
func csvHeader(ctx context.Context, s *duck.Session, path string, d dialect) (shape, error) {
	f, err := sniff(ctx, s, path, "sample_size=1, all_varchar=true, "+d.options())
	return f.columns, err
}
