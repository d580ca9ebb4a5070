package verify

import (
	"fmt"
	"strings"
)

// form makes of an expression another whose values are equal, in DuckDB's sense and under its hash, exactly where the originals count as equal.
type form func(expr string) string

func as(typ string) form { return func(x string) string { return "CAST(" + x + " AS " + typ + ")" } }

func same(x string) string { return x }

// forms returns how values of two types are brought together, or false where no value of one can equal a value of the other. A side that is
// untyped has texts that stand for values of the other's type.
func forms(l, r kind, lUntyped, rUntyped bool) (lf, rf form, ok bool) {
	switch {
	case l.class == text && lUntyped && r.class != text && r.class != serverText:
		lf, rf = parsed(r)
		return lf, rf, true
	case r.class == text && rUntyped && l.class != text && l.class != serverText:
		rf, lf = parsed(l)
		return lf, rf, true
	case l.class == text && r.typ == "UUID": // Arrow, and so pandas and polars, hold UUIDs as texts
		lf, rf = parsed(r)
		return lf, rf, true
	case l.typ == "UUID" && r.class == text:
		rf, lf = parsed(l)
		return lf, rf, true
	case exact(l) && exact(r):
		f, g := exacts(l, r)
		return f, g, true
	case l.class == float && r.class == float:
		f := zeroed("DOUBLE")
		if l.typ == "FLOAT" && r.typ == "FLOAT" {
			f = zeroed("FLOAT")
		}
		return f, f, true
	case exact(l) && r.class == float:
		lf, rf = exactFloat(l, r)
		return lf, rf, true
	case l.class == float && exact(r):
		rf, lf = exactFloat(r, l)
		return lf, rf, true
	case l.class == jsonText && (r.class == jsonText || r.class == text), l.class == text && r.class == jsonText:
		return dense, dense, true
	case isText(l) && isText(r):
		return as("VARCHAR"), as("VARCHAR"), true
	case l.class == moment && r.class == moment:
		f := as("TIMESTAMP")
		if l.typ == r.typ {
			f = same
		} else if l.typ == "TIMESTAMP_NS" || r.typ == "TIMESTAMP_NS" {
			f = nanos
		}
		return f, f, true
	case l.class == list && r.class == list:
		return lists(l, r)
	case l.typ != r.typ || l.class == serverText || r.class == serverText:
		return nil, nil, false
	case l.typ == "INTERVAL", l.typ == "TIME WITH TIME ZONE":
		// DuckDB takes 1 month for 30 days, and 01:00+01 for 00:00+00: another system may not.
		return as("VARCHAR"), as("VARCHAR"), true
	}
	return same, same, true
}

func exact(k kind) bool { return k.class == whole || k.class == decimal || k.class == number }

func isText(k kind) bool { return k.class == text || k.class == serverText }

// exacts brings exact numbers together: as the narrowest type that holds both, else as texts.
func exacts(l, r kind) (form, form) {
	if l.class == number || r.class == number {
		return digits(l), digits(r)
	}
	if l.typ == r.typ {
		return same, same
	}
	if l.scale == 0 && r.scale == 0 && max(l.digits, r.digits) <= 19 {
		return as("BIGINT"), as("BIGINT")
	}
	if t := decimalType(max(l.digits, r.digits), max(l.scale, r.scale)); t != "" {
		return as(t), as(t)
	}
	return digits(l), digits(r)
}

// digits is the shortest text of an exact number.
func digits(k kind) form {
	if k.class == whole {
		return as("VARCHAR")
	}
	return func(x string) string { return shortest("CAST(" + x + " AS VARCHAR)") }
}

// shortest takes what a number's value does not need from its text: a plus, zeros before and behind, the minus of zero. Other texts stay.
func shortest(t string) string {
	n := "trim(" + t + ", ' ')"
	cut := fmt.Sprintf(`regexp_replace(regexp_replace(regexp_replace(regexp_replace(%s, '^\+', ''), '^(-?)0*([0-9])', '\1\2'), '^(-?)\.', '\10.'), '(\.[0-9]*?)0+$', '\1')`, n)
	cut = "rtrim(" + cut + ", '.')"
	return fmt.Sprintf(`CASE WHEN regexp_full_match(%s, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)') THEN CASE %s WHEN '-0' THEN '0' ELSE %[2]s END ELSE %s END`, n, cut, t)
}

// exactFloat brings an exact number and a float together. An integer equals a float of the same value; of a number with digits behind the
// point the nearest float is meant, because hardly any has an equal one.
func exactFloat(e, f kind) (form, form) {
	if e.class != number && e.scale == 0 {
		return digits(e), func(x string) string {
			d := "CAST(" + x + " AS DOUBLE)"
			return fmt.Sprintf("CASE WHEN isfinite(%[1]s) AND %[1]s = trunc(%[1]s) AND abs(%[1]s) < 1e38 THEN CAST(CAST(%[1]s AS HUGEINT) AS VARCHAR) ELSE CAST(%[1]s AS VARCHAR) END", d)
		}
	}
	return func(x string) string { return zeroed(f.typ)("CAST(CAST(" + x + " AS VARCHAR) AS " + f.typ + ")") }, zeroed(f.typ)
}

