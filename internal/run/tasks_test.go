package run

import (
	"testing"

	"github.com/droverdata/drover/internal/ledger"
)

// tasks packs chunks of the given sizes as a run with so many slots does, and returns each task's bytes.
func tasks(sizes []int64, slots int64, how packing) []int64 {
	var total int64
	for _, n := range sizes {
		total += n
	}
	want := ledger.Want{}
	want.MaxBytes, want.MaxChunks = taskSize(total, int64(len(sizes)), slots, how)
	var out []int64
	for i := 0; i < len(sizes); {
		p := ledger.NewPacker(want)
		out = append(out, 0)
		for i < len(sizes) && p.Take(ledger.Candidate{ID: int64(i), Bytes: sizes[i]}) {
			out[len(out)-1] += sizes[i]
			i++
		}
	}
	return out
}

func TestPartitionedFilesTakeFewTasks(t *testing.T) {
	var taxi, even, huge []int64
	for i := range int64(12) {
		taxi, even = append(taxi, 46<<20+i%3<<19), append(even, 47<<20)
	}
	for range 100 {
		huge = append(huge, 120<<20)
	}
	for _, sizes := range [][]int64{taxi, even} {
		if got := tasks(sizes, 2, fewTasks); len(got) > 4 {
			t.Errorf("12 chunks of about 47 MiB on 2 slots make %d tasks", len(got))
		}
		if got := tasks(sizes, 2, manyTasks); len(got) != 12 {
			t.Errorf("for a sink that does not mind, they make %d tasks", len(got))
		}
	}
	// A chunk more or less than a multiple of the tasks must not make each chunk a task.
	for n := 4; n < 30; n++ {
		var sizes []int64
		for i := range n {
			sizes = append(sizes, 20<<20+int64(i%2)<<18)
		}
		if got := tasks(sizes, 2, fewTasks); len(got) > 4 {
			t.Errorf("%d chunks of about 20 MiB on 2 slots make %d tasks", n, len(got))
		}
	}
	for _, n := range tasks(huge, 2, fewTasks) {
		if n > 512<<20 {
			t.Errorf("a task has %d MiB of input", n>>20)
		}
	}
	if got := tasks([]int64{1, 1, 1}, 4, fewTasks); len(got) != 3 {
		t.Errorf("3 chunks on 4 slots make %d tasks", len(got))
	}
}

// Each of these tasks reads the table from its beginning to its end; a second driver finds work in a small one.
func TestScatteredValuesTakeOneTaskASlot(t *testing.T) {
	for _, c := range []struct {
		zips, bytes, slots int64
		how                packing
		want               int
	}{
		{3_000, 300 << 10, 1, onePass, 1},
		{3_000, 300 << 10, 1, fewPasses, 2},
		{3_000, 300 << 10, 2, onePass, 2},
		{3_000, 300 << 10, 2, fewPasses, 2},
		{3_000, 300 << 10, 4, fewPasses, 4},
		{40_000, 8 << 10, 2, onePass, 5},
		{300, 300 << 10, 2, onePass, 4},
		{30_000, 300 << 10, 1, onePass, 5},
		{30_000, 300 << 10, 2, fewPasses, 5},
	} {
		zips := make([]int64, c.zips)
		for i := range zips {
			zips[i] = c.bytes + int64(i%7)<<10
		}
		if got := tasks(zips, c.slots, c.how); len(got) != c.want {
			t.Errorf("%+v: %d tasks", c, len(got))
		}
	}
}

func TestOnlyAChunkThatOthersWouldWaitForIsSplitBeforeItRuns(t *testing.T) {
	for _, c := range []struct{ bytes, slots, want int64 }{
		{bytes: 600 << 20, slots: 2, want: 150 << 20},   // 30 % of the rows under one key are 180 MiB
		{bytes: 100 << 20, slots: 8, want: taskBytes},   // what makes a task is never too much
		{bytes: 8 << 30, slots: 2, want: fewTasksBytes}, // and more than that always
	} {
		if got := oversized(c.bytes, c.slots); got != c.want {
			t.Errorf("%d MiB on %d slots: above %d MiB", c.bytes>>20, c.slots, got>>20)
		}
	}
}

// TestChunksOfADeadDriverArePackedAsThoseThatNobodyBegan: their leases run out, and who resumes the run would otherwise make a task of each.
func TestChunksOfADeadDriverArePackedAsThoseThatNobodyBegan(t *testing.T) {
	size := func(state ledger.ChunkState) ledger.Want {
		r, _, _ := plannable(t, &fickleSource{}, &awaySink{})
		p, err := r.newPool(t.Context(), 0, ledger.Totals{Chunks: map[ledger.ChunkState]int64{state: 3000}, PendingBytes: 300 << 20}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return p.want
	}
	fresh, left := size(ledger.Pending), size(ledger.Running)
	if left.MaxChunks != fresh.MaxChunks || left.MaxBytes != fresh.MaxBytes || fresh.MaxChunks < 100 {
		t.Errorf("tasks of %d chunks, and of %d after a crash", fresh.MaxChunks, left.MaxChunks)
	}
}
