package verify_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/internal/verify"
)

// Rows that both sides hold under one key, with a value each in the words of DuckDB.
var values = []struct {
	name, left, right string
	equal             bool
}{
	{"integers of two sizes", "1::INTEGER", "1::BIGINT", true},
	{"integers that differ", "1::INTEGER", "2::BIGINT", false},
	{"an integer and a decimal", "1::BIGINT", "1.00::DECIMAL(12,2)", true},
	{"an integer and a decimal with cents", "1::BIGINT", "1.01::DECIMAL(12,2)", false},
	{"decimals of two scales", "1.5::DECIMAL(4,1)", "1.500::DECIMAL(38,30)", true},
	{"decimals that no type holds both", "1.5::DECIMAL(38,1)", "1.500::DECIMAL(38,37)", true},
	{"decimals that no type holds both and that differ", "1.5::DECIMAL(38,1)", "1.5000000000000001::DECIMAL(38,37)", false},
	{"small decimals of no common type", "0.0::DECIMAL(38,1)", "-0.0000::DECIMAL(38,37)", true},
	{"a huge integer and a decimal", "170141183460469231731687303715884105727::HUGEINT", "1.5::DECIMAL(2,1)", false},
	{"an unsigned and a signed integer", "18446744073709551615::UBIGINT", "-1::BIGINT", false},
	{"an integer and a float", "5::BIGINT", "5.0::DOUBLE", true},
	{"an integer that no float holds", "9007199254740993::BIGINT", "9007199254740992::DOUBLE", false},
	{"a large float and its integer", "100000000000000000000::HUGEINT", "1e20::DOUBLE", true},
	{"a decimal and the nearest float", "0.1::DECIMAL(3,1)", "0.1::DOUBLE", true},
	{"a decimal and the nearest real", "0.1::DECIMAL(3,1)", "0.1::FLOAT", true},
	{"a decimal and another float", "0.1::DECIMAL(3,1)", "0.10000000000000002::DOUBLE", false},
	{"a float and a double of its value", "0.5::FLOAT", "0.5::DOUBLE", true},
	{"a float and the double that it rounds", "0.1::FLOAT", "0.1::DOUBLE", false},
	{"NaN and NaN", "'nan'::DOUBLE", "'nan'::DOUBLE", true},
	{"NaN of two sizes", "'nan'::DOUBLE", "'nan'::FLOAT", true},
	{"NaN and NULL", "'nan'::DOUBLE", "NULL::DOUBLE", false},
	{"infinity and an integer", "'inf'::DOUBLE", "1::BIGINT", false},
	{"the zeros", "0.0::DOUBLE", "'-0.0'::DOUBLE", true},
	{"NULL and NULL", "NULL::INTEGER", "NULL::BIGINT", true},
	{"NULL and zero", "NULL::INTEGER", "0::BIGINT", false},
	{"NULL and an empty text", "NULL::VARCHAR", "''", false},
	{"an instant in two zones", "'2026-01-01 00:00:00+00'::TIMESTAMPTZ", "'2026-01-01 02:00:00+02'::TIMESTAMPTZ", true},
	{"two instants", "'2026-01-01 00:00:00+00'::TIMESTAMPTZ", "'2026-01-01 00:00:00+02'::TIMESTAMPTZ", false},
	{"a date and its midnight", "'2026-01-01'::DATE", "'2026-01-01 00:00:00'::TIMESTAMP", true},
	{"a date and its noon", "'2026-01-01'::DATE", "'2026-01-01 12:00:00'::TIMESTAMP", false},
	{"micro- and nanoseconds", "'2026-01-01 00:00:00.123456'::TIMESTAMP", "'2026-01-01 00:00:00.123456000'::TIMESTAMP_NS", true},
	{"a nanosecond more", "'2026-01-01 00:00:00.123456'::TIMESTAMP", "'2026-01-01 00:00:00.123456001'::TIMESTAMP_NS", false},
	{"a date and nanoseconds", "'2026-01-01'::DATE", "'2026-01-01 00:00:00'::TIMESTAMP_NS", true},
	{"a month and 30 days", "INTERVAL 1 month", "INTERVAL 30 day", false},
	{"lists of two sizes of integers", "[1, NULL, 3]::INTEGER[]", "[1, NULL, 3]::BIGINT[]", true},
	{"lists that differ", "[1, 2]::INTEGER[]", "[2, 1]::INTEGER[]", false},
	{"an empty list and NULL", "[]::INTEGER[]", "NULL::INTEGER[]", false},
	{"an empty list and NULL in a list", "[[]]::INTEGER[][]", "[NULL]::INTEGER[][]", false},
	{"a struct of NULL and NULL", "{'a': NULL::INTEGER}", "NULL::STRUCT(a INTEGER)", false},
	{"an empty list and NULL in a struct", "{'a': []::INTEGER[]}", "{'a': NULL::INTEGER[]}", false},
	{"maps", "MAP {'a': 1}", "MAP {'a': 1}", true},
	{"maps that differ", "MAP {'a': 1}", "MAP {'a': 2}", false},
	{"lists of lists", "[[1], []]::INTEGER[][]", "[[1.0], []]::DECIMAL(4,1)[][]", true},
	{"structs", "{'a': 1, 'b': NULL}", "{'a': 1, 'b': NULL}", true},
	{"structs that differ", "{'a': 1, 'b': 'x'}", "{'a': 1, 'b': 'y'}", false},
	{"JSON with other white space", `'{"a": [1, 2]}'::JSON`, `'{"a":[1,2]}'::JSON`, true},
	{"JSON with white space in a text", `'{"a": "x y"}'::JSON`, `'{"a":"xy"}'::JSON`, false},
	{"JSON with an escaped quote", `'{"a": "\" b"}'::JSON`, `'{"a":"\" b"}'::JSON`, true},
	{"a UUID and its text", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'", true},
	{"a UUID and another's text", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", "'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", false},
	{"a text that is none and a UUID", "'n/a'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", false},
	{"a list of UUIDs and of texts", "['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID, NULL]", "['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', NULL]", true},
	{"texts with blanks", "'a '", "'a'", false},
}

func TestValuesAreComparedAndTypesAreNot(t *testing.T) {
	left, right := "SELECT 1 AS id", "SELECT 1 AS id"
	for i, v := range values {
		left += fmt.Sprintf(", %s AS v%d", v.left, i)
		right += fmt.Sprintf(", %s AS v%d", v.right, i)
	}
	l, r := parquet(t, left), parquet(t, right)
	for _, sides := range [][2]drover.Source{{l, r}, {r, l}} {
		found := diff(t, sides[0], sides[1], "id")
		if len(found.Types) > 0 {
			t.Fatalf("types differ: %v", found.Types)
		}
		changed := map[string]bool{}
		for _, c := range found.Columns {
			changed[c.Column] = true
		}
		for i, v := range values {
			if changed[fmt.Sprintf("v%d", i)] == v.equal {
				t.Errorf("%s: equal is %v", v.name, !v.equal)
			}
		}
	}
}

// The hashes of rows decide which are compared at all.
func TestHashesTellValuesApart(t *testing.T) {
	for _, v := range values {
		if v.equal || !strings.ContainsAny(v.left, "[{") && !strings.Contains(v.left, "NULL") {
			continue
		}
		found := diff(t, parquet(t, "SELECT 1 AS id, "+v.left+" AS v"), parquet(t, "SELECT 1 AS id, "+v.right+" AS v"), "id")
		if found.Changed != 1 {
			t.Errorf("%s: not found", v.name)
		}
	}
}

func TestTypesWithoutCommonValuesAreADifferenceThatIsSaid(t *testing.T) {
	for _, v := range [][2]string{
		{"'1'", "1"},
		{"true", "1"},
		{"'2026-01-01'::DATE", "'2026-01-01'"},
		{"'2026-01-01 00:00:00'::TIMESTAMP", "'2026-01-01 00:00:00+00'::TIMESTAMPTZ"},
		{"[1]", "['1']"},
	} {
		found := diff(t, parquet(t, "SELECT 1 AS id, "+v[0]+" AS v"), parquet(t, "SELECT 1 AS id, "+v[1]+" AS v"), "id")
		if len(found.Types) != 1 || found.Types[0].Column != "v" || found.Equal {
			t.Errorf("%s and %s: %+v", v[0], v[1], found)
		}
		want(t, found, 0, 0, 0)
		if s := text(t, found); !strings.Contains(s, "column v is "+found.Types[0].Left+" in left and "+found.Types[0].Right+" in right") {
			t.Error(s)
		}
	}
}

func TestKeyOfTwoTypesIsRefused(t *testing.T) {
	_, err := verify.Diff(t.Context(), options(t, parquet(t, "SELECT 1 AS id"), parquet(t, "SELECT '1' AS id"), "id"))
	if drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), "key column id is INTEGER in left and VARCHAR in right") {
		t.Error(err)
	}
}

