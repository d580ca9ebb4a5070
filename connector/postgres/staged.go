package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// StagedState implements connector.Stager: the staging table's name is in the run's state.
func (*tableSink) StagedState(connector.Run, iter.Seq2[connector.Receipt, error]) (json.RawMessage, error) {
	return nil, nil
}

// Staged implements connector.Stager: the staging table is read as a source is.
func (s *tableSink) Staged(ctx context.Context, session *duck.Session, run connector.Run, output drover.Schema, _ json.RawMessage) (_ connector.Relation, err error) {
	st, err := decodeSinkState(run)
	if err != nil {
		return nil, err
	}
	if !st.staged() {
		return nil, drover.Errorf(drover.Invalid, "the rows of %s are not staged", s.spec.Table)
	}
	if len(st.Columns) != len(output) {
		return nil, fmt.Errorf("read staged rows: %d columns for an output of %d", len(st.Columns), len(output))
	}
	opened, err := openSource(ctx, &Source{URL: s.spec.URL, Table: st.Into.sql()}, s.env)
	if err != nil {
		return nil, err
	}
	r := &stagedRows{source: opened}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	schema, err := opened.Schema(ctx)
	if err != nil {
		return nil, err
	}
	for i, c := range output {
		at := schema.Index(st.Columns[i].Name)
		if at < 0 {
			return nil, fmt.Errorf("read staged rows: column %s is not in %s", st.Columns[i].Name, st.Into)
		}
		item := duck.Ident(schema[at].Name)
		if c.Type != "" && c.Type != schema[at].Type {
			item = "CAST(" + item + " AS " + c.Type + ")"
		}
		r.items = append(r.items, item+" AS "+duck.Ident(c.Name))
	}
	all := connector.Chunk{Key: connector.AllKey, Bounds: json.RawMessage("{}")}
	r.Relation, err = opened.Open(ctx, session, schema, nil, []connector.Chunk{all})
	return r, err
}

// stagedRows is a staging table with the columns of the output.
type stagedRows struct {
	connector.Relation
	source connector.Source
	items  []string
}

// Chunk implements connector.Relation.
func (r *stagedRows) Chunk(i int) string {
	return "(SELECT " + strings.Join(r.items, ", ") + ", " + duck.Ident(step.Tag) + " FROM " + r.Relation.Chunk(i) + ")"
}

// All implements connector.Relation.
func (r *stagedRows) All() string { return r.Chunk(0) }

// Close implements connector.Relation.
func (r *stagedRows) Close() error {
	var err error
	if r.Relation != nil {
		err = r.Relation.Close()
	}
	return errors.Join(err, r.source.Close())
}
