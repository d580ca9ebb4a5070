package postgres

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step"
)

func TestSpoolReadsOnceAndYieldsTheSameChunks(t *testing.T) {
	u, conn := database(t, typeSQL+`CREATE TABLE src (id bigint, k numeric, m mood, ip inet, v text);
		INSERT INTO src SELECT g, CASE WHEN g % 7 > 0 THEN g % 7 END, (ARRAY['sad', 'ok', NULL])[1 + g % 3]::mood, '10.0.0.1', repeat(md5(g::text), 150) FROM generate_series(1, 20000) g;
		INSERT INTO src VALUES (20001, 'NaN'), (20002, 1.00);
		CREATE TABLE dst (LIKE src); CREATE TABLE none (LIKE src)`)
	session := newSession(t)
	dir := t.TempDir()
	for _, c := range []drover.Chunking{
		{By: "k", Spool: true},
		{By: "k", Keys: "VALUES (1), (3), (99)", Spool: true},
		{By: "k", Keys: "VALUES (1), (3), (99)", Others: "ignore", Spool: true},
		{By: "m", Spool: true},
	} {
		plain := c
		plain.Spool = false
		s := openTestSource(t, Table(string(u), "src"))
		s.env.TempDir = dir
		wantState, wantChunks := cutAll(t, s, plain)
		want := readChunks(t, s, session, wantState, wantChunks)
		st, chunks := cutAll(t, s, c)
		if !slices.Equal(keys(chunks), keys(wantChunks)) {
			t.Errorf("%+v: chunks %q, want %q", c, keys(chunks), keys(wantChunks))
		}
		// What happens to the table afterwards does not matter, and another process reads the file.
		execSQL(t, conn, "BEGIN; LOCK TABLE src IN ROW EXCLUSIVE MODE; DELETE FROM src WHERE id = 1; COMMIT")
		worker := openTestSource(t, Table(string(u), "src"))
		if got := readChunks(t, worker, session, st, chunks); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: rows differ", c)
		}
		execSQL(t, conn, "INSERT INTO src SELECT 1, 1, 'ok', '10.0.0.1', repeat(md5('1'), 150)")
		for i, ch := range chunks {
			if ch.Rows != int64(len(want[i])) {
				t.Errorf("chunk %s: %d rows of %d", ch.Key, ch.Rows, len(want[i]))
			}
		}
		if c.By == "k" && c.Keys == "" {
			execSQL(t, conn, "TRUNCATE dst")
			x := transfer{source: worker, state: st, chunks: chunks, session: session, program: step.Program{RowWise: true}}
			if _, _, err := x.into(t.Context(), t, conn, "dst"); err != nil {
				t.Fatal(err)
			}
			if got := dump(t, conn, "SELECT count(*)::text FROM (SELECT id, k, m, ip, v FROM src EXCEPT SELECT id, k, m, ip, v FROM dst) x"); got != "0\n" {
				t.Errorf("%s rows are missing", got)
			}
		}
		// A resume finds the file; without it the source is read again.
		again := openTestSource(t, Table(string(u), "src"))
		if _, err := again.Begin(t.Context(), c, st); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		schema, err := worker.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := worker.Open(t.Context(), session, schema, st, chunks); drover.KindOf(err) != drover.Refused {
			t.Errorf("without the file: %v", err)
		}
		if _, err := again.Begin(t.Context(), c, st); err != nil {
			t.Error(err)
		}
		readChunks(t, worker, session, st, chunks)
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	empty := openTestSource(t, Table(string(u), "none"))
	empty.env.TempDir = dir
	st, chunks := cutAll(t, empty, drover.Chunking{By: "k", Spool: true})
	covers(t, readChunks(t, empty, session, st, chunks), 0)
	if err := empty.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %s %v", strings.Join(left, " "), err)
	}
}
