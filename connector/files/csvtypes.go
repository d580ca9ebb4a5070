package files

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// csvCounts says of how many values of a CSV column what is true. Counts of several files add up, so that the type is decided over all of
// them at once, and no value is ever changed by being another type's first.
type csvCounts struct {
	values, blank int64 // not NULL; of these, ""
	bigint        int64 // integers that a BIGINT prints back the same
	number        int64 // numbers without leading zeros or plus sign
	inexact       int64 // numbers of which a DOUBLE holds another value
	exponent      int64 // numbers with an exponent
	whole, scale  int64 // the most digits before and after the point
	special       int64 // nan, inf, -inf
	boolean       int64
	date          int64
	timestamp     int64
	zoned         int64
	time          int64
}

// fields are the counts in the order of csvQuery's columns.
func (c *csvCounts) fields() []*int64 {
	return []*int64{
		&c.values, &c.blank, &c.bigint, &c.number, &c.inexact, &c.exponent, &c.whole, &c.scale, &c.special, &c.boolean, &c.date, &c.timestamp, &c.zoned, &c.time,
	}
}

// csvQuery returns the expressions that count a column's values, in the order of fields.
func csvQuery(column string) []string {
	q := duck.Ident(column)
	t := "trim(" + q + ", ' ')"
	as := func(pattern, typ string) string {
		return matches(q, pattern) + " AND TRY_CAST(" + q + " AS " + typ + ") IS NOT NULL"
	}
	number := matches(t, csvNumber)
	plain := number + " AND NOT regexp_matches(" + t + ", '[eE]')"
	var out []string
	for _, condition := range []string{
		q + " IS NOT NULL", q + " = ''",
		matches(t, csvInteger) + " AND TRY_CAST(" + t + " AS BIGINT) IS NOT NULL",
		number, number + " AND NOT " + exactFloat(t, "DOUBLE"), number + " AND NOT (" + plain + ")",
	} {
		out = append(out, "count(*) FILTER (WHERE "+condition+")")
	}
	out = append(out,
		"coalesce(max(length(regexp_extract("+t+", '^-?([0-9]*)', 1))) FILTER (WHERE "+plain+"), 0)",
		"coalesce(max(length(regexp_extract("+t+`, '\.([0-9]*)$', 1))) FILTER (WHERE `+plain+"), 0)")
	for _, condition := range []string{
		q + " IN " + csvSpecials, q + " IN " + csvBooleans,
		as(csvDay, "DATE"), as(csvDay+"[ T]"+csvClock, "TIMESTAMP"), as(csvDay+"[ T]"+csvClock+csvZone, "TIMESTAMPTZ"), as(csvClock, "TIME"),
	} {
		out = append(out, "count(*) FILTER (WHERE "+condition+")")
	}
	return out
}

// kind returns the type that holds all the values, each as it was written: VARCHAR where no other does.
func (c *csvCounts) kind(quotedNulls bool) string {
	n := c.values
	if quotedNulls {
		n -= c.blank
	}
	switch n {
	case 0:
		return nullType
	case c.bigint:
		return "BIGINT"
	case c.number:
		if c.inexact == 0 {
			return "DOUBLE"
		}
		if c.exponent == 0 && c.scale > 0 && c.whole+c.scale <= 38 {
			return fmt.Sprintf("DECIMAL(%d,%d)", c.whole+c.scale, c.scale)
		}
	case c.number + c.special:
		if c.inexact == 0 && c.number > 0 {
			return "DOUBLE"
		}
	case c.boolean:
		return "BOOLEAN"
	case c.date:
		return "DATE"
	case c.date + c.timestamp:
		return "TIMESTAMP"
	case c.zoned:
		return "TIMESTAMP WITH TIME ZONE"
	case c.time:
		return "TIME"
	}
	return "VARCHAR"
}

func (c *csvCounts) add(o csvCounts) {
	theirs := o.fields()
	for i, mine := range c.fields() {
		*mine += *theirs[i]
	}
	c.whole, c.scale = max(c.whole-o.whole, o.whole), max(c.scale-o.scale, o.scale) // the two that are not counts
}

// csvSurvey is what all CSV files of a source say about its columns.
type csvSurvey struct {
	columns []*csvColumn
	first   string // the first file
}

