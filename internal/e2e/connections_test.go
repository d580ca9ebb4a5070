package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

// everywhereJob uses one connection string for source, sink and ledger.
const everywhereJob = `name: everywhere
source: {postgres: {url: "${WHERE}", table: raw}}
chunk: {rows: 30}
sink: {postgres: {url: "${WHERE}", table: clean, mode: replace}}
ledger: "${WHERE}"
`

// TestConnectionsAreMadeAsPsqlMakesThem: TLS, client certificates, passwords of files and variables, services, libpq's variables and keywords work for
// ledger, source and sink alike, and no ledger ever holds a password.
func TestConnectionsAreMadeAsPsqlMakesThem(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(t.Context(), "", pgtest.Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, server) })
	admin := server.URL("postgres")
	rowsOf(t, admin, fmt.Sprintf(`CREATE ROLE %s LOGIN SUPERUSER; CREATE ROLE loader LOGIN SUPERUSER PASSWORD '%s';
		CREATE TABLE raw (id bigint PRIMARY KEY); INSERT INTO raw SELECT generate_series(1, 60)`, pgtest.CertifiedRole, secret))
	files := server.Certificates()
	port := fmt.Sprint(server.Port())
	checked := "sslmode=verify-full&sslrootcert=" + url.QueryEscape(files.CA)
	loader := "postgres://loader@localhost:" + port + "/postgres?" + checked

	p := newPlace(t)
	p.admin = admin
	p.write(t, "job.yaml", everywhereJob)
	secretFile := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name) // not below the place, where the password must not be
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	passwords := secretFile("passwords", "localhost:"+port+":*:loader:"+secret+"\n")
	home := filepath.Dir(secretFile(".pgpass", "localhost:"+port+":*:loader:"+secret+"\n"))
	service := "PGSERVICEFILE=" + secretFile("services", strings.Join([]string{
		"[mine]", "host=localhost", "port=" + port, "user=loader", "dbname=postgres", "sslmode=verify-full", "sslrootcert=" + files.CA, "",
	}, "\n"))
	for name, c := range map[string]struct {
		where string
		env   []string
	}{
		"certificate":      {"postgres://" + pgtest.CertifiedRole + "@localhost:" + port + "/postgres?" + checked + "&sslcert=" + url.QueryEscape(files.ClientCert) + "&sslkey=" + url.QueryEscape(files.ClientKey), nil},
		"password":         {strings.Replace(loader, "loader@", "loader:"+secret+"@", 1), nil},
		".pgpass":          {loader, []string{"HOME=" + home}},
		"PGPASSFILE":       {loader, []string{"PGPASSFILE=" + passwords}},
		"passfile":         {loader + "&passfile=" + url.QueryEscape(passwords), nil},
		"service":          {"postgres://?service=mine", []string{service, "PGPASSFILE=" + passwords}},
		"service, keyword": {"service=mine", []string{service, "PGPASSFILE=" + passwords}},
		"PGSERVICE":        {"postgres://", []string{"PGSERVICE=mine", service, "PGPASSWORD=" + secret}},
		"variables": {"postgres:///", []string{
			"PGHOST=localhost", "PGPORT=" + port, "PGUSER=loader", "PGPASSWORD=" + secret, "PGDATABASE=postgres", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + files.CA,
		}},
		"keywords": {"host=localhost port=" + port + " user=loader password=" + secret + " dbname=postgres sslmode=verify-full sslrootcert=" + files.CA, nil},
	} {
		run := "r-" + strings.NewReplacer(" ", "", ",", "", ".", "").Replace(name)
		r := p.drover(t, append(c.env, "WHERE="+c.where), "run", "job.yaml", "--run", run, "--json")
		if r.code != 0 {
			t.Errorf("%s: exit %d\n%s", name, r.code, r.stderr)
			continue
		}
		if s := r.summary(t); s.Run != run || s.RowsOut != 60 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	kept := rowsOf(t, admin, `SELECT string_agg(query_to_xml(format('SELECT * FROM drover.%I', tablename), true, false, '')::text, '') FROM pg_tables WHERE schemaname = 'drover'`)
	if !strings.Contains(kept, "r-keywords") || strings.Contains(kept, secret) {
		t.Errorf("the ledger holds the password, or nothing at all (%d bytes)", len(kept))
	}

	for name, c := range map[string]struct{ where, want string }{
		"another authority": {strings.Replace(loader, url.QueryEscape(files.CA), url.QueryEscape(files.ClientCert), 1), "sslrootcert"},
		"another host":      {strings.Replace(loader, "localhost", "127.0.0.1", 1), "sslrootcert"},
		"no TLS":            {"postgres://loader@localhost:" + port + "/postgres?sslmode=disable", "sslmode"},
		"no certificate":    {strings.Replace(loader, "loader", pgtest.CertifiedRole, 1), "sslcert"},
	} {
		for where, args := range map[string][]string{"ledger": nil, "source": {"--ledger", "here.db"}} {
			r := p.drover(t, []string{"WHERE=" + c.where}, append([]string{"run", "job.yaml"}, args...)...)
			if r.code != 3 || !strings.Contains(r.stderr, c.want) {
				t.Errorf("%s, %s: exit %d\n%s", name, where, r.code, r.stderr)
			}
		}
	}
}

