package ledgertest

import (
	"encoding/json"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/ledger"
)

func failing(err error) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		if yield(connector.Chunk{Key: "a"}, nil) {
			yield(connector.Chunk{}, err)
		}
	}
}

func testClaim(t *testing.T, fixture Fixture) {
	t.Run("takes neighbours up to the bounds", func(t *testing.T) {
		b := started(t, fixture, 100)
		b.claim(3, 0, 1, 2)
		b.claimWith(ledger.Want{MaxBytes: 45}, 3, 4, 5, 6)
		b.claimWith(ledger.Want{MaxBytes: 1}, 7)
		b.claimWith(ledger.Want{MaxBytes: 20, MaxChunks: 5}, 8, 9)
		if task := b.claimAll(); len(task.Chunks) != 90 {
			t.Errorf("an unbounded claim took %d chunks", len(task.Chunks))
		}
		b.claim(0)
	})
	t.Run("stops at a gap", func(t *testing.T) {
		b := started(t, fixture, 6)
		first, second := b.claim(2, 0, 1), b.claim(2, 2, 3)
		b.fail(first, ledger.Failure{Verdict: ledger.Release})
		b.claim(0, 0, 1)
		b.fail(second, ledger.Failure{Verdict: ledger.Release})
		b.claim(0, 2, 3, 4, 5)
	})
	t.Run("takes only the keys that are wanted", func(t *testing.T) {
		b := started(t, fixture, 10)
		only := ledger.Want{Only: []string{"k3", "k4", "k7", "nope"}}
		b.claimWith(only, 3, 4)
		b.claimWith(only, 7)
		b.claimWith(only)
	})
	t.Run("returns chunks as they were added", func(t *testing.T) {
		b := empty(t, fixture)
		want := []connector.Chunk{
			{ID: 0, Key: "", Bounds: json.RawMessage(`{"v":""}`)},
			{ID: 1, Key: `O'Brien "x" \ %s $1 ?`, Bounds: json.RawMessage(`{"v":"O'Brien \"x\" \\ %s $1 ?","n":1.50,"big":9007199254740993}`), Rows: 1 << 40, Bytes: 1 << 50},
			{ID: 2, Key: "日本語 🙂 e\u0301\n\t", Bounds: json.RawMessage(`["日本語 🙂"]`)},
			{ID: 3, Key: strings.Repeat("ä", 5000), Bounds: json.RawMessage(`"a string"`)},
			{ID: 4, Key: "(null)", Bounds: nil},
			{ID: 5, Key: "5", Bounds: json.RawMessage(`5`)},
		}
		b.add(0, listed(want...))
		b.start()
		task := b.claim(0, 0, 1, 2, 3, 4, 5)
		if diff := cmp.Diff(want, task.Chunks); diff != "" {
			t.Error(diff)
		}
		for i, r := range b.rows() {
			if r.Key != want[i].Key {
				t.Errorf("chunk %d has key %q", i, r.Key)
			}
		}
	})
	t.Run("keys that no database stores are made storable", func(t *testing.T) {
		b := empty(t, fixture)
		b.add(0, listed(connector.Chunk{Key: "a\x00b\xff"}))
		b.start()
		task := b.claimWith(ledger.Want{Only: []string{"a\x00b\xff"}}, 0)
		if got := task.Chunks[0].Key; got != "a\uFFFDb\uFFFD" {
			t.Errorf("%q", got)
		}
	})
	t.Run("tokens grow strictly", func(t *testing.T) {
		b := started(t, fixture, 3)
		last := int64(0)
		for i := range 9 {
			task := b.claim(1, int64(i%3))
			if task.Token <= last {
				t.Errorf("token %d after %d", task.Token, last)
			}
			last = task.Token
			b.Advance(lease/3 + time.Minute) // so that the first is free again when the third is taken
		}
	})
	t.Run("of drivers that claim at once no two get one chunk", func(t *testing.T) {
		concurrentClaims(t, fixture)
	})
}

func (b *bench) claimAll() ledger.Task {
	b.tb.Helper()
	task, err := b.Claim(b.tb.Context(), b.uid, ledger.Want{Worker: "worker", Lease: lease})
	b.must(err)
	return task
}

