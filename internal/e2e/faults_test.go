package e2e

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/droverdata/drover/internal/pgtest"
)

const (
	// faultRounds is how many rounds TestFaults plays, unless $DROVER_FAULT_ROUNDS says. The first round's seed is 1, or $DROVER_FAULT_SEED; with that alone
	// only this one is played.
	faultRounds = 20
	// faultLanes is how many rounds are played side by side. They wait more than they compute.
	faultLanes = 4
)

// TestFaults plays rounds in which several machines work on one run while processes die or fall asleep, servers go down and links break, as the
// round's seed has it. Afterwards the same command must end with 0, and everything that can be counted be right.
//
//	DROVER_FAULT_SEED=17 go test ./internal/e2e -run TestFaults -count=1 -v
func TestFaults(t *testing.T) {
	t.Parallel()
	first, rounds := 1, faultRounds
	if text := os.Getenv("DROVER_FAULT_SEED"); text != "" {
		first, rounds = number(t, "DROVER_FAULT_SEED", text), 1
	}
	if text := os.Getenv("DROVER_FAULT_ROUNDS"); text != "" {
		rounds = number(t, "DROVER_FAULT_ROUNDS", text)
	}
	seeds := make(chan int)
	var lanes sync.WaitGroup
	for range min(faultLanes, rounds) {
		lanes.Go(func() {
			var a *arena
			for seed := range seeds {
				if a == nil {
					a = newArena(t)
				}
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { newRound(t, a, seed).play(t) })
			}
		})
	}
	for i := range rounds {
		seeds <- first + i
	}
	close(seeds)
	lanes.Wait()
}

func number(t *testing.T, name, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a positive number", name, text)
	}
	return n
}

// arena is what the rounds of a lane have in common: two servers that may be killed.
type arena struct {
	ledger, target *pgtest.Server
	databases      int
}

func newArena(t *testing.T) *arena {
	t.Helper()
	var a arena
	for _, s := range []**pgtest.Server{&a.ledger, &a.target} {
		server, err := pgtest.Start(t.Context(), "", pgtest.Options{})
		if err != nil {
			t.Error(err)
			return &a
		}
		*s = server
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return &a
}

// database makes an empty database.
func (a *arena) database(t *testing.T, s *pgtest.Server) string {
	t.Helper()
	a.databases++
	url, err := s.CreateDatabase(t.Context(), fmt.Sprintf("round%d", a.databases))
	if err != nil {
		t.Fatal(err)
	}
	return url
}
