package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// spoolState is what a merge task needs to know of the first stage.
type spoolState struct {
	Area   string      `json:"area"`
	Spools []spoolFile `json:"spools"` // by chunk
}

type spoolFile struct {
	Chunk int64  `json:"chunk"` // the lowest of the attempt that wrote it
	Token string `json:"token"`
	Size  int64  `json:"size"`
}

// within are the spools of a range.
func (s spoolState) within(b spoolRange) []spoolFile {
	var inside []spoolFile
	for _, f := range s.Spools {
		if f.Chunk >= b.From && f.Chunk < b.To {
			inside = append(inside, f)
		}
	}
	return inside
}

func decodeSpools(state gojson.RawMessage, chunk connector.Chunk) (st spoolState, b spoolRange, err error) {
	if err := gojson.Unmarshal(state, &st); err != nil {
		return st, b, fmt.Errorf("decode the list of spools: %w", err)
	}
	if err := gojson.Unmarshal(chunk.Bounds, &b); err != nil {
		return st, b, fmt.Errorf("decode the bounds of chunk %d: %w", chunk.ID, err)
	}
	return st, b, nil
}

// State implements connector.Spools.
func (p *spools) State(run connector.Run, all iter.Seq2[connector.Receipt, error]) (gojson.RawMessage, error) {
	st := spoolState{Area: p.area(run)}
	err := eachSpool(all, func(chunk int64, note spooled) {
		st.Spools = append(st.Spools, spoolFile{chunk, note.Token, note.Size})
	})
	if err != nil {
		return nil, err
	}
	return gojson.Marshal(st)
}

// spoolRelation implements connector.Relation.
type spoolRelation struct {
	session *duck.Session
	chunks  []connector.Chunk
	selects []string
	counts  []func() []int64
	closers []func()
}

// Open implements connector.Spools. A spool that is gone is an error of kind Fenced: its chunks must be done again before anything can be merged.
func (p *spools) Open(ctx context.Context, session *duck.Session, schema drover.Schema, state gojson.RawMessage, chunks []connector.Chunk) (connector.Relation, error) {
	r := &spoolRelation{session: session, chunks: chunks}
	for i, c := range chunks {
		st, b, err := decodeSpools(state, c)
		if err != nil {
			return nil, err
		}
		var paths []string
		for _, f := range st.within(b) {
			o, err := p.store.Staged(ctx, st.Area, f.Token)
			if errors.Is(err, fs.ErrNotExist) || err == nil && o.Size != f.Size {
				return nil, drover.Errorf(drover.Fenced, "a spool of the run is gone from %s: %s", st.Area, f.Token).
					WithHint("run the same command again: the chunks that it held are read again")
			}
			if err != nil {
				return nil, p.storeError("read", err)
			}
			paths = append(paths, globEscape(filepath.Join(st.Area, filepath.FromSlash(f.Token))))
		}
		r.selects = append(r.selects, selectSpools(schema, paths, b, i))
	}
	return r, nil
}

// selectSpools returns the SELECT of a range of spools: the output's columns in their types, and the tag.
func selectSpools(schema drover.Schema, paths []string, b spoolRange, tag int) string {
	columns := make([]string, len(schema))
	for i, c := range schema {
		from := spoolColumn(i)
		if len(paths) == 0 {
			from = "NULL"
		}
		columns[i] = from + "::" + c.Type + " AS " + duck.Ident(c.Name)
	}
	sql := fmt.Sprintf("SELECT %s, %d::BIGINT AS %s", strings.Join(columns, ", "), tag, tagIdent())
	if len(paths) == 0 {
		return sql + " WHERE false"
	}
	return sql + fmt.Sprintf(" FROM read_parquet(%s, hive_partitioning=false, union_by_name=false) WHERE %s >= %d AND %s < %d",
		literals(paths), spoolHash, b.Low, spoolHash, b.High)
}

// Chunk implements connector.Relation.
func (r *spoolRelation) Chunk(i int) string { return r.counted(r.selects[i]) }

// All implements connector.Relation.
func (r *spoolRelation) All() string { return r.counted(strings.Join(r.selects, "\nUNION ALL\n")) }

// counted wraps a SELECT so that its rows are counted by chunk.
func (r *spoolRelation) counted(sql string) string {
	const twin = "__drover_counted"
	sql, counts, remove := r.session.AddTally("SELECT *, "+duck.Ident(step.Tag)+" AS "+twin+" FROM ("+sql+")", twin, len(r.chunks))
	r.counts = append(r.counts, counts)
	r.closers = append(r.closers, remove)
	return "(" + sql + ")"
}

// Count implements connector.Relation. Bytes are the estimated share of the spools.
func (r *spoolRelation) Count(i int) connector.Count {
	c := connector.Count{Bytes: r.chunks[i].Bytes}
	for _, counts := range r.counts {
		c.Rows += counts()[i]
	}
	return c
}

// Close implements connector.Relation.
func (r *spoolRelation) Close() error {
	for _, remove := range r.closers {
		remove()
	}
	r.closers = nil
	return nil
}
