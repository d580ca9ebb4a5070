package e2e

import (
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

// TestServerKilled: a database server that dies under a run and comes back costs attempts, never rows: the run goes on, or ends with 3 and
// is resumed by the same command; every row is there once.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := server.CreateDatabase(t.Context(), "firms")
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"append", "replace"} {
		p := newPlace(t)
		p.setenv("DB", url)
		p.write(t, "url", url)
		p.sql(t, `DROP TABLE IF EXISTS raw, clean; CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, pad text);
			INSERT INTO raw SELECT g, (g % 400)::text, 'name ' || g, repeat('x', 200) FROM generate_series(1, 120000) g; CREATE INDEX ON raw (zip); ANALYZE raw; CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
		p.write(t, "job.yaml", "name: firms-"+mode+"\nsource: {postgres: {url: \"${DB}\", table: raw}}\nchunk: {by: zip}\nsteps: [{set: {name: upper(name)}}]\nsink: {postgres: {url: \"${DB}\", table: clean, mode: "+mode+"}}\nlimits: {workers: 2}\n")
		p.must(t, "run", "job.yaml", "--limit-chunks", "3")
		r := p.start(t, "run", "job.yaml", "--json")
		eventually(t, "more chunks are finished", func() bool { return p.ledger(t, `SELECT count(*) > 3 FROM chunk WHERE state = 'finished'`) == "1" })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := r.wait(t)
		if end.code != 0 && end.code != 3 {
			t.Errorf("%s: exit %d\n%s", mode, end.code, end.stderr)
		}
		if end.code == 3 {
			end = p.must(t, "run", "job.yaml", "--json")
		}
		if s := end.summary(t); s.State != "finished" || s.Chunks.Finished != 400 || s.RowsOut != 120000 {
			t.Errorf("%s: %+v", mode, s)
		}
		if got := p.sql(t, `SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(id) FROM clean`); got != "120000 120000 7200060000" {
			t.Errorf("%s: the target has rows, ids, sum %s", mode, got)
		}
	}
}
