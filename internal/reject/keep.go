package reject

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// keptTable holds the rows of a task. A session has one task at a time.
const keptTable = "temp.drover_kept"

// copied is a relation's rows in a table of the session. It implements connector.Keeper for relations that cannot keep their rows themselves.
type copied struct {
	session *duck.Session
	table   string
	columns drover.Schema
	// items are what All selects, in the order of columns.
	items  []string
	counts []connector.Count

	from, to int64
	except   []int64
}

// keep makes the rows of rel readable again and again.
func keep(ctx context.Context, session *duck.Session, rel connector.Relation, columns drover.Schema, chunks int) (connector.Keeper, int64, error) {
	if k, ok := rel.(connector.Keeper); ok {
		rows, err := k.Keep(ctx)
		return k, rows, err
	}
	return keepQuery(ctx, session, "SELECT * FROM "+rel.All(), rel, columns, chunks)
}

// keepQuery does the same with a query over rel that yields columns and step.Tag.
func keepQuery(ctx context.Context, session *duck.Session, query string, rel connector.Relation, columns drover.Schema, chunks int) (connector.Keeper, int64, error) {
	if err := session.Exec(ctx, "CREATE OR REPLACE TEMP TABLE drover_kept AS "+query); err != nil {
		return nil, 0, err
	}
	k := &copied{session: session, table: keptTable, columns: columns, items: names(columns), counts: make([]connector.Count, chunks)}
	for i := range k.counts {
		k.counts[i] = rel.Count(i)
	}
	rows, err := k.Keep(ctx)
	return k, rows, err
}

// Keep implements connector.Keeper.
func (k *copied) Keep(ctx context.Context) (int64, error) {
	n, err := k.session.Texts(ctx, "SELECT count(*) FROM "+k.table)
	if err != nil {
		return 0, fmt.Errorf("count the rows of a task: %w", err)
	}
	k.to, err = strconv.ParseInt(*n[0][0], 10, 64)
	return k.to, err
}

// Limit implements connector.Keeper.
func (k *copied) Limit(from, to int64, except []int64) { k.from, k.to, k.except = from, to, except }

// All implements connector.Relation. DuckDB moves no condition of the program below a LIMIT: rows beyond the limits never meet one, on which
// they might fail.
func (k *copied) All() string { return k.where("true") }

// Chunk implements connector.Relation.
func (k *copied) Chunk(i int) string { return k.where(fmt.Sprintf("%s = %d", step.Tag, i)) }

func (k *copied) where(condition string) string {
	if len(k.except) > 0 {
		numbers := make([]string, len(k.except))
		for i, n := range k.except {
			numbers[i] = strconv.FormatInt(n, 10)
		}
		condition += " AND rowid NOT IN (" + strings.Join(numbers, ", ") + ")"
	}
	return fmt.Sprintf("(SELECT %s, %s FROM %s WHERE rowid >= %d AND rowid < %d AND %s LIMIT %d)",
		strings.Join(k.items, ", "), step.Tag, k.table, k.from, k.to, condition, max(k.to-k.from, 1))
}

// names are the columns' quoted names.
func names(columns drover.Schema) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = duck.Ident(c.Name)
	}
	return out
}

// Count implements connector.Relation.
func (k *copied) Count(i int) connector.Count { return k.counts[i] }

// Close implements connector.Relation.
func (k *copied) Close() error {
	return k.session.Exec(context.Background(), "DROP TABLE IF EXISTS "+k.table)
}

// Row implements connector.Keeper.
func (k *copied) Row(ctx context.Context, number int64) (chunk int, row string, err error) {
	exprs := make([]string, len(k.columns))
	for i, c := range k.columns {
		exprs[i] = duck.Ident(c.Name) + " := " + duck.JSON(c.Type, duck.Ident(c.Name))
	}
	rows, err := k.session.Texts(ctx, fmt.Sprintf("SELECT %s, to_json(struct_pack(%s))::VARCHAR FROM %s WHERE rowid = %d", step.Tag, strings.Join(exprs, ", "), k.table, number))
	if err != nil {
		return 0, "", err
	}
	if len(rows) != 1 || rows[0][0] == nil || rows[0][1] == nil {
		return 0, "", fmt.Errorf("the task has no row %d", number)
	}
	chunk, err = strconv.Atoi(*rows[0][0])
	return chunk, *rows[0][1], err
}
