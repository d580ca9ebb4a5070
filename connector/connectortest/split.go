package connectortest

import (
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// lateWhole splits chunk 0 by a void receipt, as a driver does whose attempt overran its memory, while that attempt lives on: whatever it does,
// only the parts land.
func lateWhole(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	whole := r.chunks[0]
	if receipt, err := r.sink.Void(t.Context(), r.id, whole.ID); receipt != nil || err != nil {
		t.Fatalf("void of a chunk that nobody has written: %v, %v", receipt, err)
	}
	// It fails, or leaves receipts that no ledger takes: the token of the claim ended with the split.
	late, err := r.attempt([]connector.Chunk{whole}, true)
	if err != nil && drover.KindOf(err) != drover.Fenced {
		t.Errorf("the late attempt: got %v, want it fenced or unheard", err)
	}
	if err != nil && late != nil {
		t.Errorf("the late attempt failed and has receipts %v", late)
	}
	if receipt, err := r.sink.Void(t.Context(), r.id, whole.ID); receipt != nil || err != nil {
		t.Errorf("the second void of a chunk: %v, %v", receipt, err)
	}
	r.part(whole.ID)
	r.write(r.chunks[1:]...)
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

// committedWhole finds chunk 0 in the target when it is about to be split: either its receipt says so, and it is finished by that, or only an
// accepted receipt makes it visible, and the parts land in its place.
func committedWhole(t *testing.T, c SinkCase) {
	r, spec := c.begin(t)
	whole := r.chunks[0]
	if _, err := r.attempt([]connector.Chunk{whole}, true); err != nil { // its answer is lost
		t.Fatal(err)
	}
	receipt, err := r.sink.Void(t.Context(), r.id, whole.ID)
	if err != nil {
		t.Fatal(err)
	}
	if receipt != nil {
		if receipt.ChunkID != whole.ID || receipt.RowsOut != int64(len(c.want(t, 0))) {
			t.Errorf("the receipt of chunk %d: %+v", whole.ID, receipt)
		}
		r.accept([]connector.Receipt{*receipt})
		r.chunks = r.chunks[1:]
		r.write(r.chunks...)
		r.chunks = append([]connector.Chunk{whole}, r.chunks...)
	} else {
		r.part(whole.ID)
		r.write(r.chunks[1:]...)
	}
	r.publish()
	equal(t, "published", c.Rows(t, spec), c.want(t))
}

// part replaces a chunk by two new ones that hold its rows.
func (r *run) part(id int64) {
	r.t.Helper()
	n := int64(len(r.chunks))
	for i, where := range []string{"(id % 2 = 0) IS TRUE", "(id % 2 = 0) IS NOT TRUE"} {
		r.selects = append(r.selects, "SELECT * FROM ("+r.selects[id]+") WHERE "+where)
		r.chunks = append(r.chunks, connector.Chunk{ID: n + int64(i), Key: where})
	}
}
