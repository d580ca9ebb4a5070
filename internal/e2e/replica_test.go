package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

// TestReplicas: a source may be a hot standby; a ledger and a target may not, and the error says so.
func TestReplicas(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	primary, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, primary) })
	p.admin = primary.URL("postgres")
	rowsOf(t, p.admin, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text);
		INSERT INTO raw SELECT g, (g % 7)::text FROM generate_series(1, 7000) g; CREATE INDEX ON raw (zip)`)
	standby, err := primary.Standby(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, standby) })
	if err := standby.CaughtUp(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
	p.setenv("PRIMARY", p.admin)
	p.setenv("REPLICA", standby.URL("postgres"))
	p.write(t, "job.yaml", `name: replicas
source: {postgres: {url: "${FROM:-${REPLICA}}", table: raw, statement_timeout: 5m}}
chunk: {by: zip}
sink: {postgres: {url: "${TO:-${PRIMARY}}", table: clean, mode: replace}}
`)
	p.must(t, "run", "job.yaml", "--ledger", p.admin)
	if n := rowsOf(t, p.admin, `SELECT count(*) FROM clean`); n != "7000" {
		t.Errorf("%s rows", n)
	}
	for name, r := range map[string]result{
		"ledger": p.drover(t, nil, "run", "job.yaml", "--ledger", p.envValue("REPLICA")),
		"target": p.drover(t, []string{"TO=" + p.envValue("REPLICA")}, "run", "job.yaml"),
	} {
		if r.code != 3 || !strings.Contains(r.stderr, "read-only") || !strings.Contains(r.stderr, "primary") {
			t.Errorf("a replica as %s: exit %d\n%s", name, r.code, r.stderr)
		}
	}
	// What a ledger's replica has can be looked at.
	if err := standby.CaughtUp(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
	says(t, p.must(t, "status", "--ledger", p.envValue("REPLICA")).stdout, "replicas", "finished")
}

func stopServer(t *testing.T, s *pgtest.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// TestSourceConnectionsAreAHardLimit: two drivers of several workers on one machine never have more connections to the source than
// limits.source_connections, or the source's role would be refused one.
func TestSourceConnectionsAreAHardLimit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	name := strings.TrimPrefix(mustParse(t, p.admin).Path, "/")
	rowsOf(t, p.admin, fmt.Sprintf(`CREATE ROLE reader_%[1]s LOGIN PASSWORD '%[2]s' CONNECTION LIMIT 2; GRANT SELECT ON raw TO reader_%[1]s`, name, secret))
	p.setenv("FROM", p.with(t, func(u *url.URL) { u.User = url.UserPassword("reader_"+name, secret) }))
	job := strings.Replace(firmsJob, "${DB}", "${FROM}", 1) + "limits: {workers: 3, attempts: 1, source_connections: 2}\nledger: ${DB}\n"
	p.write(t, "job.yaml", strings.Replace(job, "by: zip", "rows: 1", 1))
	var drivers []*process
	for range 2 {
		drivers = append(drivers, p.start(t, "run", "job.yaml", "--run", "once"))
	}
	for _, d := range drivers {
		if r := d.wait(t); r.code != 0 {
			t.Errorf("exit %d\n%s", r.code, r.stderr)
		}
	}
	if got := p.sql(t, `SELECT (SELECT count(*) FROM clean) || ' ' || (SELECT count(*) FROM drover.attempt WHERE outcome IS DISTINCT FROM 'finished')`); got != "40 0" {
		t.Errorf("rows and failed attempts: %s", got)
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
