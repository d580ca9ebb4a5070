package connectortest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// SinkCase is one way to write with a connector.
type SinkCase struct {
	Definition connector.Definition
	// New returns a spec for a target of its own that does not hold any rows.
	New func(t *testing.T) drover.Sink
	// Output is the columns that the suite writes; Selects are its chunks' rows in those columns, as DuckDB SELECTs. Nil means the suite's own:
	// id BIGINT, name VARCHAR, amount DECIMAL(12,2), day DATE.
	Output  drover.Schema
	Selects []string
	// Rows returns the target's rows as sorted lines of text, NULL as "NULL", fields separated by "|".
	Rows func(t *testing.T, spec drover.Sink) []string
	// Staged says that rows are invisible until Publish.
	Staged bool
}

// Sink runs the suite.
func Sink(t *testing.T, c SinkCase) {
	t.Helper()
	if c.Output == nil {
		c.Output = drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "name", Type: "VARCHAR"}, {Name: "amount", Type: "DECIMAL(12,2)"}, {Name: "day", Type: "DATE"}}
		c.Selects = []string{
			"SELECT range AS id, 'n' || range AS name, (range * 1.25)::DECIMAL(12,2) AS amount, DATE '2020-01-01' + range::INTEGER AS day FROM range(3000)",
			"SELECT 1::BIGINT AS id, ''::VARCHAR AS name, 1::DECIMAL(12,2) AS amount, DATE '2020-01-01' AS day WHERE false",
			"SELECT -1::BIGINT AS id, NULL::VARCHAR AS name, NULL::DECIMAL(12,2) AS amount, NULL::DATE AS day",
			"SELECT -2::BIGINT AS id, 'é \"q\", | \\n' || chr(10) || 'x' AS name, -0.01::DECIMAL(12,2) AS amount, DATE '1969-12-31' AS day",
		}
	}
	for name, test := range map[string]func(*testing.T, SinkCase){
		"EveryRowOnce":                        everyRowOnce,
		"OneChunkATime":                       oneChunkATime,
		"ReceiptsCountEachChunk":              receiptsCountEachChunk,
		"ProgramsThatSeeOneChunk":             programsThatSeeOneChunk,
		"ASecondAttemptDoublesNothing":        secondAttempt,
		"AFailedAttemptLeavesNothing":         failedAttempt,
		"PublishTwice":                        publishTwice,
		"ALateAttemptAfterPublish":            lateAttempt,
		"AbortClosesTheRun":                   abortCloses,
		"BeginTwice":                          beginTwice,
		"ZeroRows":                            zeroRows,
		"StagedRowsAreReadBack":               stagedRows,
		"Rule8AChunkNeverLandsBesideItsParts": lateWhole,
		"Rule8AChunkThatCommittedIsNotSplit":  committedWhole,
		"AnyOrderOfClaimsSplitsAndZombies":    anyOrder,
		"IdentityIsStable":                    sinkIdentity,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func (c SinkCase) want(t *testing.T, chunks ...int) []string {
	t.Helper()
	var all []string
	for i, sel := range c.Selects {
		if len(chunks) == 0 || slices.Contains(chunks, i) {
			all = append(all, Lines(t, session(t), sel)...)
		}
	}
	slices.Sort(all)
	return all
}

func (c SinkCase) begin(t *testing.T) (*run, drover.Sink) {
	t.Helper()
	spec := c.New(t)
	return begin(t, c.Definition, spec, c.Output, c.Selects), spec
}

func everyRowOnce(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	r.write(r.chunks...)
	if c.Staged {
		equal(t, "before publish", c.Rows(t, spec), nil)
	}
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func oneChunkATime(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	for _, chunk := range slices.Backward(r.chunks) {
		r.write(chunk)
	}
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func receiptsCountEachChunk(t *testing.T, c SinkCase) {
	r, _ := c.begin(t)
	receipts := r.write(r.chunks...)
	if len(receipts) != len(r.chunks) {
		t.Fatalf("%d receipts for %d chunks", len(receipts), len(r.chunks))
	}
	var bytes int64
	for i, x := range receipts {
		rows := int64(len(c.want(t, i)))
		if x.ChunkID != r.chunks[i].ID || x.Token != r.token || x.RowsOut != rows || x.RowsIn != int64(i+1) || x.RowsScanned == nil || *x.RowsScanned != int64(i+2) || x.PeakMemory != 1<<20 {
			t.Errorf("chunk %d with %d rows: %+v", i, rows, x)
		}
		bytes += x.BytesOut
	}
	if bytes <= 0 {
		t.Errorf("%d bytes out", bytes)
	}
}

func programsThatSeeOneChunk(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	receipts, err := r.attempt(r.chunks, false)
	if err != nil {
		t.Fatal(err)
	}
	r.accept(receipts)
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func secondAttempt(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	first := r.write(r.chunks[:2]...)
	// The ledger never heard of the first attempt, and packs otherwise.
	second, err := r.attempt(r.chunks, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(second) != len(r.chunks) {
		t.Fatalf("%d receipts for %d chunks", len(second), len(r.chunks))
	}
	for i := range first {
		if second[i].RowsOut != first[i].RowsOut {
			t.Errorf("chunk %d: %d rows, then %d", i, first[i].RowsOut, second[i].RowsOut)
		}
	}
	r.accept(second)
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func failedAttempt(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	good := r.selects[3]
	r.selects = slices.Clone(r.selects)
	r.selects[3] = "SELECT * FROM (" + good + ") WHERE error('the input broke')"
	if _, err := r.attempt(r.chunks, true); err == nil {
		t.Fatal("no error")
	}
	r.selects[3] = good
	r.write(r.chunks[:3]...)
	r.write(r.chunks[3])
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func publishTwice(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	r.write(r.chunks...)
	r.publish()
	r.publish()
	equal(t, "published twice", c.Rows(t, spec), c.want(t))
}

func lateAttempt(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	r.write(r.chunks...)
	r.publish()
	if receipts, err := r.attempt(r.chunks, true); err == nil {
		// A sink that finds its receipts may return them.
		for i, x := range receipts {
			if x.Token == r.token {
				t.Errorf("chunk %d was written again", i)
			}
		}
	} else if k := drover.KindOf(err); k != drover.Fenced {
		t.Errorf("kind %q: %v", k, err)
	}
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func abortCloses(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	r.write(r.chunks[:1]...)
	for range 2 {
		committed, err := r.sink.Abort(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Staged == (committed > 0) {
			t.Errorf("%d chunks stay", committed)
		}
	}
	var want []string
	if !c.Staged {
		want = c.want(t, 0)
	}
	if _, err := r.attempt(r.chunks[2:], true); drover.KindOf(err) != drover.Fenced {
		t.Errorf("an attempt of an aborted run: %v", err)
	}
	equal(t, "aborted", c.Rows(t, spec), want)
}

func beginTwice(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	r.write(r.chunks[:2]...)
	state, err := r.sink.Begin(t.Context(), r.id, c.Output)
	if err != nil {
		t.Fatal(err)
	}
	if string(state) != string(r.id.State) {
		t.Errorf("state %s, then %s", r.id.State, state)
	}
	r.write(r.chunks[2:]...)
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

func zeroRows(t *testing.T, c SinkCase) {
	spec := c.New(t)
	r := begin(t, c.Definition, spec, c.Output, []string{c.Selects[1], c.Selects[1]})
	for _, x := range r.write(r.chunks...) {
		if x.RowsOut != 0 {
			t.Errorf("%+v", x)
		}
	}
	r.publish()
	equal(t, "published", c.Rows(t, spec), nil)
}

// stagedRows: what a Stager reads back before publish is what readers see after it.
func stagedRows(t *testing.T, c SinkCase) {
	r, _ := c.begin(t)
	stager, ok := r.sink.(connector.Stager)
	if !ok || !c.Staged {
		t.Logf("%T shows rows early, or does not read them back", r.sink)
		return
	}
	look := func(what string, want []string) {
		t.Helper()
		state, err := stager.StagedState(r.id, r.receipts())
		if err != nil {
			t.Fatal(err)
		}
		s := session(t)
		rel, err := stager.Staged(t.Context(), s, r.id, c.Output, state)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := rel.Close(); err != nil {
				t.Error(err)
			}
		}()
		for range 2 {
			equal(t, what, Lines(t, s, "SELECT * EXCLUDE ("+step.Tag+") FROM "+rel.Chunk(0)), want)
		}
		if types, err := s.Describe(t.Context(), "SELECT * EXCLUDE ("+step.Tag+") FROM "+rel.Chunk(0)); err != nil {
			t.Error(err)
		} else {
			for i, column := range c.Output {
				if types[i].Name != column.Name || types[i].Type != column.Type {
					t.Errorf("column %d is %s %s, want %s %s", i, types[i].Name, types[i].Type, column.Name, column.Type)
				}
			}
		}
	}
	look("nothing staged", nil)
	r.write(r.chunks[1])
	look("no rows staged", nil)
	r.write(r.chunks[2:]...)
	r.write(r.chunks[0])
	look("staged", c.want(t))
}

func sinkIdentity(t *testing.T, c SinkCase) {
	spec := c.New(t)
	var first string
	for i := range 2 {
		sink, err := c.Definition.OpenSink(t.Context(), spec, environment(t))
		if err != nil {
			t.Fatal(err)
		}
		check, err := sink.Check(t.Context(), c.Output)
		if err != nil {
			t.Fatal(err)
		}
		if len(check.Types) != len(c.Output) {
			t.Errorf("types %v", check.Types)
		}
		if i == 1 && check.Identity != first || check.Identity == "" {
			t.Errorf("identity %q, then %q", first, check.Identity)
		}
		first = check.Identity
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(spec) == "" {
		t.Error("the sink does not describe itself")
	}
}
