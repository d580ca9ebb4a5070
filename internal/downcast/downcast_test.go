package downcast_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/duck"
	"pgregory.net/rapid"
)

func open(t *testing.T) *duck.Session {
	t.Helper()
	session, err := duck.Open(t.Context(), duck.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

// gather returns the statistics of column v of a relation.
func gather(t testing.TB, session *duck.Session, typ, relation string) downcast.Stats {
	t.Helper()
	columns := drover.Schema{{Name: "v", Type: typ}}
	rows, err := session.Texts(t.Context(), downcast.Query(columns, relation))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := downcast.Parse(columns, rows[0])
	if err != nil {
		t.Fatal(err)
	}
	return stats[0]
}

func TestSmallestTypeThatHoldsEveryValue(t *testing.T) {
	session := open(t)
	for _, c := range []struct {
		typ, values, want string
		certain           bool
	}{
		{"BIGINT", "1, 127, NULL", "TINYINT", true},
		{"BIGINT", "-129, 5", "SMALLINT", true},
		{"BIGINT", "-9223372036854775808", "BIGINT", true},
		{"HUGEINT", "40000", "INTEGER", true},
		{"UBIGINT", "255", "UTINYINT", true},
		{"UBIGINT", "18446744073709551615", "UBIGINT", true},
		{"BIGINT", "NULL, NULL", "BIGINT", true},
		{"DOUBLE", "0.5, -0.0, 'nan'::DOUBLE, 'inf'::DOUBLE, NULL", "FLOAT", false},
		{"DOUBLE", "0.1", "DOUBLE", true},
		{"DOUBLE", "1e300", "DOUBLE", true},
		{"DOUBLE", "1e-300", "DOUBLE", true},
		{"DOUBLE", "16777217", "DOUBLE", true},
		{"DECIMAL(18,2)", "12345.67, NULL", "DECIMAL(9,2)", true},
		{"DECIMAL(18,2)", "99999999.99", "DECIMAL(18,2)", true},
		{"DECIMAL(18,4)", "123456.5", "DECIMAL(9,1)", false},
		{"DECIMAL(38,10)", "-0.0000000001", "DECIMAL(18,10)", true},
		{"DECIMAL(18,0)", "0", "DECIMAL(4,0)", true},
		{"TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:00', NULL", "DATE", false},
		{"TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:01'", "TIMESTAMP_S", false},
		{"TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:00.001'", "TIMESTAMP_MS", false},
		{"TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:00.000001'", "TIMESTAMP", true},
		{"TIMESTAMP", "TIMESTAMP '2026-01-01 00:00:00', 'infinity'::TIMESTAMP", "TIMESTAMP", true},
		{"TIMESTAMP_NS", "TIMESTAMP_NS '2026-01-01 00:00:00.000001'", "TIMESTAMP", false},
		{"TIMESTAMP_NS", "TIMESTAMP_NS '2026-01-01 00:00:00.000000001'", "TIMESTAMP_NS", true},
		{"VARCHAR", "'a', 'b'", "VARCHAR", true},
		{"BOOLEAN", "true, NULL", "BOOLEAN", true},
		{"DATE", "DATE '2026-01-01'", "DATE", true},
		{"INTEGER[]", "[1, 2]", "INTEGER[]", true},
	} {
		t.Run(c.typ+" "+c.values, func(t *testing.T) {
			relation := fmt.Sprintf("(SELECT unnest([%s])::%s AS v)", c.values, c.typ)
			if strings.HasSuffix(c.typ, "]") {
				relation = fmt.Sprintf("(SELECT %s AS v)", c.values)
			}
			got := downcast.Choose(c.typ, gather(t, session, c.typ, relation))
			if got.Type != c.want || got.Certain != c.certain {
				t.Errorf("%s (certain %v), want %s (certain %v)", got.Type, got.Certain, c.want, c.certain)
			}
			if got.SmallerBytes > got.Bytes {
				t.Errorf("%d bytes from %d", got.SmallerBytes, got.Bytes)
			}
		})
	}
}

func TestTextOfFewValuesIsADictionary(t *testing.T) {
	session := open(t)
	for _, c := range []struct {
		relation, want string
		most           int64
	}{
		{"(SELECT 'C' || (i % 50) AS v FROM range(10000) r(i))", downcast.Dictionary, 11_000},
		{"(SELECT 'a rather long text ' || (i % 300) AS v FROM range(10000) r(i))", downcast.Dictionary, 40_000},
		{"(SELECT 'C' || i AS v FROM range(10000) r(i))", "VARCHAR", 160_000},
		{"(SELECT NULL::VARCHAR AS v FROM range(10) r(i))", "VARCHAR", 160},
	} {
		got := downcast.Choose("VARCHAR", gather(t, session, "VARCHAR", c.relation))
		if got.Type != c.want || got.SmallerBytes > c.most {
			t.Errorf("%s: %s, %d bytes", c.relation, got.Type, got.SmallerBytes)
		}
	}
}

// TestNarrowedAndWidenedBackIsTheSame is exactness.md 33: it never wraps, and never rounds.
func TestNarrowedAndWidenedBackIsTheSame(t *testing.T) {
	session := open(t)
	value := map[string]func(*rapid.T) string{
		"BIGINT": func(r *rapid.T) string {
			bits := rapid.IntRange(0, 63).Draw(r, "bits")
			return fmt.Sprintf("'%d'", rapid.Int64().Draw(r, "n")>>bits)
		},
		"UBIGINT": func(r *rapid.T) string {
			return fmt.Sprint(rapid.Uint64().Draw(r, "n") >> rapid.IntRange(0, 63).Draw(r, "bits"))
		},
		"DOUBLE": func(r *rapid.T) string {
			f := rapid.Float64().Draw(r, "f")
			switch rapid.SampledFrom([]string{"any", "short", "odd"}).Draw(r, "kind") {
			case "short":
				f = float64(float32(f))
			case "odd":
				f = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.MaxFloat32, math.SmallestNonzeroFloat64}).Draw(r, "odd")
			}
			return "'" + strconv.FormatFloat(f, 'g', -1, 64) + "'"
		},
		"DECIMAL(18,6)": func(r *rapid.T) string {
			n := rapid.Int64Range(-999_999_999_999_999_999, 999_999_999_999_999_999).Draw(r, "n") / int64(math.Pow10(rapid.IntRange(0, 17).Draw(r, "digits")))
			sign := ""
			if n < 0 {
				sign, n = "-", -n
			}
			return fmt.Sprintf("'%s%d.%06d'", sign, n/1_000_000, n%1_000_000)
		},
		"TIMESTAMP_NS": func(r *rapid.T) string {
			unit := rapid.SampledFrom([]int64{1, 1_000, 1_000_000, 1_000_000_000, 86_400_000_000_000}).Draw(r, "unit")
			return fmt.Sprintf("make_timestamp_ns(%d)", rapid.Int64Range(-4_000_000_000_000_000_000, 4_000_000_000_000_000_000).Draw(r, "ns")/unit*unit)
		},
		"TIMESTAMP": func(r *rapid.T) string {
			unit := rapid.SampledFrom([]int64{1, 1_000, 1_000_000, 86_400_000_000}).Draw(r, "unit")
			return fmt.Sprintf("make_timestamp(%d)", rapid.Int64Range(-4_000_000_000_000_000, 4_000_000_000_000_000).Draw(r, "us")/unit*unit)
		},
	}
	for typ, draw := range value {
		t.Run(typ, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				values := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) string {
					if rapid.IntRange(0, 9).Draw(r, "null") == 0 {
						return "NULL::" + typ
					}
					return draw(r) + "::" + typ
				}), 1, 8).Draw(r, "values")
				relation := "(SELECT unnest([" + strings.Join(values, ", ") + "]) AS v)"
				choice := downcast.Choose(typ, gather(t, session, typ, relation))
				rows, err := session.Texts(t.Context(), fmt.Sprintf("SELECT count(*) FROM %s WHERE (v::%s)::%s::VARCHAR IS DISTINCT FROM v::VARCHAR", relation, choice.Type, typ))
				if err != nil {
					r.Fatalf("%s as %s: %v", relation, choice.Type, err)
				}
				if *rows[0][0] != "0" {
					r.Fatalf("%s values of %s change as %s", *rows[0][0], relation, choice.Type)
				}
			})
		})
	}
}

