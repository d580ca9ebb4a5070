package connectortest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// SourceCase is one thing that a connector reads.
type SourceCase struct {
	Definition connector.Definition
	// New returns a spec of something that holds Rows.
	New func(t *testing.T) drover.Source
	// Columns is what Schema must answer, as "name TYPE" joined by ", ".
	Columns string
	// Rows is the rows as sorted lines of text, NULL as "NULL", fields separated by "|".
	Rows []string
	// Chunkings are the ways to cut it that the suite tries.
	Chunkings []drover.Chunking
}

// Source runs the suite.
func Source(t *testing.T, c SourceCase) {
	t.Helper()
	slices.Sort(c.Rows)
	for _, chunking := range append([]drover.Chunking{{}}, c.Chunkings...) {
		t.Run(strings.Trim(fmt.Sprintf("%+v", chunking), "{}"), func(t *testing.T) {
			o := openSource(t, c, chunking)
			o.check(t, o.chunks)
			o.resumed(t, c, chunking)
			o.subsets(t)
			o.split(t)
		})
	}
	t.Run("IdentityIsStable", func(t *testing.T) {
		spec := c.New(t)
		var first string
		for i := range 2 {
			src := open(t, c.Definition, spec)
			id, err := src.Identity(t.Context())
			if err != nil || id == "" || i == 1 && id != first {
				t.Errorf("identity %q, then %q, %v", first, id, err)
			}
			first = id
		}
	})
}

func open(t *testing.T, d connector.Definition, spec drover.Source) connector.Source {
	t.Helper()
	src, err := d.OpenSource(t.Context(), spec, environment(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return src
}

// opened is a source that is cut.
type opened struct {
	c      SourceCase
	spec   drover.Source
	src    connector.Source
	schema drover.Schema
	state  json.RawMessage
	chunks []connector.Chunk
}

func openSource(t *testing.T, c SourceCase, chunking drover.Chunking) *opened {
	t.Helper()
	spec := c.New(t)
	o := &opened{c: c, spec: spec, src: open(t, c.Definition, spec)}
	var err error
	if o.schema, err = o.src.Schema(t.Context()); err != nil {
		t.Fatal(err)
	}
	columns := make([]string, len(o.schema))
	for i, col := range o.schema {
		columns[i] = col.Name + " " + col.Type
	}
	if got := strings.Join(columns, ", "); got != c.Columns {
		t.Errorf("columns %s, want %s", got, c.Columns)
	}
	if o.state, err = o.src.Begin(t.Context(), chunking, nil); err != nil {
		t.Fatal(err)
	}
	o.cut(t, chunking)
	return o
}

func (o *opened) cut(t *testing.T, chunking drover.Chunking) {
	t.Helper()
	o.chunks = nil
	keys := map[string]bool{}
	for chunk, err := range o.src.Chunks(t.Context(), chunking, o.state) {
		if err != nil {
			t.Fatal(err)
		}
		if keys[chunk.Key] {
			t.Errorf("two chunks are called %q", chunk.Key)
		}
		keys[chunk.Key] = true
		chunk.ID = int64(len(o.chunks))
		o.chunks = append(o.chunks, chunk)
	}
}

// read returns the rows of chunks through All and through each Chunk by itself, which must agree with each other and with Count.
func (o *opened) read(t *testing.T, chunks []connector.Chunk) []string {
	t.Helper()
	s := session(t)
	relation := func() connector.Relation {
		rel, err := o.src.Open(t.Context(), s, o.schema, o.state, chunks)
		if err != nil {
			t.Fatal(err)
		}
		return rel
	}
	rel := relation()
	all := Lines(t, s, "SELECT * FROM "+rel.All())
	counted := make([]int64, len(chunks))
	for i := range chunks {
		counted[i] = rel.Count(i).Rows
	}
	if err := rel.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	rel = relation()
	var each, rows []string
	for i := range chunks {
		part := Lines(t, s, "SELECT * FROM "+rel.Chunk(i))
		if n := rel.Count(i).Rows; n != int64(len(part)) || n != counted[i] {
			t.Errorf("chunk %s: %d rows, Count says %d by itself and %d among all", chunks[i].Key, len(part), n, counted[i])
		}
		for _, line := range part {
			if !strings.HasSuffix(line, fmt.Sprintf("|%d", i)) {
				t.Fatalf("chunk %d has the row %q: %s must be %d", i, line, step.Tag, i)
			}
		}
		each = append(each, part...)
	}
	if err := rel.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	slices.Sort(each)
	equal(t, "All, against each Chunk", all, each)
	for _, line := range all {
		rows = append(rows, line[:strings.LastIndexByte(line, '|')])
	}
	slices.Sort(rows)
	return rows
}

// check reads chunks, which must hold every row once.
func (o *opened) check(t *testing.T, chunks []connector.Chunk) {
	t.Helper()
	equal(t, "rows", o.read(t, chunks), o.c.Rows)
}

// resumed opens the source again with the state of before, as a worker and a resuming driver do.
func (o *opened) resumed(t *testing.T, c SourceCase, chunking drover.Chunking) {
	t.Helper()
	again := *o
	again.src = open(t, c.Definition, o.spec)
	state, err := again.src.Begin(t.Context(), chunking, o.state)
	if err != nil {
		t.Fatal(err)
	}
	again.state = state
	again.check(t, o.chunks)
	again.cut(t, chunking)
	if len(again.chunks) != len(o.chunks) {
		t.Errorf("%d chunks, then %d", len(o.chunks), len(again.chunks))
	}
}

// subsets reads the chunks in two tasks, each in reverse order: nothing may depend on the packing.
func (o *opened) subsets(t *testing.T) {
	t.Helper()
	var rows []string
	for part := range slices.Chunk(o.chunks, len(o.chunks)/2+1) {
		part = slices.Clone(part)
		slices.Reverse(part)
		rows = append(rows, o.read(t, part)...)
	}
	slices.Sort(rows)
	equal(t, "rows of two tasks", rows, o.c.Rows)
}

// split cuts every chunk as far as splitDepth, and reads the parts in its place.
func (o *opened) split(t *testing.T) {
	t.Helper()
	if _, can := o.src.(connector.Splitter); !can {
		return
	}
	var parts []connector.Chunk
	keys := map[string]bool{}
	for _, whole := range o.chunks {
		pieces := o.pieces(t, whole, splitDepth)
		if len(pieces) > 1 {
			equal(t, fmt.Sprintf("the parts of chunk %s", whole.Key), o.read(t, pieces), o.read(t, []connector.Chunk{whole}))
		}
		parts = append(parts, pieces...)
	}
	for i := range parts {
		parts[i].ID = int64(i)
		if keys[parts[i].Key] {
			t.Errorf("two parts are called %q", parts[i].Key)
		}
		keys[parts[i].Key] = true
	}
	equal(t, "rows of all parts", o.read(t, parts), o.c.Rows)
}

const splitDepth = 3

// pieces splits a chunk, and its parts, as often as depth says and as it can be.
func (o *opened) pieces(t *testing.T, chunk connector.Chunk, depth int) []connector.Chunk {
	t.Helper()
	if depth == 0 {
		return []connector.Chunk{chunk}
	}
	parts, err := o.src.(connector.Splitter).Split(t.Context(), o.state, chunk)
	if err != nil {
		t.Fatalf("split chunk %s: %v", chunk.Key, err)
	}
	if len(parts) < 2 {
		return []connector.Chunk{chunk}
	}
	var all []connector.Chunk
	for _, part := range parts {
		all = append(all, o.pieces(t, part, depth-1)...)
	}
	return all
}
