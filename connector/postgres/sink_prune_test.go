package postgres

import (
	"iter"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

func (j *job) prune(old connector.Old) connector.Pruned {
	j.t.Helper()
	old.Job = j.run.Job
	got, err := j.sink.Prune(j.t.Context(), old)
	j.must(err)
	return got
}

// each yields receipts as a ledger does.
func each(list []connector.Receipt) iter.Seq2[connector.Receipt, error] {
	return func(yield func(connector.Receipt, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestRule9TheGateOutlivesPrunedReceiptsAndShutsAZombieOut(t *testing.T) {
	for _, mode := range []Mode{Append, Replace} {
		t.Run(string(mode), func(t *testing.T) {
			u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t VALUES (99)")
			j := newJob(t, &Sink{URL: u, Table: "t", Mode: mode}, numbers(0, 2)).begin()
			receipts := j.write(0)
			j.publish()
			old := connector.Old{Finished: []connector.Run{j.run}, DryRun: true}
			if got := j.prune(old); got.Receipts != 1 || got.Tables != 0 || !got.Known[j.run.UID] {
				t.Errorf("a dry run: %+v", got)
			}
			old.DryRun = false
			for _, n := range []int64{1, 0} {
				if got := j.prune(old); got.Receipts != n || !got.Known[j.run.UID] {
					t.Errorf("%+v, want %d receipts", got, n)
				}
			}
			want(t, conn, "(SELECT count(*) FROM drover.receipt)", "(0)")
			rows := int64(2)
			if mode == Append {
				rows = 3
			}
			_, err := j.try(0)
			if drover.KindOf(err) != drover.Fenced {
				t.Errorf("a zombie's attempt: %v", err)
			}
			want(t, conn, "(SELECT count(*) = "+asJSON(t, rows)+" FROM t)", "(t)")
			want(t, conn, "(SELECT state, outcome FROM drover.gate)", "(closed,published)")
			// A driver that crashed between publish and the ledger's last word finds nothing to do again.
			if gone, err := j.sink.Verify(t.Context(), j.run, each(receipts)); err != nil || len(gone) > 0 {
				t.Errorf("gone %v, %v", gone, err)
			}
			j.publish()
		})
	}
}

func TestPruneRemovesTheStagingTableOfAnAbandonedRunAndSparesAllOthers(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t VALUES (99); CREATE TABLE drover_mine_0 (id bigint)")
	spec := &Sink{URL: u, Table: "t", Mode: Replace}
	old, open := newJob(t, spec, numbers(0, 2)).begin(), newJob(t, spec, numbers(0, 2)).begin()
	old.write(0)
	open.write(0)
	runs := connector.Old{Abandoned: []connector.Run{old.run, {UID: "of another target", ID: "x"}}, DryRun: true}
	for _, dry := range []bool{true, false} {
		runs.DryRun = dry
		if got := old.prune(runs); got.Tables != 1 || got.Receipts != 1 || len(got.Known) != 1 {
			t.Errorf("dry %v: %+v", dry, got)
		}
	}
	want(t, conn, "(SELECT run_uid, state FROM drover.gate)", "("+old.run.UID+",closed)", "("+open.run.UID+",open)")
	want(t, conn, "(SELECT run_uid FROM drover.receipt)", "("+open.run.UID+")")
	want(t, conn, "(SELECT relname FROM pg_class WHERE relname LIKE 'drover\\_%' AND relkind = 'r')", "("+open.state().Into.Name+")", "(drover_mine_0)")
	want(t, conn, "t", "(99)")
	open.publish()
	want(t, conn, "t", "(0)", "(1)")
}

func TestPruneSparesWhatALedgerCallsFinishedWhileItsGateIsOpen(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, numbers(0, 2)).begin()
	j.write(0)
	if got := j.prune(connector.Old{Finished: []connector.Run{j.run}}); got.Receipts != 0 || got.Tables != 0 {
		t.Errorf("%+v", got)
	}
	want(t, conn, "(SELECT count(*) FROM drover.receipt)", "(1)")
	j.publish()
	want(t, conn, "t", "(0)", "(1)")
}

func TestPruneRemovesReceiptsThatALedgerHasForgotten(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2)).complete()
	execSQL(t, conn, "UPDATE drover.gate SET closed_at = now() - interval '3 hours'")
	for age, n := range map[time.Duration]int64{4 * time.Hour: 0, 2 * time.Hour: 1} {
		if got := j.prune(connector.Old{Age: age, DryRun: true}); got.Receipts != n {
			t.Errorf("older than %s: %+v", age, got)
		}
	}
	other := connector.Old{Job: "other", Age: 2 * time.Hour}
	if got, err := j.sink.Prune(t.Context(), other); err != nil || got.Receipts != 0 {
		t.Errorf("another job's: %+v %v", got, err)
	}
	if got := j.prune(connector.Old{Age: 2 * time.Hour}); got.Receipts != 1 {
		t.Errorf("%+v", got)
	}
	want(t, conn, "t", "(0)", "(1)")
}

func TestPruneWhereNoRunEverBegan(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, numbers(0, 2))
	if got := j.prune(connector.Old{Abandoned: []connector.Run{j.run}}); len(got.Known) != 0 {
		t.Errorf("%+v", got)
	}
	want(t, conn, "(SELECT count(*) FROM pg_namespace WHERE nspname = 'drover')", "(0)")
}
