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

// The kinds of a value of a CSV file, by which csvQuery counts them.
const (
	csvNull = iota
	csvBlank
	csvWhole // a BIGINT
	csvWholeInexact
	csvPlain // another number without an exponent
	csvPlainInexact
	csvExponent
	csvExponentInexact
	csvSpecial
	csvBoolean
	csvDate
	csvTimestamp
	csvZoned
	csvTime
	csvText
)

// csvKind is the expression of a value's kind. A CASE asks no more than it must, and most values are known by the first questions.
func csvKind(q string) string {
	t := "trim(" + q + ", ' ')"
	as := func(pattern, typ string) string {
		return matches(q, pattern) + " AND TRY_CAST(" + q + " AS " + typ + ") IS NOT NULL"
	}
	whole := func(text string) string { return "TRY_CAST(" + text + " AS BIGINT)::VARCHAR = " + text }
	exact := func(text string, yes, no int) string {
		return fmt.Sprintf("CASE WHEN strlen(%s) <= 15 THEN %d WHEN %s THEN %d ELSE %d END", text, yes, exactFloat(text, "DOUBLE"), yes, no)
	}
	var b strings.Builder
	b.WriteString("CASE")
	for _, c := range []struct{ when, then string }{
		{q + " IS NULL", fmt.Sprint(csvNull)},
		{q + " = ''", fmt.Sprint(csvBlank)},
		// What begins with a letter is no number and no time.
		{q + " >= ':'", fmt.Sprintf("CASE WHEN %[1]s IN %[2]s THEN %[3]d WHEN %[1]s IN %[4]s THEN %[5]d ELSE %[6]d END", q, csvSpecials, csvSpecial, csvBooleans, csvBoolean, csvText)},
		{whole(q), exact(q, csvWhole, csvWholeInexact)},
		{"strlen(" + q + ") <= 15 AND " + matches(q, `-?(0|[1-9][0-9]*)\.[0-9]+`), fmt.Sprint(csvPlain)},
		{whole(t), exact(t, csvWhole, csvWholeInexact)},
		{matches(t, csvNumber) + " AND regexp_matches(" + t + ", '[eE]')", fmt.Sprintf("CASE WHEN %s THEN %d ELSE %d END", exactFloat(t, "DOUBLE"), csvExponent, csvExponentInexact)},
		{matches(t, csvNumber), exact(t, csvPlain, csvPlainInexact)},
		{q + " IN " + csvSpecials, fmt.Sprint(csvSpecial)},
		{as(csvDay, "DATE"), fmt.Sprint(csvDate)},
		{as(csvDay+"[ T]"+csvClock, "TIMESTAMP"), fmt.Sprint(csvTimestamp)},
		{as(csvDay+"[ T]"+csvClock+csvZone, "TIMESTAMPTZ"), fmt.Sprint(csvZoned)},
		{as(csvClock, "TIME"), fmt.Sprint(csvTime)},
	} {
		b.WriteString(" WHEN " + c.when + " THEN " + c.then)
	}
	fmt.Fprintf(&b, " ELSE %d END::UTINYINT", csvText)
	return b.String()
}

// csvQuery returns the query that counts the values of a file's columns, each in the order of fields.
func csvQuery(columns shape, from string) string {
	var kinds, counts []string
	for i, c := range columns {
		q, k := duck.Ident(c.Name), fmt.Sprintf("__drover_k%d", i)
		kinds = append(kinds, fmt.Sprintf("%s AS __drover_t%d, %s AS %s", q, i, csvKind(q), k))
		t := fmt.Sprintf("trim(__drover_t%d, ' ')", i)
		plain := fmt.Sprintf("%s BETWEEN %d AND %d", k, csvWhole, csvPlainInexact)
		count := func(condition string, args ...any) {
			counts = append(counts, "count(*) FILTER (WHERE "+k+" "+fmt.Sprintf(condition, args...)+")")
		}
		most := func(digits string) {
			counts = append(counts, "coalesce(max(CASE WHEN "+plain+" THEN "+digits+" END), 0)")
		}
		count("<> %d", csvNull)
		count("= %d", csvBlank)
		count("IN (%d, %d)", csvWhole, csvWholeInexact)
		count("BETWEEN %d AND %d", csvWhole, csvExponentInexact)
		count("IN (%d, %d, %d)", csvWholeInexact, csvPlainInexact, csvExponentInexact)
		count("IN (%d, %d)", csvExponent, csvExponentInexact)
		point := "instr(" + t + ", '.')"
		most("CASE WHEN " + point + " = 0 THEN strlen(" + t + ") ELSE " + point + " - 1 END - starts_with(" + t + ", '-')::BIGINT")
		most("CASE WHEN " + point + " = 0 THEN 0 ELSE strlen(" + t + ") - " + point + " END")
		for _, kind := range []int{csvSpecial, csvBoolean, csvDate, csvTimestamp, csvZoned, csvTime} {
			count("= %d", kind)
		}
	}
	return "SELECT " + strings.Join(counts, ", ") + " FROM (SELECT " + strings.Join(kinds, ", ") + " FROM " + from + ")"
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
	from := "read_csv(" + duck.Literal(globEscape(path)) + ", hive_partitioning=false, " + d.options() + ", columns=" + csvTexts(sh) + ")"
	if size > sampleAll {
		from = fmt.Sprintf("(SELECT * FROM %s LIMIT %d)", from, sampleRows)
	}
	var row []cell
	if err := texts(ctx, s, csvQuery(sh, from), func(r []cell) error { row = r; return nil }); err != nil {
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
