package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover/internal/pgtest"
)

// TestAServerThatIsAwayAtTheStartIsWaitedFor: the user is told, and the run goes on when it is back; whoever got a name or a password wrong need not wait.
func TestAServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	t.Run("the source, while the run is planned", func(t *testing.T) {
		t.Parallel()
		r := plannerRound(t, newArena(t), "append", 3*time.Second)
		planner := r.machines[0]
		r.machines = r.machines[:1]
		r.planning(t, planner)
		planner.toData.cut()
		eventually(t, "the user is told", func() bool { return planner.now().said("waiting  ") })
		planner.toData.heal(false)
		r.right(t)
		says(t, planner.now().stderr.String(), "going on  ", "is back after")
		if got := rowsOf(t, r.ledger, `SELECT string_agg(state, ' ') FROM drover.run`); got != "finished" {
			t.Errorf("runs: %s", got)
		}
	})
	t.Run("the ledger", func(t *testing.T) {
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
		url, err := server.CreateDatabase(t.Context(), "ledger")
		if err != nil {
			t.Fatal(err)
		}
		p := newPlace(t)
		p.exec(t, "COPY (SELECT range AS id FROM range(10)) TO '{dir}/in.parquet'")
		p.write(t, "job.yaml", "name: j\nsource: {files: {path: in.parquet}}\nsink: {files: {path: out}}\n")
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		r := p.start(t, "run", "job.yaml", "--ledger", url)
		eventually(t, "the user is told", func() bool { return r.said("waiting           for the ledger: ") })
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if end := r.wait(t); end.code != 0 || !strings.Contains(end.stderr, "going on          the ledger is back after") {
			t.Errorf("exit %d\n%s", end.code, end.stderr)
		}
		for wrong, why := range map[string]string{
			strings.Replace(url, "127.0.0.1", "nowhere.invalid", 1): "no such host", strings.Replace(url, "/ledger", "/other", 1): `database "other" does not exist`,
		} {
			if end := p.drover(t, nil, "run", "job.yaml", "--ledger", wrong); end.code != 3 || !strings.Contains(end.stderr, why) || strings.Contains(end.stderr, "waiting") {
				t.Errorf("exit %d\n%s", end.code, end.stderr)
			}
		}
	})
}
