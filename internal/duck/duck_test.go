package duck

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	db "github.com/duckdb/duckdb-go-bindings"
)

func open(t *testing.T, o Options) *Session {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// texts runs a query and returns every value as text, rows separated by newlines.
func texts(t *testing.T, s *Session, sql string) string {
	t.Helper()
	rows, err := s.Query(t.Context(), "SELECT COLUMNS(*)::VARCHAR FROM ("+sql+")")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			return strings.Join(out, "\n")
		}
		for i := range c.Rows() {
			var row []string
			for j := range c.Columns() {
				v := c.Vector(j)
				if !Valid(v.Mask(), i) {
					row = append(row, "NULL")
					continue
				}
				row = append(row, string(Data[String](v)[i].Bytes()))
			}
			out = append(out, strings.Join(row, "|"))
		}
	}
}

// Every file is read once: what a session kept of it would only take the memory, and the time to fill it.
func TestASessionKeepsNothingOfTheFilesThatItRead(t *testing.T) {
	s := open(t, Options{})
	path := Literal(filepath.Join(t.TempDir(), "rows.parquet"))
	if err := s.Exec(t.Context(), "COPY (SELECT range FROM range(100000)) TO "+path+" (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, "SELECT sum(range) FROM read_parquet("+path+")"); got != "4999950000" {
		t.Fatalf("the sum is %s", got)
	}
	if got := texts(t, s, "SELECT count(*) FROM duckdb_external_file_cache()"); got != "0" {
		t.Errorf("%s ranges of the file are kept", got)
	}
}

func TestQueryStreamsEveryChunk(t *testing.T) {
	s := open(t, Options{})
	rows, err := s.Query(t.Context(), "SELECT range FROM range(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var n, sum int64
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			break
		}
		for _, v := range Data[int64](c.Vector(0))[:c.Rows()] {
			n, sum = n+1, sum+v
		}
	}
	if n != 10000 || sum != 10000*9999/2 {
		t.Fatalf("got %d rows, sum %d", n, sum)
	}
}

// numbers is a scan of n rows: a, text t, and a NULL in every third a.
func numbers(n int) (drover.Schema, func() (Filler, error)) {
	schema := drover.Schema{{Name: "a", Type: "BIGINT"}, {Name: "unused", Type: "VARCHAR"}, {Name: "t", Type: "VARCHAR"}}
	return schema, func() (Filler, error) {
		at := 0
		return func(out Chunk, projection []int) (int, error) {
			k := min(n-at, VectorSize)
			for v, col := range projection {
				vec := out.Vector(v)
				switch col {
				case 0:
					d := Data[int64](vec)
					var mask []uint64
					for i := range k {
						d[i] = int64(at + i)
						if (at+i)%3 == 0 {
							if mask == nil {
								mask = vec.WritableMask()
							}
							SetNull(mask, i)
						}
					}
				case 2:
					for i := range k {
						db.VectorAssignStringElementLen(vec.v, db.IdxT(i), fmt.Appendf(nil, "a text of row %d", at+i))
					}
				case 1:
					return 0, errors.New("a column that nobody needs was asked for")
				}
			}
			at += k
			return k, nil
		}, nil
	}
}

func TestScanIsProjectedAndMayRunAgain(t *testing.T) {
	s := open(t, Options{})
	schema, fill := numbers(5000)
	rel, remove, err := s.AddScan(schema, fill)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := texts(t, s, "SELECT count(*), count(a), sum(a), max(t) FROM "+rel)
		if want := "5000|3333|8331667|a text of row 999"; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if got := texts(t, s, "SELECT count(*) FROM "+rel); got != "5000" {
		t.Fatalf("count(*): %s", got)
	}
	remove()
	if _, err := s.Query(t.Context(), "SELECT * FROM "+rel); err == nil {
		t.Fatal("a removed scan can still be read")
	}
}

