package e2e

import (
	"strings"
	"testing"
)

// TestARunIsOfOneVersionOfDrover: an unfinished run that another version began is refused with both versions' names, to a joiner, a resume and a retry, and
// --new starts afresh; what is over is over for every version.
func TestARunIsOfOneVersionOfDrover(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", sharedFirms)
	p.must(t, "run", "job.yaml", "--run", "mine", "--limit-chunks", "1")
	mine := p.sql(t, `SELECT version FROM drover.run`)
	if shown := p.must(t, "version").stdout; mine == "" || !strings.HasPrefix(shown, "drover "+mine+" (") {
		t.Errorf("the run is of %q, drover version says %s", mine, shown)
	}
	p.sql(t, `UPDATE drover.run SET version = 'v0.9.1'`)
	refused := func(hint string, args ...string) {
		t.Helper()
		r := p.drover(t, nil, append([]string{"run", "job.yaml"}, args...)...)
		if r.code != 3 {
			t.Errorf("%v: exit %d", args, r.code)
		}
		says(t, r.stderr, "run mine of this job is unfinished", "drover v0.9.1 began it", "this is drover "+mine, "use drover v0.9.1 on every machine", hint)
	}
	refused("drover run --new abandons it")
	refused("name another run with --run", "--run", "mine")
	says(t, p.must(t, "status", "mine", "--ledger", p.admin).stdout, "drover v0.9.1")
	p.sql(t, `UPDATE drover.run SET state = 'failed'; UPDATE drover.chunk SET state = 'error', error = 'x', error_detail = '{}' WHERE state = 'pending'`)
	refused("--new", "--retry-errors")
	p.sql(t, `TRUNCATE clean`)
	p.must(t, "run", "job.yaml", "--run", "other") // is no matter of that run
	p.sql(t, `UPDATE drover.run SET version = 'v0.9.1'`)
	p.must(t, "run", "job.yaml", "--run", "other") // is finished
	p.sql(t, `TRUNCATE clean`)
	p.must(t, "run", "job.yaml", "--new", "--keep-committed")
	if got := p.sql(t, `SELECT string_agg(state, ' ' ORDER BY number) || ' ' || (SELECT count(*) FROM clean) FROM drover.run`); got != "abandoned finished finished 40" {
		t.Errorf("in the end: %s", got)
	}
}
