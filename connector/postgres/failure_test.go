package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// wide makes a table of about 60 MB that no single batch holds.
const wide = `CREATE TABLE src (id bigint PRIMARY KEY, v text); INSERT INTO src SELECT g, repeat(md5(g::text), 60) FROM generate_series(1, 30000) g;
	CREATE TABLE dst (LIKE src)`

// clean fails if a batch was not given back to its pool, or a goroutine stays.
func clean(t *testing.T, s *source, before int) {
	t.Helper()
	s.mu.Lock()
	for _, c := range s.idle {
		if c.PgConn().TxStatus() != 'I' {
			t.Error("an idle connection is in a transaction")
		}
	}
	s.mu.Unlock()
	if n := settled(before); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if s.batches.out != 0 {
		t.Errorf("%d batches were not given back", s.batches.out)
	}
}

func TestBackendEndedInTheMiddleOfACopyIsTransientAndLeavesNothingBehind(t *testing.T) {
	u, conn := database(t, wide)
	session := newSession(t)
	for _, whose := range []string{"source", "target"} {
		for _, rowWise := range []bool{true, false} {
			s := openTestSource(t, Table(string(u), "src"))
			st, chunks := cutAll(t, s, drover.Chunking{Rows: 1000})
			target, err := connect(t.Context(), u, testEnv())
			if err != nil {
				t.Fatal(err)
			}
			before := runtime.NumGoroutine()
			// The transform of a late row ends the backend: rows are in flight at both ends then.
			killed := false
			kill := func() {
				if killed {
					return
				}
				killed = true
				which := fmt.Sprint(target.PgConn().PID())
				if whose == "source" {
					which = "(SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%' AND query LIKE '%TO STDOUT%' AND pid <> pg_backend_pid() LIMIT 1)"
				}
				execSQL(t, conn, "SELECT pg_terminate_backend("+which+")")
				time.Sleep(50 * time.Millisecond)
			}
			x := transfer{source: s, state: st, chunks: chunks, session: session, program: step.Program{RowWise: rowWise}}
			x.progress = func(rowsOut int64) {
				if rowsOut > 5000 {
					kill()
				}
			}
			_, _, err = x.into(t.Context(), t, target, "dst")
			if k := drover.KindOf(err); !killed || k != drover.Transient && k != drover.Unreachable {
				t.Errorf("%s, row-wise %v: killed %v, %q: %v", whose, rowWise, killed, k, err)
			}
			closeConn(target)
			clean(t, s, before)
			if n := dump(t, conn, "SELECT count(*)::text FROM dst"); n != "0\n" {
				t.Errorf("%s, row-wise %v: %s rows stayed", whose, rowWise, n)
			}
		}
	}
}

func TestCancelEndsALoadSoonAndLeavesNothingBehind(t *testing.T) {
	u, _ := database(t, wide)
	session := newSession(t)
	for _, rowWise := range []bool{true, false} {
		s := openTestSource(t, Table(string(u), "src"))
		st, chunks := cutAll(t, s, drover.Chunking{})
		target, err := connect(t.Context(), u, testEnv())
		if err != nil {
			t.Fatal(err)
		}
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		x := transfer{source: s, state: st, chunks: chunks, session: session, program: step.Program{RowWise: rowWise}}
		x.progress = func(int64) { cancel() }
		start := time.Now()
		_, _, err = x.into(ctx, t, target, "dst")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("row-wise %v: %v", rowWise, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		closeConn(target)
		clean(t, s, before)
		cancel()
	}
}

func TestRefusedRowNamesColumnAndConstraint(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id int, v text); INSERT INTO src SELECT g, 'v' || g FROM generate_series(1, 20000) g; INSERT INTO src VALUES (5, 'twice');
		CREATE TABLE dst (id int PRIMARY KEY, v text); CREATE TABLE short (id int, v varchar(3))`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	for _, rowWise := range []bool{true, false} {
		x := transfer{source: s, state: st, chunks: chunks, session: session, program: step.Program{RowWise: rowWise}}
		var e *drover.Error
		if _, _, err := x.into(t.Context(), t, conn, "dst"); !errors.As(err, &e) || e.Kind != drover.Data || e.Code != "23505" || e.Sample != "5" {
			t.Errorf("got %#v", err)
		}
		if _, _, err := x.into(t.Context(), t, conn, "short"); !errors.As(err, &e) || e.Kind != drover.Data || e.Code != "22001" || e.Column != "v" {
			t.Errorf("got %#v", err)
		}
	}
}

func TestProgramThatFailsIsItsOwnError(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id int, v text); INSERT INTO src SELECT g, CASE WHEN g = 15000 THEN 'n/a' ELSE g::text END FROM generate_series(1, 20000) g;
		CREATE TABLE dst (w float8)`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	before := runtime.NumGoroutine()
	for _, rowWise := range []bool{true, false} {
		x := transfer{source: s, state: st, chunks: chunks, session: session, output: drover.Schema{{Name: "w", Type: "DOUBLE"}}}
		x.program = step.Program{SQL: "SELECT v::DOUBLE AS w, __drover_tag FROM " + step.Input(), RowWise: rowWise}
		_, _, err := x.into(t.Context(), t, conn, "dst")
		var e *drover.Error
		if !errors.As(err, &e) || e.Kind != drover.Data || e.Code != "Conversion Error" || !strings.Contains(e.Message, "n/a") {
			t.Errorf("got %#v", err)
		}
		clean(t, s, before)
	}
}