// zeroed casts to a float type in which 0.0 and -0.0 are one value.
func zeroed(typ string) form {
	return func(x string) string {
		x = "CAST(" + x + " AS " + typ + ")"
		return "CASE WHEN " + x + " = 0 THEN CAST(0 AS " + typ + ") ELSE " + x + " END"
	}
}

// dense is a JSON text without the white space between its tokens. Numbers and the order of keys stay as they are written.
func dense(x string) string {
	return `regexp_replace(CAST(` + x + ` AS VARCHAR), '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g')`
}

// nanos is a moment in nanoseconds, of any range.
func nanos(x string) string {
	t := "CAST(" + x + " AS VARCHAR)"
	return fmt.Sprintf(`CASE WHEN NOT contains(%[1]s, ':') THEN CASE WHEN contains(%[1]s, 'infinity') THEN %[1]s ELSE %[1]s || ' 00:00:00' END WHEN contains(%[1]s, '.') THEN rtrim(rtrim(%[1]s, '0'), '.') ELSE %[1]s END`, t)
}

// parsed brings texts and values of a type together: texts are read as the type, and those that cannot be are equal to nothing.
func parsed(k kind) (texts, values form) {
	switch k.class {
	case whole, decimal, number:
		return shortest, digits(k)
	case jsonText:
		return dense, dense
	case float:
		f := zeroed(k.typ)
		return func(t string) string {
			return "coalesce(CAST(" + f("TRY_CAST(trim("+t+", ' ') AS "+k.typ+")") + " AS VARCHAR), " + t + ")"
		}, func(x string) string { return "CAST(" + f(x) + " AS VARCHAR)" }
	}
	if k.class == list && plain(*k.elem) {
		return func(t string) string {
			return "coalesce(CAST(coalesce(" + literal(t, k.typ) + ", TRY_CAST(" + t + " AS " + k.typ + ")) AS VARCHAR), " + t + ")"
		}, func(x string) string { return "CAST(CAST(" + x + " AS " + k.typ + ") AS VARCHAR)" }
	}
	typ := k.typ
	if k.class == moment {
		typ = "TIMESTAMP" // a DATE would be read of a text that says a time as well
		if k.typ == "TIMESTAMP_NS" {
			typ = k.typ
		}
	}
	return func(t string) string {
			return "coalesce(CAST(TRY_CAST(" + t + " AS " + typ + ") AS VARCHAR), " + t + ")"
		},
		func(x string) string { return "CAST(CAST(" + x + " AS " + typ + ") AS VARCHAR)" }
}

// plain reports whether Postgres spells a value of the kind as DuckDB reads it.
func plain(k kind) bool {
	switch k.class {
	case boolean, whole, decimal, float, text, moment:
		return true
	}
	return k.typ == "UUID" || k.typ == "TIMESTAMP WITH TIME ZONE"
}

// literal reads a text as Postgres spells an array of one dimension, {1,NULL,"a b"} (its manual, 8.15.6); NULL where it is none, or where an element is none of the
// type's values.
func literal(t, typ string) string {
	elements := fmt.Sprintf(`list_transform(regexp_extract_all(%s[2:-2], '"(?:[^"\\]|\\.)*"|[^,"]+', 0, 's'), lambda e: CASE WHEN starts_with(e, '"') THEN regexp_replace(e[2:-2], '\\(.)', '\1', 'gs') WHEN upper(e) <> 'NULL' THEN e END)`, t)
	return fmt.Sprintf(`CASE WHEN regexp_full_match(%[1]s, '\{(("(?:[^"\\]|\\.)*"|[^,"{}\\]+)(,("(?:[^"\\]|\\.)*"|[^,"{}\\]+))*)?\}', 's') AND list_count(TRY_CAST(%[2]s AS %[3]s)) = list_count(%[2]s) THEN TRY_CAST(%[2]s AS %[3]s) END`, t, elements, typ)
}

// lists brings lists together by their elements.
func lists(l, r kind) (form, form, bool) {
	lf, rf, ok := forms(*l.elem, *r.elem, false, false)
	if !ok {
		return nil, nil, false
	}
	// A list of fixed size becomes one of any.
	each := func(k kind, f form) form {
		return func(x string) string {
			e := "e" + strings.Repeat("_", depth(k))
			return fmt.Sprintf("list_transform(CAST(%s AS %s), lambda %s: %s)", x, k.typ, e, f(e))
		}
	}
	return each(l, lf), each(r, rf), true
}

func depth(k kind) int {
	if k.elem == nil {
		return 0
	}
	return 1 + depth(*k.elem)
}
