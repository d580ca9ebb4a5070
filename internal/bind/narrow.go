package bind

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/calls"
	"github.com/droverdata/drover/internal/downcast"
	"github.com/droverdata/drover/internal/step"
)

// enoughRows is how many rows are looked at for the smallest types, if five chunks have as many.
const enoughRows = 200_000

// narrow finds the smaller types that a function receives because of the downcast steps before it (exactness.md 33), once for the run: from the
// first chunks of the source.
func (b *Bound) narrow(ctx context.Context, reg connector.Registry, env connector.Env, before []step.Call, call *step.Call) error {
	columns := downcastColumns(b.Job.Frame.Steps[:call.Step], call.Input)
	if len(columns) == 0 {
		return nil
	}
	session, err := b.sampleSession(ctx, env)
	if err != nil {
		return err
	}
	defer session.Close()
	read, over := session, func(source connector.Relation, _ connector.Chunk) connector.Relation { return source }
	if len(before) > 0 {
		runner, err := calls.New(session, before, "plan", b.Job.Name, b.functionEnv(env))
		if err != nil {
			return err
		}
		defer runner.Close() //nolint:errcheck // its process is of no more use
		if read, err = b.sampleSession(ctx, env); err != nil {
			return err
		}
		defer read.Close()
		over = func(source connector.Relation, chunk connector.Chunk) connector.Relation {
			return runner.Over(ctx, read, source, []connector.Chunk{chunk})
		}
	}
	var all []downcast.Stats
	err = b.sample(ctx, reg, env, session, func(source connector.Relation, chunk connector.Chunk) (bool, error) {
		relation := over(source, chunk)
		defer relation.Close() //nolint:errcheck // it was only read
		rows, err := read.Texts(ctx, downcast.Query(columns, "("+call.Before.Chunk(relation.Chunk(0), 0)+")"))
		if err != nil {
			return false, fmt.Errorf("look for the smallest types: %w", err)
		}
		stats, err := downcast.Parse(columns, rows[0])
		if err != nil {
			return false, err
		}
		if stats[0].Rows == 0 {
			return false, nil
		}
		if call.NarrowedBy = append(call.NarrowedBy, chunk.Key); all == nil {
			all = stats
		} else {
			for i, s := range stats {
				all[i] = downcast.Merge(all[i], s)
			}
		}
		return all[0].Rows >= enoughRows || len(call.NarrowedBy) == mostSamples, nil
	})
	if err != nil {
		return err
	}
	for i, s := range all {
		if c := downcast.ForFunctions(columns[i].Type, s); c.Type != columns[i].Type {
			call.Narrow = append(call.Narrow, drover.Column{Name: columns[i].Name, Type: c.Type})
		}
	}
	return nil
}

// downcastColumns are the columns that steps narrow, by the names that they have after them. A cast that follows decides itself.
func downcastColumns(steps []drover.Step, columns drover.Schema) drover.Schema {
	all, some, out := false, map[string]bool{}, map[string]bool{}
	for _, st := range steps {
		switch st.Kind() {
		case "downcast":
			for _, name := range st.Downcast {
				all = all || name == drover.AllColumns
				some[strings.ToLower(name)], out[strings.ToLower(name)] = true, false
			}
			if all {
				clear(out)
			}
		case "rename":
			for _, p := range st.Rename {
				from, to := strings.ToLower(p.Key), strings.ToLower(p.Value)
				some[to], out[to] = some[from], out[from]
			}
		case "cast":
			for _, p := range st.Cast {
				some[strings.ToLower(p.Key)], out[strings.ToLower(p.Key)] = false, true
			}
		}
	}
	var found drover.Schema
	for _, c := range columns {
		if key := strings.ToLower(c.Name); (all || some[key]) && !out[key] {
			found = append(found, drover.Column{Name: c.Name, Type: c.Type})
		}
	}
	return found
}