type csvColumn struct {
	name string
	csvCounts
	// saw is the types that single files have, each with the first such file.
	saw []seenType
}

type seenType struct {
	counts csvCounts
	path   string
}

// add looks at one file. d is nil for the first.
func (u *csvSurvey) add(ctx context.Context, src *source, s *duck.Session, path string, size int64, d *dialect) (*dialect, error) {
	said := ""
	if d != nil {
		said = d.Delimiter
	}
	delimiter, sh, err := csvHead(ctx, src.store, path, said, !src.spec.NoHeader)
	if err != nil {
		return nil, err
	}
	switch {
	case d == nil:
		d = &dialect{Delimiter: delimiter, Header: !src.spec.NoHeader}
		u.first = path
	case delimiter != d.Delimiter && len(u.columns) == 1:
		d.Delimiter = delimiter // the earlier files have one column, and so no delimiter
	case delimiter != d.Delimiter:
		return nil, drover.Errorf(drover.Refused, "the columns of %s are separated by %q and those of %s by %q", u.first, d.Delimiter, path, delimiter).
			WithHint("read the files in separate jobs")
	}
	var exprs []string
	for _, c := range sh {
		exprs = append(exprs, csvQuery(c.Name)...)
	}
	from := "read_csv(" + duck.Literal(globEscape(path)) + ", hive_partitioning=false, " + d.options() + ", columns=" + csvTexts(sh) + ")"
	if size > sampleAll {
		from = fmt.Sprintf("(SELECT * FROM %s LIMIT %d)", from, sampleRows)
	}
	var row []cell
	if err := texts(ctx, s, "SELECT "+strings.Join(exprs, ", ")+" FROM "+from, func(r []cell) error { row = r; return nil }); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, csvError(path, err)
	}
	for i, c := range sh {
		var counts csvCounts
		fields := counts.fields()
		for j, f := range fields {
			if *f, err = strconv.ParseInt(row[i*len(fields)+j].Text, 10, 64); err != nil {
				return nil, err
			}
		}
		u.column(c.Name).join(path, counts)
	}
	return d, nil
}

func csvTexts(sh shape) string {
	names := make([]string, len(sh))
	for i, c := range sh {
		names[i] = duck.Literal(c.Name) + ": 'VARCHAR'"
	}
	return "{" + strings.Join(names, ", ") + "}"
}

func (u *csvSurvey) column(name string) *csvColumn {
	for _, c := range u.columns {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	c := &csvColumn{name: name}
	u.columns = append(u.columns, c)
	return c
}

func (c *csvColumn) join(path string, counts csvCounts) {
	c.add(counts)
	kind := counts.kind(false)
	for _, s := range c.saw {
		if s.counts.kind(false) == kind {
			return
		}
	}
	c.saw = append(c.saw, seenType{counts, path})
}

// decide returns the columns' types, and whether "" is NULL: where that alone keeps a column from being a number, a date or the like.
// The columns that types declares are not decided.
func (u *csvSurvey) decide(types []drover.Pair, warn func(string, ...any)) (shape, bool) {
	declared := func(c *csvColumn) bool {
		return slices.ContainsFunc(types, func(p drover.Pair) bool { return strings.EqualFold(p.Key, c.name) })
	}
	quotedNulls := false
	for _, c := range u.columns {
		if declared(c) {
			continue
		}
		with := c.kind(true)
		quotedNulls = quotedNulls || c.blank > 0 && with != "VARCHAR" && with != nullType
	}
	var sh shape
	for _, c := range u.columns {
		typ := c.kind(quotedNulls)
		sh = append(sh, drover.Column{Name: c.name, Type: typ})
		if typ != "VARCHAR" || declared(c) {
			continue
		}
		var says []string
		typed := false
		for _, s := range c.saw {
			kind := s.counts.kind(quotedNulls)
			if kind != nullType {
				says = append(says, kind+" in "+s.path)
			}
			typed = typed || kind != nullType && kind != "VARCHAR"
		}
		if typed && len(says) > 1 {
			warn("column %s is %s: it is read as text, as it was written", c.name, strings.Join(says, " and "))
		}
	}
	return sh, quotedNulls
}