func TestQueryThatStopsEarlyEndsTheRead(t *testing.T) {
	u, _ := database(t, wide)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 3 {
		rel, err := s.Open(t.Context(), session, schema, st, chunks)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Exec(t.Context(), "SELECT v FROM "+rel.All()+" LIMIT 5"); err != nil {
			t.Fatal(err)
		}
		if err := rel.Close(); err != nil {
			t.Fatal(err)
		}
		clean(t, s, before+2) // idle connections have no goroutines; those that were cut off end by themselves
	}
}

func TestRowOfAHundredMegabytesPasses(t *testing.T) {
	u, conn := database(t, `CREATE TABLE src (id bigint, v bytea); INSERT INTO src VALUES (1, 'a'), (2, decode(repeat('00112233', 25000000), 'hex')), (3, NULL), (4, 'b');
		CREATE TABLE dst (LIKE src)`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{})
	for _, rowWise := range []bool{true, false} {
		execSQL(t, conn, "TRUNCATE dst")
		_, _, err := transfer{source: s, state: st, chunks: chunks, session: session, program: step.Program{RowWise: rowWise}}.into(t.Context(), t, conn, "dst")
		if err != nil {
			t.Fatal(err)
		}
		if got := dump(t, conn, "SELECT concat(d.id, ' ', length(d.v), ' ', d.v IS NOT DISTINCT FROM s.v) FROM dst d JOIN src s USING (id) ORDER BY id"); got != "1 1 t\n2 100000000 t\n3  t\n4 1 t\n" {
			t.Fatal(got)
		}
	}
	for _, b := range s.batches.free {
		if len(b.arena) > arenaSize {
			t.Errorf("a batch keeps %d bytes", len(b.arena))
		}
	}
}

func TestEachChunkMayBeReadByItselfInOneQuery(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, v text); INSERT INTO src SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 30000) g`)
	session := newSession(t)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{Rows: 300})
	schema, err := s.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rel, err := s.Open(t.Context(), session, schema, st, chunks)
	if err != nil {
		t.Fatal(err)
	}
	sql := ""
	for i := range chunks {
		if i > 0 {
			sql += " UNION ALL "
		}
		sql += "(SELECT v, __drover_tag FROM " + rel.Chunk(i) + ")"
	}
	start := time.Now()
	rows, err := session.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	per := make([]int, len(chunks))
	for {
		c, err := rows.Next()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rows() == 0 {
			break
		}
		for _, tag := range duck.Data[int64](c.Vector(1))[:c.Rows()] {
			per[tag]++
		}
	}
	rows.Close()
	if n := len(rel.(*relation).idle); n > 2 {
		t.Errorf("%d connections for one thread", n)
	}
	if err := session.Exec(t.Context(), "SELECT CASE WHEN count(*) <> 30000 THEN error('lost rows') END FROM "+rel.All()); err != nil {
		t.Error(err) // a COPY of no columns at all
	}
	t.Logf("%d chunks in %v, %d connections", len(chunks), time.Since(start), len(rel.(*relation).idle))
	for i, n := range per {
		if n != 300 || rel.Count(i).Rows != 600 {
			t.Fatalf("chunk %d has %d rows", i, n)
		}
	}
	if err := rel.Close(); err != nil {
		t.Fatal(err)
	}
}
