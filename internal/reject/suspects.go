package reject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// suspectTable holds the suspects' rows, and accusedTable their numbers.
const (
	suspectTable = "temp.drover_suspects"
	accusedTable = "temp.drover_accused"
)

// number is the column of suspectTable with the row's number.
const number = "__drover_number"

// suspects looks for culprits among the rows that t.Suspect names, apart from the others: a row that fails a conversion is found in one pass over all
// rows, a try of few rows with the columns that the program looks at is cheap, and of rows that are alike in them one is tried. Those that it does not name, or where it fails, are left to find.
func (t Task) suspects(ctx context.Context, f *finder, in connector.Input, rows int64, trial connector.Trial) (err error) {
	programs, reads, err := t.Suspect(ctx)
	if err != nil || len(programs) == 0 {
		return ctx.Err()
	}
	s := in.Session
	defer func() {
		for _, table := range []string{suspectTable, accusedTable} {
			err = errors.Join(err, s.Exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+table))
		}
	}()
	some, err := t.gather(ctx, f, in, rows, programs, reads)
	if err != nil || some == nil {
		return err
	}
	n, err := some.Keep(ctx)
	if err != nil {
		return err
	}
	in.Relation = some
	among := finder{rel: some, most: f.most}
	if err := among.find(ctx, n, func(ctx context.Context) error { return trial.Rows(ctx, in, len(t.Attempt.Chunks)) }, nil); err != nil || len(among.found) == 0 {
		return err
	}
	numbers, err := s.Texts(ctx, "SELECT array_to_string("+number+", ',') FROM "+suspectTable+" ORDER BY rowid")
	if err != nil {
		return fmt.Errorf("number the rows at fault: %w", err)
	}
	for _, x := range among.found {
		some.Limit(x.row, x.row+1, nil)
		why := t.explain(ctx, some, x.why)
		for text := range strings.SplitSeq(*numbers[x.row][0], ",") {
			row, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return fmt.Errorf("number the rows at fault: %w", err)
			}
			if err := f.add(culprit{row: row, why: why, explained: true}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// gather fills suspectTable; nil where a program fails, or nobody is suspected.
func (t Task) gather(ctx context.Context, f *finder, in connector.Input, rows int64, programs []step.Program, reads []string) (*copied, error) {
	some := &copied{session: in.Session, table: suspectTable, columns: in.Source, counts: make([]connector.Count, len(t.Attempt.Chunks))}
	some.items = Items(in.Source, reads)
	looked := slices.DeleteFunc(slices.Clone(in.Source), func(c drover.Column) bool { return !slices.Contains(reads, c.Name) })
	read := names(looked)
	f.rel.Limit(0, rows, nil)
	numbered := fmt.Sprintf("(SELECT *, row_number() OVER () - 1 AS %s FROM %s)", number, f.rel.All())
	if k, ok := f.rel.(*copied); ok {
		numbered = fmt.Sprintf("(SELECT *, rowid AS %s FROM %s)", number, k.table)
	}
	statements := make([]string, 0, len(programs)+1)
	for i, p := range programs {
		into := "INSERT INTO " + accusedTable + " "
		if i == 0 {
			into = "CREATE OR REPLACE TEMP TABLE drover_accused AS "
		}
		statements = append(statements, into+p.Over(fmt.Sprintf("(SELECT %s, %s AS %s FROM %s)", strings.Join(some.items, ", "), number, step.Tag, numbered)))
	}
	// Rows that have the same values where the program looks fail in the same way. Values that are only equal, such as zeros of both signs, may not.
	items, group := append(read, step.Tag, "["+number+"] AS "+number), ""
	if !slices.ContainsFunc(looked, func(c drover.Column) bool { return !exact(c.Type) }) {
		items, group = append(read, fmt.Sprintf("min(%[1]s) AS %[1]s, list(%[2]s) AS %[2]s", step.Tag, number)), " GROUP BY ALL"
	}
	statements = append(statements, fmt.Sprintf("CREATE OR REPLACE TEMP TABLE drover_suspects AS SELECT %s FROM %s WHERE %s IN (FROM %s)%s",
		strings.Join(items, ", "), numbered, number, accusedTable, group))
	for _, sql := range statements {
		err := in.Session.Exec(ctx, sql)
		if _, data := connector.Rejectable(err); data {
			return nil, nil // a value that DuckDB cannot hold, or another error of a step: find finds it
		}
		if err != nil {
			return nil, fmt.Errorf("look for rows at fault: %w", err)
		}
	}
	return some, nil
}

// exact reports whether two values of a type that are equal are the same.
func exact(typ string) bool {
	return strings.HasPrefix(typ, "DECIMAL(") || slices.Contains([]string{
		"VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "UUID",
	}, typ)
}
