package reject

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// mostCompared is how many numbers each row is compared with, one after the other.
const mostCompared = 32

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
		list := listed(k.except)
		if len(k.except) > mostCompared {
			list = "SELECT unnest([" + list + "])" // a hash table
		}
		condition += " AND rowid NOT IN (" + list + ")"
	}
	return fmt.Sprintf("(SELECT %s, %s FROM %s WHERE rowid >= %d AND rowid < %d AND %s LIMIT %d)",
		strings.Join(k.items, ", "), step.Tag, k.table, k.from, k.to, condition, max(k.to-k.from, 1))
}

// listed writes numbers out for SQL.
func listed(numbers []int64) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, ", ")
}

// Items select columns, with NULL in the place of those that are not read: they may hold what DuckDB cannot.
func Items(columns drover.Schema, reads []string) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		switch out[i] = duck.Ident(c.Name); {
		case slices.Contains(reads, c.Name):
		case c.Type == "":
			out[i] = "NULL::BLOB AS " + out[i]
		default:
			out[i] = "NULL::" + c.Type + " AS " + out[i]
		}
	}
	return out
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

// keptRow is a row of a Keeper as a JSON object, and the index of its chunk.
type keptRow struct {
	chunk int
	text  string
}

// kept returns the rows of culprits, which are sorted: those of a table in one query.
func kept(ctx context.Context, rel connector.Keeper, batch []culprit) ([]keptRow, error) {
	if k, ok := rel.(*copied); ok {
		numbers := make([]int64, len(batch))
		for i, x := range batch {
			numbers[i] = x.row
		}
		return k.rows(ctx, numbers)
	}
	rows := make([]keptRow, len(batch))
	for i, x := range batch {
		var err error
		if rows[i].chunk, rows[i].text, err = rel.Row(ctx, x.row); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// Row implements connector.Keeper.
func (k *copied) Row(ctx context.Context, number int64) (chunk int, row string, err error) {
	rows, err := k.rows(ctx, []int64{number})
	if err != nil {
		return 0, "", err
	}
	return rows[0].chunk, rows[0].text, nil
}

// rows returns rows by their numbers, in the table's order.
func (k *copied) rows(ctx context.Context, numbers []int64) ([]keptRow, error) {
	exprs := make([]string, len(k.columns))
	for i, c := range k.columns {
		exprs[i] = duck.Ident(c.Name) + " := " + duck.JSON(c.Type, duck.Ident(c.Name))
	}
	found, err := k.session.Texts(ctx, fmt.Sprintf("SELECT %s, to_json(struct_pack(%s))::VARCHAR FROM %s WHERE rowid IN (%s) ORDER BY rowid", step.Tag, strings.Join(exprs, ", "), k.table, listed(numbers)))
	if err != nil {
		return nil, err
	}
	if len(found) != len(numbers) {
		return nil, fmt.Errorf("the task has %d of the rows %s", len(found), listed(numbers))
	}
	rows := make([]keptRow, len(found))
	for i, r := range found {
		if r[0] == nil || r[1] == nil {
			return nil, fmt.Errorf("the rows %s became no JSON objects", listed(numbers))
		}
		if rows[i].chunk, err = strconv.Atoi(*r[0]); err != nil {
			return nil, err
		}
		rows[i].text = *r[1]
	}
	return rows, nil
}