// TestARunThroughATransactionPooler: ledger, source and sink are behind a PgBouncer that gives each transaction to another connection of the server.
// What a session keeps (prepared statements, settings, locks, temporary tables) would be missing, or another's.
func TestARunThroughATransactionPooler(t *testing.T) {
	t.Parallel()
	server, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopServer(t, server) })
	pooler, err := server.StartPooler(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := newPlace(t)
	p.admin = server.URL("postgres")
	p.setenv("DB", pooler.URL("postgres"))
	rowsOf(t, p.admin, `CREATE TABLE raw (id bigint PRIMARY KEY, zip text, name text, amount numeric(12,2));
		INSERT INTO raw SELECT g, (g % 20)::text, 'name ' || g, g / 7.0 FROM generate_series(1, 2000) g; CREATE INDEX ON raw (zip);
		CREATE TABLE pages AS TABLE raw; ANALYZE`)
	for name, c := range map[string]struct{ source, chunk, sink string }{
		"keys":  {"table: raw", "by: zip", "mode: upsert, key: [id]"},
		"pages": {"table: pages", "rows: 300", "mode: replace"}, // one exported snapshot for all
		"query": {`query: "SELECT * FROM raw"`, "by: zip", "mode: append"},
		"spool": {"table: pages", "by: zip, spool: true", "mode: append"},
	} {
		rowsOf(t, p.admin, `DROP TABLE IF EXISTS clean; CREATE TABLE clean (LIKE raw INCLUDING ALL)`)
		p.write(t, "job.yaml", fmt.Sprintf("name: %s\nsource: {postgres: {url: \"${DB}\", %s}}\nchunk: {%s}\nsteps: [{set: {name: upper(name)}}]\n"+
			"sink: {postgres: {url: \"${DB}\", table: clean, %s}}\nledger: ${DB}\nlimits: {workers: 2}\n", name, c.source, c.chunk, c.sink))
		one, two := p.start(t, "run", "job.yaml", "--run", "x"), p.start(t, "run", "job.yaml", "--run", "x")
		for _, r := range []result{one.wait(t), two.wait(t)} {
			// The snapshot of the pages is that of the driver that planned.
			if r.code != 0 {
				t.Errorf("%s: exit %d\n%s", name, r.code, r.stderr)
			}
		}
		if got := rowsOf(t, p.admin, `SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || sum(amount) || ' ' || min(name) FROM clean`); got != "2000 2000 285857.14 NAME 1" {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Nothing is left in the server's connections for the pooler's next client.
	if got := rowsOf(t, p.admin, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'`); got != "0" {
		t.Errorf("%s advisory locks are left", got)
	}
}
