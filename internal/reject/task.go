package reject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/fault"
	"github.com/droverdata/drover/internal/step"
)

// stagedTable holds a task's rejects on their way to the rejects' sink.
const stagedTable = "temp.drover_rejects"

// Task is an attempt that failed for its data and is made again, this time without the rows at fault.
type Task struct {
	// Attempt has the chunks of the input, and State of the rejects' sink's run.
	Attempt connector.Attempt
	State   []byte
	// Steps runs the program alone, and Sink writes what it yields.
	Steps, Sink connector.Trier
	// Into takes the rejects; nil in a dry run.
	Into connector.Sink
	// Most is how many rows may be rejected.
	Most int64
	// Parts are those of a program that is not row-wise but ends in steps that are; nil for others.
	Parts *Parts
	// Explain finds the step and the column behind the failure of the one row of relation; nil where it cannot.
	Explain func(ctx context.Context, relation string, why *drover.Error) *drover.Error
	// Suspect returns programs over the program's input, each of which yields step.Tag of rows that may fail, and which columns of the input the
	// program looks at; nil where it cannot.
	Suspect func(ctx context.Context) (programs []step.Program, reads []string, err error)
}

// Parts are a program in two: the rows that Head yields, with the columns Between, are those of Tail, which looks at one at a time.
type Parts struct {
	Head, Tail step.Program
	Between    drover.Schema
}

// Separate returns the input without the rows that the program or the sink refuses, which it stages. They are the rows of the source where the program looks
// at one at a time; of other programs only what they yield can be told apart, or what the last of their steps that sees more yields. done frees what holds the
// rows, which the input needs.
func (t Task) Separate(ctx context.Context, in connector.Input) (out connector.Input, done func() error, err error) {
	n := len(t.Attempt.Chunks)
	whole := !in.Program.RowWise && t.Parts == nil
	var rel connector.Keeper
	var rows int64
	switch {
	case in.Program.RowWise:
		rel, rows, err = keep(ctx, in.Session, in.Relation, in.Source, n)
	case whole:
		rel, rows, err = keepQuery(ctx, in.Session, in.Query(n), in.Relation, in.Output, n)
		in.Program, in.Source = identity(in.Output), in.Output
	default:
		in.Program = t.Parts.Head
		rel, rows, err = keepQuery(ctx, in.Session, in.Query(n), in.Relation, t.Parts.Between, n)
		in.Program, in.Source = t.Parts.Tail, t.Parts.Between
	}
	if err != nil {
		return in, nil, err
	}
	in.Relation = rel
	f := finder{rel: rel, most: t.Most}
	if err := t.find(ctx, &f, in, rows, whole); err != nil {
		return in, rel.Close, err
	}
	if len(f.found) > 0 {
		if in.Rejected, err = t.stage(ctx, in.Session, rel, f.found, whole); err != nil {
			return in, rel.Close, err
		}
	}
	rel.Limit(0, rows, f.rows())
	return in, rel.Close, nil
}

// find tries parts of the input: the program alone first, which costs less, then with the sink.
func (t Task) find(ctx context.Context, f *finder, in connector.Input, rows int64, whole bool) (err error) {
	in.Progress = func(int64, int64, int64, int64) {} // what is tried is not written
	tries := []connector.Trier{t.Steps, t.Sink}
	if whole {
		tries = tries[1:] // the program is behind these rows
	}
	for _, judge := range tries {
		trial, err := judge.Try(ctx, t.Attempt.Run)
		if err != nil {
			return err
		}
		try := func(ctx context.Context) error { return trial.Rows(ctx, in, len(t.Attempt.Chunks)) }
		var hint func() error
		if judge == t.Steps && t.Suspect != nil {
			hint = func() error { return t.suspects(ctx, f, in, rows, trial) }
		}
		err = f.find(ctx, rows, try, hint)
		if err = errors.Join(err, trial.Close()); err != nil {
			return err
		}
	}
	return nil
}

// explain finds the step and the column behind the failure of the one row of rel.
func (t Task) explain(ctx context.Context, rel connector.Relation, why *drover.Error) *drover.Error {
	if t.Explain == nil {
		return why
	}
	return t.Explain(ctx, rel.All(), why) // the same words may be said of other columns of another row
}

// identity is the program that changes nothing.
func identity(columns drover.Schema) step.Program {
	return step.Program{SQL: "SELECT " + strings.Join(append(names(columns), step.Tag), ", ") + " FROM " + step.Input(), RowWise: true}
}