func TestToleranceIsForFloats(t *testing.T) {
	l := parquet(t, "SELECT * FROM (VALUES (1, 1.0::DOUBLE, 1.00::DECIMAL(5,2)), (2, 1e9, 2), (3, 'nan', 3), (4, NULL, 4), (5, 'inf', 5)) t(id, f, d)")
	r := parquet(t, "SELECT * FROM (VALUES (1, 1.0000005::FLOAT, 1.01::DECIMAL(5,2)), (2, 1e9 + 64, 2), (3, 'nan', 3), (4, 1.0, 4), (5, '-inf', 5)) t(id, f, d)")
	o := options(t, l, r, "id")
	o.Tolerance = 1e-6
	found := diffWith(t, o)
	want(t, found, 0, 0, 3) // 1 by its decimal, 4 by NULL, 5 by infinity
	o.Tolerance = 0
	want(t, diffWith(t, o), 0, 0, 4)
}

func TestRowsOfOneKeyAreCountedAsAMultiset(t *testing.T) {
	l := parquet(t, "SELECT * FROM (VALUES (1, 'a'), (1, 'a'), (1, 'b'), (2, 'x'), (NULL, 'n'), (NULL, 'n'), (3, 'c'), (3, 'd')) t(id, v)")
	r := parquet(t, "SELECT * FROM (VALUES (1, 'a'), (1, 'b'), (1, 'b'), (2, 'x'), (2, 'x'), (NULL, 'n'), (3, 'd'), (3, 'e'), (3, 'f')) t(id, v)")
	// 1: a of a, a, b has no equal in a, b, b. 2: one is extra. NULL: one is missing. 3: c against e, and f is extra.
	want(t, diff(t, l, r, "id"), 1, 2, 2)
}

