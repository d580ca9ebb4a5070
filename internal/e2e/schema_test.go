package e2e

import (
	"net/url"
	"strings"
	"testing"
)

// TestARoleThatMayOnlyUseItsOwnSchemaRunsAndPrunes: ledger and target work with ?drover_schema=NAME for a role that may create nothing elsewhere.
func TestARoleThatMayOnlyUseItsOwnSchemaRunsAndPrunes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	few := strings.TrimPrefix(p.with(t, func(*url.URL) {}), "postgres://")
	few = "few_" + strings.TrimPrefix(few[:strings.Index(few, ":")], "loader_")
	rowsOf(t, p.admin, strings.ReplaceAll(`CREATE ROLE few LOGIN PASSWORD '`+secret+`'; CREATE SCHEMA mine AUTHORIZATION few; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
		GRANT SELECT ON raw TO few; GRANT SELECT, INSERT ON clean TO few`, "few", few))
	p.setenv("DB", p.with(t, func(u *url.URL) {
		u.User = url.UserPassword(few, secret)
		u.RawQuery += "&drover_schema=mine"
	}))
	p.write(t, "job.yaml", sharedFirms)
	p.must(t, "run", "job.yaml", "--run", "a")
	says(t, p.must(t, "status", "--ledger", p.envValue("DB"), "a").stdout, "40 out")
	if r := p.prune(t, "job.yaml", "--older-than", "0d"); names(r.Kept) != "a" || r.Receipts != 4 {
		t.Errorf("pruned %+v", r)
	}
	if got := p.sql(t, `SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE nspname IN ('mine', 'drover')`); got != "mine" {
		t.Errorf("schemas: %s", got)
	}
}
