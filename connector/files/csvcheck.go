package files

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// The patterns by which texts of CSV files count as values of a type, as regular expressions of RE2.
const (
	csvInteger = `0|-?[1-9][0-9]*`
	csvNumber  = `-?(0|[1-9][0-9]*|(0|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.)([eE][+-]?[0-9]+)?`
	csvDay     = `(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}` // no year 0, which DuckDB takes for 1 BC
	csvClock   = `[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?`
	csvZone    = `(Z|[+-][0-9]{2}(:?[0-9]{2})?)`
)

const (
	csvBooleans = "('true', 'false', 'True', 'False', 'TRUE', 'FALSE')"
	csvSpecials = "('nan', 'inf', '-inf')"
)

func matches(text, pattern string) string {
	return "regexp_full_match(" + text + ", '" + pattern + "')"
}

// exactFloat is the condition that a DOUBLE or FLOAT holds a number's own value: 15 significant digits (DBL_DIG of C) or 6 (FLT_DIG), and any
// number that it prints.
func exactFloat(t, typ string) string {
	double := "TRY_CAST(" + t + " AS " + typ + ")"
	most, least := "15", "1e-300"
	if typ == "FLOAT" {
		most, least = "6", "1e-37"
	}
	digits := "ltrim(regexp_replace(regexp_replace(" + t + ", '[eE].*', ''), '[^0-9]', '', 'g'), '0')"
	return "coalesce(isfinite(" + double + ") AND (length(" + digits + ") <= " + most + " AND (" + digits + " = '' OR abs(" + double + ") > " + least + ") OR " +
		double + "::VARCHAR IN (" + t + ", " + t + " || '.0')), false)"
}

// checkedCSV is the value of a column that is read as text, as typ: what typ would not hold as it was written is an error that names the
// column, the value and the file. Most values print back the same and are looked at no further: a CASE, unlike an OR, asks no more than it must.
// An empty text in quotes is NULL, as it is where every row was looked at first.
func checkedCSV(name, q, typ, file string) string {
	if typ == "VARCHAR" {
		return q
	}
	t := "trim(" + q + ", ' ')"
	as := func(text string) string { return "TRY_CAST(" + text + " AS " + typ + ")" }
	same := as(q) + "::VARCHAR = " + q
	pattern := func(p string) []string { return []string{same, matches(q, p) + " AND " + as(q) + " IS NOT NULL"} }
	fits := []string{same}
	var precision, scale int
	switch n, _ := fmt.Sscanf(typ, "DECIMAL(%d,%d)", &precision, &scale); {
	case n == 2:
		fits = append(fits, matches(t, `-?(0|[1-9][0-9]*|(0|[1-9][0-9]*)?\.[0-9]{0,`+strconv.Itoa(scale)+`}0*)`)+" AND "+matches(t, ".*[0-9].*")+
			" AND "+as(t)+" IS NOT NULL")
	case typ == "DOUBLE":
		// 15 characters are no more than 15 digits.
		fits = append(fits, "strlen("+q+") <= 15 AND "+matches(q, `-?(0|[1-9][0-9]*)(\.[0-9]+)?`))
		fallthrough
	case typ == "FLOAT":
		fits = append(fits, as(q)+"::VARCHAR = "+q+" || '.0'", matches(t, csvNumber)+" AND "+exactFloat(t, typ))
	case typ == "BOOLEAN":
		fits = []string{q + " IN " + csvBooleans}
	case typ == "DATE":
		fits = pattern(csvDay)
	case typ == "TIMESTAMP":
		fits = pattern(csvDay + "([ T]" + csvClock + ")?")
	case typ == "TIMESTAMP WITH TIME ZONE":
		fits = pattern(csvDay + "[ T]" + csvClock + csvZone)
	case typ == "TIME":
		fits = pattern(csvClock)
	case strings.HasSuffix(typ, "INT") || typ == "INTEGER" || typ == "UINTEGER":
		fits = append(fits, as(t)+"::VARCHAR = "+t)
	case typ == "UUID":
		fits = []string{as(q) + " IS NOT NULL"}
	}
	fail := "error(" + duck.Literal("column "+name+" is read as "+typ+", which does not hold its value '") + " || left(" + q + ", 100) || " +
		duck.Literal("' in ") + " || " + file + " || " + duck.Literal(" as it is written: declare it in source.files, types: {"+name+": VARCHAR}") + ")"
	sql := "CASE"
	for i, condition := range fits {
		sql += " WHEN " + condition + " THEN CAST(" + q + " AS " + typ + ")"
		if i == 0 {
			sql += " WHEN " + q + " IS NULL OR " + q + " = '' THEN NULL"
		}
	}
	return sql + " ELSE CAST(" + fail + " AS " + typ + ") END"
}

// checks reports whether a column's values are looked at as they are read: in CSV files of which the survey saw a sample, and where the job gives
// the column its type.
func (r *relation) checks(p piece, column string) bool {
	return r.sv.Format == formatCSV && (p.Size > sampleAll || r.sv.Types.Index(column) >= 0)
}

// declare checks the types that a job gives to columns and puts them in the place of those that were found.
func (sv *survey) declare(ctx context.Context, s *duck.Session, types []drover.Pair, found shape) error {
	for _, p := range types {
		field := "source.files.types." + p.Key
		i := drover.Schema(found).Index(p.Key)
		if i < 0 {
			return drover.Errorf(drover.Invalid, "types has the column %q, which no file has", p.Key).WithField(field).
				WithHint("the files' columns are %s", strings.Join(drover.Schema(found).Names(), ", "))
		}
		as, err := s.Describe(ctx, "SELECT CAST(NULL AS "+p.Value+") AS t") // Validate has seen that it is no more than a type
		if err != nil {
			return drover.Errorf(drover.Invalid, "types gives column %s the type %q: %w", p.Key, p.Value, err).WithField(field).
				WithHint("write a type of DuckDB's, such as VARCHAR, BIGINT, DOUBLE, DECIMAL(12,2), DATE or TIMESTAMP")
		}
		found[i].Type = as[0].Type
		sv.Types = append(sv.Types, found[i])
	}
	return nil
}