func TestColumnsOfOneSideAreSaid(t *testing.T) {
	found := diff(t, parquet(t, "SELECT 1 AS id, 2 AS a, 3 AS b"), parquet(t, "SELECT 1 AS ID, 3 AS B, 4 AS c"), "id")
	if found.Equal || strings.Join(found.OnlyLeft, ",") != "a" || strings.Join(found.OnlyRight, ",") != "c" {
		t.Errorf("%+v", found)
	}
	o := options(t, parquet(t, "SELECT 1 AS id, 2 AS a"), parquet(t, "SELECT 1 AS id, 3 AS c"), "id")
	o.Ignore = []string{"a", "C"}
	if found := diffWith(t, o); !found.Equal {
		t.Errorf("%+v", found)
	}
}

func TestCSVIsReadAsTheOtherSidesTypes(t *testing.T) {
	l := csv(t, `SELECT * FROM (VALUES (1, '00501', '1.50', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '2026-01-01 02:00:00+02', 't', '1e3'),
		(2, NULL, 'n/a', NULL, NULL, NULL, NULL)) t(id, zip, amount, u, moment, flag, f)`)
	r := parquet(t, `SELECT * FROM (VALUES (1::BIGINT, '00501', 1.5::DECIMAL(9,4), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID,
		'2026-01-01 00:00:00+00'::TIMESTAMPTZ, true, 1000::DOUBLE), (2, NULL, NULL, NULL, NULL, NULL, NULL)) t(id, zip, amount, u, moment, flag, f)`)
	found := diff(t, l, r, "id")
	want(t, found, 0, 0, 1)
	if len(found.Samples) != 1 || !strings.Contains(found.Samples[0].String(), "id=2 · amount n/a -> NULL") {
		t.Error(text(t, found))
	}
	// And between CSV files whose values suggest different types.
	found = diff(t, csv(t, "SELECT 1 AS id, '5' AS v"), csv(t, "SELECT 1 AS id, 'five' AS v"), "id")
	if len(found.Types) > 0 {
		t.Error(found.Types)
	}
	want(t, found, 0, 0, 1)
}