func concurrentClaims(t *testing.T, fixture Fixture) {
	const chunks, drivers = 2000, 8
	b := started(t, fixture, chunks)
	var mu sync.Mutex
	owners := map[int64]int64{}
	var wg sync.WaitGroup
	for d := range drivers {
		l := b.Ledger
		if d%2 == 1 {
			l = open(t, b.Harness)
		}
		wg.Go(func() {
			for n := 0; ; n++ {
				task, err := l.Claim(t.Context(), b.uid, ledger.Want{Worker: "w", Lease: lease, MaxChunks: 1 + n%7})
				if err != nil {
					t.Error(err)
					return
				}
				if len(task.Chunks) == 0 {
					return
				}
				mu.Lock()
				for _, c := range task.Chunks {
					if other, taken := owners[c.ID]; taken {
						t.Errorf("chunk %d was claimed by tokens %d and %d", c.ID, other, task.Token)
					}
					owners[c.ID] = task.Token
				}
				mu.Unlock()
				if n%5 == 4 {
					if lost, err := l.Extend(t.Context(), b.uid, []int64{task.Token}, lease); err != nil || len(lost) > 0 {
						t.Error("lost", lost, err)
					}
				}
				if err := l.Finish(t.Context(), b.uid, task.Token, receipts(task)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(owners) != chunks {
		t.Errorf("%d chunks were claimed", len(owners))
	}
	if n := len(b.rows(ledger.ChunkFinished)); n != chunks {
		t.Errorf("%d chunks are finished", n)
	}
}

func testLease(t *testing.T, fixture Fixture) {
	t.Run("an expired claim is taken over, and its zombie changes nothing", func(t *testing.T) {
		b := started(t, fixture, 4)
		old := b.claimWith(ledger.Want{MaxChunks: 4, Worker: "zombie"}, 0, 1, 2, 3)
		b.Advance(lease - slack)
		b.claim(0)
		b.Advance(2 * slack)
		// Only a part of its chunks is taken. The claim is lost as a whole all the same.
		task := b.claim(2, 0, 1)
		if task.Token <= old.Token || task.Attempts != 0 || task.Losses != 0 {
			t.Errorf("%+v", task)
		}
		before := b.rows()
		part := connector.Chunk{Key: "part"}
		b.want(b.Finish(t.Context(), b.uid, old.Token, receipts(old)), ledger.ErrFenced)
		b.want(b.Fail(t.Context(), b.uid, old.Token, ledger.Failure{Verdict: ledger.Halve, Counts: true}), ledger.ErrFenced)
		lost, err := b.Extend(t.Context(), b.uid, []int64{old.Token, task.Token}, lease)
		if err != nil || !cmp.Equal(lost, []int64{old.Token}) {
			t.Errorf("lost %v, %v", lost, err)
		}
		single := b.claim(1, 2)
		b.Advance(2 * lease)
		b.claim(1, 0)
		b.claim(1, 1)
		b.claim(1, 2)
		b.want(b.SplitChunk(t.Context(), b.uid, single.Token, []connector.Chunk{part, part}), ledger.ErrFenced)
		b.want(b.Fail(t.Context(), b.uid, single.Token, ledger.Failure{Verdict: ledger.Final}), ledger.ErrFenced)
		b.want(b.Finish(t.Context(), b.uid, 999999, nil), ledger.ErrFenced)
		if diff := cmp.Diff(len(before), len(b.rows())); diff != "" {
			t.Error(diff)
		}
		b.states("rrrr")
	})
	t.Run("an expired claim that nobody took is still its owner's", func(t *testing.T) {
		b := started(t, fixture, 2)
		task := b.claim(0, 0, 1)
		b.Advance(2 * lease)
		lost, err := b.Extend(t.Context(), b.uid, []int64{task.Token}, lease)
		if err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
		b.claim(0)
		b.Advance(2 * lease)
		b.finish(task)
	})
	t.Run("extended leases hold", func(t *testing.T) {
		b := started(t, fixture, 3)
		one, two := b.claim(1, 0), b.claim(2, 1, 2)
		for range 5 {
			b.Advance(lease - slack)
			if lost, err := b.Extend(t.Context(), b.uid, []int64{one.Token, two.Token}, lease); err != nil || len(lost) > 0 {
				t.Fatal(lost, err)
			}
			b.claim(0)
		}
		b.finish(two)
		if lost, err := b.Extend(t.Context(), b.uid, []int64{one.Token, two.Token}, lease); err != nil || !cmp.Equal(lost, []int64{two.Token}) {
			t.Error(lost, err)
		}
	})
}