func TestScanErrorReachesTheQuery(t *testing.T) {
	s := open(t, Options{})
	broke := &drover.Error{Kind: drover.Unreachable, Message: "the source broke"}
	rel, remove, err := s.AddScan(drover.Schema{{Name: "a", Type: "BIGINT"}}, func() (Filler, error) {
		return func(Chunk, []int) (int, error) { return 0, broke }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if err := s.Exec(t.Context(), "SELECT sum(a) FROM "+rel); !errors.Is(err, error(broke)) {
		t.Fatalf("got %v", err)
	}
	if err := s.Exec(t.Context(), "SELECT error('another')"); err == nil || errors.Is(err, error(broke)) {
		t.Fatalf("the next query got %v", err)
	}
}

func TestTallyCountsAfterTheFiltersBelow(t *testing.T) {
	s := open(t, Options{})
	below := `SELECT a, tag FROM (SELECT range AS a, range % 3 AS tag FROM range(9000)) WHERE a >= 4500 AND tag <> 1`
	sql, counts, remove := s.AddTally(below, "tag", 3)
	defer remove()
	if got := texts(t, s, "SELECT count(a), min(a) FROM ("+sql+")"); got != "3000|4500" {
		t.Fatalf("got %s", got)
	}
	if got := fmt.Sprint(counts()); got != "[1500 0 1500]" {
		t.Fatalf("counted %s", got)
	}
}

func TestNowIsTheRunsStart(t *testing.T) {
	at := time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC)
	s := open(t, Options{Now: at, Timezone: "UTC"})
	got := texts(t, s, "SELECT now(), current_timestamp, current_date, today(), get_current_timestamp(), current_localtimestamp()")
	if want := "2026-11-21 23:30:00+00|2026-11-21 23:30:00+00|2026-11-21|2026-11-21|2026-11-21 23:30:00+00|2026-11-21 23:30:00"; got != want {
		t.Fatalf("got %s", got)
	}
}

func TestRule31DatesAndTextsAreInTheSessionsTimezone(t *testing.T) {
	s := open(t, Options{Now: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC), Timezone: "Asia/Tokyo"})
	got := texts(t, s, `SELECT now(), current_date, today(), get_current_time(), current_localtimestamp(), current_localtime(),
		TIMESTAMPTZ '2026-01-01 00:00:00', TIMESTAMP '2026-01-01 00:00:00'::TIMESTAMPTZ = TIMESTAMPTZ '2025-12-31 15:00:00+00'`)
	if want := "2026-11-22 08:30:00+09|2026-11-22|2026-11-22|08:30:00+09|2026-11-22 08:30:00|08:30:00|2026-01-01 00:00:00+09|true"; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestAgeCountsFromTheRunsStart(t *testing.T) {
	s := open(t, Options{Now: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC)})
	got := texts(t, s, "SELECT age(DATE '2025-11-21'), age(TIMESTAMPTZ '2025-11-21'), age(DATE '2020-01-02', DATE '2020-01-01'), ago(INTERVAL 1 DAY)")
	if want := "1 year|1 year|1 day|2026-11-20 23:30:00+00"; got != want {
		t.Fatalf("got %s", got)
	}
}

func TestTextsTellNullFromEmpty(t *testing.T) {
	s := open(t, Options{})
	rows, err := s.Texts(t.Context(), "SELECT NULL AS a, '' AS b, 1.50 AS c UNION ALL SELECT 'x', 'y', 2 -- and a comment")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0][0] != nil || *rows[0][1] != "" || *rows[0][2] != "1.50" || *rows[1][0] != "x" {
		t.Fatalf("got %v", rows)
	}
	st, err := s.Prepare("SELECT 1 AS a, 2 AS a, 3 AS \"B\"")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if got := strings.Join(st.Names(), ","); got != "a,a,B" {
		t.Fatalf("got %s", got)
	}
}

func TestErrorsCarryCodeAndOffset(t *testing.T) {
	s := open(t, Options{})
	sql := "SELECT 1 AS a,\n  nope + 1 FROM (SELECT 2 AS b)"
	_, err := s.Query(t.Context(), sql)
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Invalid || e.Code != "Binder Error" || e.Offset != strings.Index(sql, "nope")+1 {
		t.Fatalf("got %#v", err)
	}
	sql = "SELECT b AS c,\nb + nope,\nb + nope FROM (SELECT 2 AS b, 3 AS nope2)"
	_, err = s.Describe(t.Context(), sql)
	if !errors.As(err, &e) || e.Offset != strings.Index(sql, "nope")+1 {
		t.Fatalf("got %#v", err)
	}
	err = s.Exec(t.Context(), "SELECT 'n/a'::DOUBLE FROM range(3) WHERE range > 1 AND 'x' || range::VARCHAR <> ''")
	if !errors.As(err, &e) || e.Kind != drover.Data || e.Code != "Conversion Error" {
		t.Fatalf("got %#v", err)
	}
}

func TestCancelInterrupts(t *testing.T) {
	s := open(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.Exec(ctx, "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestCancelOfAQueryThatHasEndedLeavesTheNextAlone(t *testing.T) {
	s := open(t, Options{})
	for range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := s.Query(ctx, "SELECT 1")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		rows.Close()
		if err := s.Exec(t.Context(), "SELECT sum(range) FROM range(10000)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	s := open(t, Options{})
	got, err := s.Describe(t.Context(), "SELECT 1::BIGINT AS a, 'x' AS \"B b\", 1.5::DECIMAL(12,2) AS d, [1] AS l")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, c := range got {
		types = append(types, c.Name+" "+c.Type)
	}
	if s := strings.Join(types, ", "); s != "a BIGINT, B b VARCHAR, d DECIMAL(12,2), l INTEGER[]" {
		t.Fatal(s)
	}
}

func TestOpenLists(t *testing.T) {
	for typ, want := range map[string]string{
		"INTEGER": "INTEGER", "INTEGER[3]": "INTEGER[]", "INTEGER[3][][2]": "INTEGER[][][]",
		`STRUCT("a[3]" INTEGER[3], "q"" [4]" BIGINT)`: `STRUCT("a[3]" INTEGER[], "q"" [4]" BIGINT)`,
		"ENUM('x[1]', 'it''s [2]')[5]":                "ENUM('x[1]', 'it''s [2]')[]", "MAP(VARCHAR, DOUBLE[2])": "MAP(VARCHAR, DOUBLE[])",
	} {
		if got := OpenLists(typ); got != want {
			t.Errorf("%s: got %s, want %s", typ, got, want)
		}
	}
}