// stage writes the culprits to the rejects' sink and returns what receipts say of them.
func (t Task) stage(ctx context.Context, session *duck.Session, rel connector.Keeper, found []culprit, whole bool) ([]connector.Rejected, error) {
	out := make([]connector.Rejected, len(t.Attempt.Chunks))
	if err := session.Exec(ctx, `CREATE OR REPLACE TEMP TABLE drover_rejects (job VARCHAR, run VARCHAR, chunk VARCHAR, "column" VARCHAR, reason VARCHAR, "row" VARCHAR, `+step.Tag+" BIGINT)"); err != nil {
		return nil, fmt.Errorf("collect the rejects: %w", err)
	}
	// Rows may be small and many, or few and very large.
	for size := 1; len(found) > 0; {
		batch := found[:min(size, len(found))]
		found = found[len(batch):]
		insert, err := t.staged(ctx, rel, batch, whole, out)
		if err == nil {
			err = session.Exec(ctx, "INSERT INTO "+stagedTable+" VALUES "+insert)
		}
		if err != nil {
			return nil, fmt.Errorf("collect the rejects: %w", err)
		}
		if size *= 2; len(insert) > batchBytes {
			size = max(size/4, 1)
		}
		size = min(size, mostBatch)
	}
	if t.Into == nil {
		return out, nil
	}
	attempt := t.Attempt
	attempt.Run.State = t.State
	receipts, err := t.Into.Write(ctx, attempt, func(context.Context, []connector.Chunk) (connector.Input, error) {
		staged := &table{counts: make([]connector.Count, len(out))}
		for i := range out {
			staged.counts[i].Rows = out[i].Rows
		}
		return connector.Input{
			Session: session, Relation: staged, Program: identity(Schema()), Source: Schema(), Output: Schema(),
			Progress: func(int64, int64, int64, int64) {}, PeakMemory: func() int64 { return 0 },
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("stage the rejects: %w", err)
	}
	fault.Point(ctx)
	// Each chunk names what holds its rejects: it may be done again without its neighbours, or they without it.
	note := receipts[slices.IndexFunc(receipts, func(r connector.Receipt) bool { return len(r.Publish) > 0 })].Publish
	for i := range out {
		if out[i].Rows > 0 {
			out[i].Staged = note
		}
	}
	return out, session.Exec(ctx, "DROP TABLE "+stagedTable)
}

// batchBytes is how much text is staged at a time, and mostBatch how many rows.
const (
	batchBytes = 256 << 10
	mostBatch  = 256
)

// staged is the list of VALUES for some culprits, which it counts in out.
func (t Task) staged(ctx context.Context, rel connector.Keeper, batch []culprit, whole bool, out []connector.Rejected) (string, error) {
	rows, err := kept(ctx, rel, batch)
	if err != nil {
		return "", err
	}
	run, list := t.Attempt.Run, make([]string, len(batch))
	for i, x := range batch {
		why := x.why
		if !whole && !x.explained {
			rel.Limit(x.row, x.row+1, nil)
			why = t.explain(ctx, rel, why)
		}
		chunk := rows[i].chunk
		out[chunk].Rows++
		column := "NULL"
		if why.Column != "" {
			column = duck.Literal(why.Column)
		}
		values := []string{duck.Literal(run.Job), duck.Literal(run.ID), duck.Literal(t.Attempt.Chunks[chunk].Key), column, duck.Literal(reason(why)), duck.Literal(rows[i].text), fmt.Sprint(chunk)}
		list[i] = "(" + strings.Join(values, ", ") + ")"
	}
	return strings.Join(list, ", "), nil
}

// reason is why a row was rejected, on one line.
func reason(why *drover.Error) string {
	text := why.Error()
	if why.Sample != "" && !strings.Contains(text, why.Sample) {
		text += " · value " + why.Sample
	}
	return strings.Join(strings.Fields(text), " ")
}

// table is stagedTable as a relation.
type table struct{ counts []connector.Count }

func (*table) All() string { return "(SELECT * FROM " + stagedTable + ")" }
func (*table) Chunk(i int) string {
	return fmt.Sprintf("(SELECT * FROM %s WHERE %s = %d)", stagedTable, step.Tag, i)
}
func (t *table) Count(i int) connector.Count { return t.counts[i] }
func (*table) Close() error                  { return nil }