func TestMergedStatisticsAreThoseOfAllRows(t *testing.T) {
	session := open(t)
	for typ, parts := range map[string][2]string{
		"BIGINT":        {"(SELECT unnest([1, NULL]) AS v)", "(SELECT unnest([-5, 300]) AS v)"},
		"DECIMAL(18,2)": {"(SELECT 1.25::DECIMAL(18,2) AS v)", "(SELECT 1000::DECIMAL(18,2) AS v)"},
		"DOUBLE":        {"(SELECT 0.5::DOUBLE AS v)", "(SELECT 0.1::DOUBLE AS v)"},
		"TIMESTAMP":     {"(SELECT TIMESTAMP '2026-01-01' AS v)", "(SELECT TIMESTAMP '2026-01-01 01:00:00' AS v)"},
	} {
		both := "(SELECT * FROM " + parts[0] + " UNION ALL SELECT * FROM " + parts[1] + ")"
		merged := downcast.Merge(gather(t, session, typ, parts[0]), gather(t, session, typ, parts[1]))
		if got, want := downcast.Choose(typ, merged), downcast.Choose(typ, gather(t, session, typ, both)); got != want {
			t.Errorf("%s: %+v, want %+v", typ, got, want)
		}
	}
}

// TestTypicalFrameTakesHalf measures the Arrow buffers that a function would receive: ids, small integers, flags, codes, prices and dates.
func TestTypicalFrameTakesHalf(t *testing.T) {
	session := open(t)
	const frame = `(SELECT i::BIGINT AS id, (i % 7)::BIGINT AS passengers, (i % 2)::BIGINT AS flag, i % 3 = 0 AS active, 'C' || (i % 200) AS code,
		(i % 100000 / 100.0)::DECIMAL(12,2) AS price, TIMESTAMP '2026-01-01' + INTERVAL (i % 300) DAY AS day FROM range(50000) r(i))`
	columns := drover.Schema{
		{Name: "id", Type: "BIGINT"},
		{Name: "passengers", Type: "BIGINT"},
		{Name: "flag", Type: "BIGINT"},
		{Name: "active", Type: "BOOLEAN"},
		{Name: "code", Type: "VARCHAR"},
		{Name: "price", Type: "DECIMAL(12,2)"},
		{Name: "day", Type: "TIMESTAMP"},
	}
	rows, err := session.Texts(t.Context(), downcast.Query(columns, frame))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := downcast.Parse(columns, rows[0])
	if err != nil {
		t.Fatal(err)
	}
	narrow, selects := make(drover.Schema, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		narrow[i] = drover.Column{Name: c.Name, Type: downcast.Choose(c.Type, stats[i]).Type}
		if narrow[i].Type == downcast.Dictionary {
			codes, err := session.Texts(t.Context(), "SELECT string_agg(DISTINCT concat('''', "+c.Name+", ''''), ', ') FROM "+frame)
			if err != nil {
				t.Fatal(err)
			}
			narrow[i].Type = "ENUM(" + *codes[0][0] + ")"
		}
		selects[i] = c.Name + "::" + narrow[i].Type + " AS " + c.Name
	}
	before := arrowBytes(t, session, columns, "SELECT * FROM "+frame)
	after := arrowBytes(t, session, narrow, "SELECT "+strings.Join(selects, ", ")+" FROM "+frame)
	t.Logf("%d bytes of %d", after, before)
	if after*2 > before {
		t.Errorf("%d bytes of %d", after, before)
	}
}

// arrowBytes is the size of a query's values in Arrow's buffers. A dictionary counts once.
func arrowBytes(t *testing.T, session *duck.Session, columns drover.Schema, query string) (bytes int64) {
	t.Helper()
	writer, err := session.NewArrowWriter(columns)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := session.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	dictionaries := map[int]bool{}
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			return bytes
		}
		batch, err := writer.Batch(c)
		if err != nil {
			t.Fatal(err)
		}
		for i, column := range batch.Columns() {
			for _, b := range column.Data().Buffers() {
				if b != nil {
					bytes += int64(b.Len())
				}
			}
			if d, ok := column.(*array.Dictionary); ok && !dictionaries[i] {
				dictionaries[i] = true
				bytes += int64(d.Dictionary().Data().SizeInBytes())
			}
		}
		batch.Release()
	}
}
