package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the server of a test binary. It is the one global of this package: the testing package offers no other place
// for what all tests of a binary share.
var shared struct {
	sync.Mutex
	running   bool // Main is active
	server    *Server
	databases int
}

// Main runs the tests of a package and stops the server that Shared started, if any:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	shared.Lock()
	shared.running = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	shared.running = false
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			return max(code, 1)
		}
		shared.server = nil
	}
	return code
}

// Shared returns the server that all tests of the binary share, and starts it on the first call. TestMain must
// use Main. A test that kills its server starts its own.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		tb.Fatal("pgtest: TestMain must call pgtest.Main, which stops the server")
	}
	if shared.server == nil {
		s, err := Start(context.Background(), "", Options{})
		if err != nil {
			tb.Fatalf("pgtest: %v", err)
		}
		shared.server = s
	}
	return shared.server
}

// Database makes an empty database on the shared server and returns its URL. It goes when the server goes.
func Database(tb testing.TB) string {
	tb.Helper()
	s := Shared(tb)
	shared.Lock()
	shared.databases++
	name := fmt.Sprintf("t%d", shared.databases)
	shared.Unlock()
	url, err := s.CreateDatabase(context.Background(), name)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return url
}