// Addresses and arrays are compared with the texts that Postgres' own COPY writes of them.
func TestACopyOfAPostgresTableAsCSVIsEqual(t *testing.T) {
	d := newDatabase(t)
	const rows = `SELECT * FROM (VALUES (1, '10.0.0.1'::inet, '10.0.0.0/8'::cidr, '{1,NULL,-3}'::int[], '{0.5,-Infinity}'::float8[], '{t,f}'::bool[],
			ARRAY['plain', 'a b', 'it''s', '[x]', '(', 'NULL', NULL, '', 'a,b', '{', 'q"q', 'b\s']::text[], '{"2026-01-01 10:00:00",infinity}'::timestamp[], '{1.50}'::numeric(6,2)[], '[1,2)'::int4range),
		(2, '10.0.0.1/8', NULL, '{}', NULL, '{}', '{}', '{}', '{}', 'empty')) t(id, ip, net, whole, floats, flags, texts, at, prices, span)`
	table := d.table(t, rows)
	path := filepath.Join(t.TempDir(), "rows.csv")
	copyTo := func(query string) {
		t.Helper()
		f, err := os.Create(path)
		if err == nil {
			_, err = d.conn.PgConn().CopyTo(t.Context(), f, "COPY ("+query+") TO STDOUT (FORMAT csv, HEADER)")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyTo(rows)
	want(t, diff(t, table, files.In(path), "id"), 0, 0, 0)
	want(t, diff(t, files.In(path), table, "id"), 0, 0, 0)
	want(t, diff(t, table, parquet(t, "SELECT 1 AS id, '10.0.0.1' AS ip UNION ALL SELECT 2, '10.0.0.1/8'"), "id"), 0, 0, 0)
	for column, other := range map[string]string{
		"ip": "'10.0.0.1/31'", "whole": "'{1,x,-3}'", "floats": "'{0.5,Infinity}'", "flags": "'{t,t}'", "texts": "'{plain}'", "prices": "'{1.51}'", "at": "'{}'",
	} {
		copyTo(fmt.Sprintf("SELECT id, %s AS %s FROM (%s) AS q WHERE id = 1 UNION ALL SELECT id, %[2]s::text FROM (%[3]s) AS q WHERE id = 2", other, column, rows))
		found := diff(t, table, files.In(path), "id")
		if found.Missing != 0 || found.Extra != 0 || found.Changed != 1 {
			t.Errorf("%s: %s", column, text(t, found))
		}
	}
}

func TestPostgresValuesThatDuckDBCannotHold(t *testing.T) {
	db := newDatabase(t)
	const rows = `SELECT * FROM (VALUES (1, 'NaN'::numeric(10,2), 1.00::numeric, '10.0.0.1'::inet, '4713-01-01 BC'::date, '{{1,2},{3,4}}'::int[], 1e50::numeric),
		(2, 1.5, 'Infinity', NULL, 'infinity', '{1}', 0.000000000000000000001)) t(id, n, free, ip, d, a, wide)`
	l, r := db.table(t, rows), db.table(t, rows)
	found := diff(t, l, r, "id")
	if !found.Equal {
		t.Error(text(t, found))
	}
	r = db.table(t, strings.NewReplacer("10.0.0.1", "10.0.0.2", "1.00::", "1.0::", "{{1,2},{3,4}}", "{{1,2},{3,5}}", "1e50", "1e51").Replace(rows))
	found = diff(t, l, r, "id")
	want(t, found, 0, 0, 1)
	if got := found.Samples[0].String(); got != "id=1 · ip 10.0.0.1/32 -> 10.0.0.2/32 · a {{1,2},{3,4}} -> {{1,2},{3,5}} · wide 1"+strings.Repeat("0", 50)+" -> 1"+strings.Repeat("0", 51) &&
		got != "id=1 · ip 10.0.0.1 -> 10.0.0.2 · a {{1,2},{3,4}} -> {{1,2},{3,5}} · wide 1"+strings.Repeat("0", 50)+" -> 1"+strings.Repeat("0", 51) {
		t.Error(got)
	}
	// Numbers are compared with other systems' too; other types are refused.
	found = diff(t, db.table(t, "SELECT 1 AS id, 1.50::numeric AS n, 'NaN'::numeric(10,2) AS m"), parquet(t, "SELECT 1 AS id, 1.5::DECIMAL(4,1) AS n, 'nan'::DOUBLE AS m"), "id")
	if !found.Equal {
		t.Error(text(t, found))
	}
	_, err := verify.Diff(t.Context(), options(t, db.table(t, "SELECT 1 AS id, '294276-12-31 00:00:00'::timestamp AS d"), parquet(t, "SELECT 1 AS id, '2026-01-01 00:00:00'::TIMESTAMP AS d"), "id"))
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Data || e.Column != "d" {
		t.Error(err)
	}
}
