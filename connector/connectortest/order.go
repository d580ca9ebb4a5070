package connectortest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// games is how many random orders of anyOrder are played.
const games = 4

// anyOrder plays random orders of claims whose answers are lost or heard, of splits that are done or cut short, and of zombies, beside the simplest ledger: a
// chunk is open, done or split. However it goes, each row is there once.
func anyOrder(t *testing.T, c SinkCase) {
	for seed := range uint64(games) {
		t.Run(fmt.Sprint("game ", seed), func(t *testing.T) {
			r, spec := c.begin(t)
			r.selects = slices.Clone(r.selects)
			g := &game{run: r, rng: rand.New(rand.NewPCG(seed, 21)), split: map[int64]bool{}, void: map[int64]bool{}}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(g.story, "\n"))
				}
			}()
			for range 10 {
				switch g.rng.IntN(4) {
				case 0:
					g.claim(g.rng.IntN(2) == 0)
				case 1, 2:
					g.replace(g.rng.IntN(3) > 0)
				case 3:
					g.zombie()
				}
			}
			for len(g.open()) > 0 {
				g.claim(true)
			}
			r.publish()
			equal(t, "published", c.Rows(t, spec), c.want(t))
			g.zombie()
			equal(t, "after a zombie", c.Rows(t, spec), c.want(t))
		})
	}
}

type game struct {
	*run
	rng         *rand.Rand
	split, void map[int64]bool
	story       []string
}

func (g *game) tell(format string, args ...any) {
	g.story = append(g.story, fmt.Sprintf(format, args...))
}

// open lists the chunks that are neither done nor split.
func (g *game) open() []connector.Chunk {
	var open []connector.Chunk
	for _, c := range g.chunks {
		if _, done := g.ledger[c.ID]; !done && !g.split[c.ID] {
			open = append(open, c)
		}
	}
	return open
}

// claim has some open chunks written. The ledger takes the receipts if it hears of them.
func (g *game) claim(heard bool) {
	open := g.open()
	if len(open) == 0 {
		return
	}
	first := g.rng.IntN(len(open))
	task := open[first:min(len(open), first+1+g.rng.IntN(3))]
	receipts, err := g.attempt(task, true)
	g.tell("chunks %v under token %d, heard %v: %v", ids(task), g.token, heard, err)
	var e *drover.Error
	switch {
	case err == nil && heard:
		g.accept(receipts)
	case err == nil:
	case !errors.As(err, &e) || e.Kind != drover.Fenced || e.Code != connector.Voided || !slices.ContainsFunc(task, func(c connector.Chunk) bool { return g.void[c.ID] }):
		g.t.Fatalf("chunks %v: %v", ids(task), err)
	case len(task) == 1:
		g.parts(task[0])
	}
}

// replace takes an open chunk's receipt key and puts parts in its place, if the driver lives so long.
func (g *game) replace(lives bool) {
	open := g.open()
	if len(open) == 0 || len(g.chunks) > 14 {
		return
	}
	whole := open[g.rng.IntN(len(open))]
	receipt, err := g.sink.Void(g.t.Context(), g.id, whole.ID)
	g.tell("chunk %d is void, and then in parts %v: %+v, %v", whole.ID, lives, receipt, err)
	switch {
	case err != nil:
		g.t.Fatal(err)
	case receipt != nil && g.void[whole.ID]:
		g.t.Fatalf("chunk %d was committed after it was void", whole.ID)
	case receipt != nil && lives:
		g.accept([]connector.Receipt{*receipt})
	case receipt == nil:
		g.void[whole.ID] = true
		if lives {
			g.parts(whole)
		}
	}
}

func (g *game) parts(whole connector.Chunk) {
	g.split[whole.ID] = true
	g.part(whole.ID)
}

// zombie wakes up with some chunks that were ever there, more likely with one that was split. No ledger hears what becomes of them.
func (g *game) zombie() {
	var task []connector.Chunk
	for _, c := range g.chunks {
		if n := g.rng.IntN(4); n == 0 || n == 1 && g.split[c.ID] {
			task = append(task, c)
		}
	}
	if len(task) == 0 {
		return
	}
	receipts, err := g.attempt(task, true)
	g.tell("a zombie's chunks %v under token %d: %v", ids(task), g.token, err)
	if err != nil && (drover.KindOf(err) != drover.Fenced || receipts != nil) {
		g.t.Fatalf("a zombie's chunks %v: receipts %v, %v", ids(task), receipts, err)
	}
}

func ids(chunks []connector.Chunk) []int64 {
	out := make([]int64, len(chunks))
	for i, c := range chunks {
		out[i] = c.ID
	}
	return out
}
