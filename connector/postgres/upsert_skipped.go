package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// leavesRows reports whether the merge itself may store fewer rows than there are.
func (st sinkState) leavesRows() bool {
	return st.Ignore || st.Latest != "" || len(st.Key) == len(st.Columns)
}

// refuseSkipped refuses rows that a trigger skipped, unless the target has them as they are: suppress_redundant_updates_trigger() does that.
func refuseSkipped(ctx context.Context, tx pgx.Tx, st sinkState, from string, rows, stored int64) error {
	same := make([]string, len(st.Key))
	for i, k := range st.Key {
		same[i] = "t." + quote(k) + " = f." + quote(k)
	}
	var lost bool
	err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s f WHERE NOT EXISTS (SELECT FROM %s t WHERE %s AND %s = %s))",
		from, st.Target.sql(), strings.Join(same, " AND "), rowText("t.", st), rowText("f.", st))).Scan(&lost)
	if err == nil && lost {
		return skipped("write to "+st.Target.String(), rows, stored)
	}
	return err
}

// mergeWatch finds out whether a trigger skipped rows of a merge that itself may store fewer rows than there are.
type mergeWatch struct {
	st sinkState
	// rows are the rows that the merge is to store where they are not there yet, as a relation f. lacks is the condition on f under which the
	// target lacks one.
	rows, lacks string
	// missing is how many were lacking before the merge.
	missing int64
}

// watchMerge looks at the target before a merge. It returns nil where the number of stored rows says it all, or where there is no trigger
// that could skip rows: looking costs a join with the target.
func watchMerge(ctx context.Context, tx pgx.Tx, st sinkState, from string) (*mergeWatch, error) {
	if !st.leavesRows() {
		return nil, nil // nothing to watch
	}
	// tgtype: 1 is FOR EACH ROW, 2 BEFORE, 4 INSERT, 16 UPDATE (src/include/catalog/pg_trigger.h). Partitions may have triggers of their own.
	var skips bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0
		AND (g.tgrelid = $1::oid OR g.tgrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass))))`, st.OID).Scan(&skips)
	if err != nil || !skips {
		return nil, err
	}
	same := make([]string, len(st.Key))
	for i, k := range st.Key {
		same[i] = "t." + quote(k) + " = f." + quote(k)
	}
	key := quoteAll(st.Key)
	w := &mergeWatch{st: st, rows: fmt.Sprintf("(SELECT DISTINCT ON (%[2]s) * FROM %[1]s ORDER BY %[2]s) f", from, key)}
	kept := strings.Join(same, " AND ")
	if st.Latest != "" {
		w.rows = fmt.Sprintf("(SELECT DISTINCT ON (%[2]s) * FROM %[1]s ORDER BY %[2]s, %[3]s DESC NULLS LAST, %[4]s DESC) f",
			from, key, quote(st.Latest), rowText("", st))
		if !st.Ignore && len(st.Key) < len(st.Columns) {
			kept += " AND NOT " + beats("f.", st)
		}
	}
	w.lacks = fmt.Sprintf("NOT EXISTS (SELECT FROM %s t WHERE %s)", st.Target.sql(), kept)
	err = tx.QueryRow(ctx, "SELECT count(*) FROM "+w.rows+" WHERE "+w.lacks).Scan(&w.missing)
	return w, err
}

// check refuses a merge that stored fewer rows than were missing, unless another attempt stored them meanwhile.
func (w *mergeWatch) check(ctx context.Context, tx pgx.Tx, stored int64) error {
	if stored >= w.missing {
		return nil
	}
	var lost bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+w.rows+" WHERE "+w.lacks+")").Scan(&lost)
	if err == nil && lost {
		return skipped("write to "+w.st.Target.String(), w.missing, stored)
	}
	return err
}
