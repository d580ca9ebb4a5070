package e2e

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// link is the network between one machine and one server: a TCP proxy that delays, stalls and breaks. Of toxiproxy, none of whose toxics keeps bytes and
// delivers them later, on the same connection, we would need only what is here.
type link struct {
	listener net.Listener
	to       string
	delay    time.Duration // of each piece that is passed on
	all      sync.WaitGroup

	mu     sync.Mutex
	open   chan struct{} // closed while bytes flow
	refuse bool
	conns  map[net.Conn]bool
	closed bool
}

// newLink opens a link to a port of this machine. The test's end closes it.
func newLink(t *testing.T, port int, delay time.Duration) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{
		listener: listener, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), delay: delay,
		open: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	close(l.open)
	l.all.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *link) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

func (l *link) accept() {
	for {
		conn, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && l.keep(conn) {
			l.all.Go(func() { l.serve(conn) })
		}
	}
}

// keep notes a connection, or closes it where the link is to have none.
func (l *link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.refuse {
		_ = conn.Close()
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
	_ = conn.Close()
}

func (l *link) serve(client net.Conn) {
	defer l.drop(client)
	l.pass()
	server, err := net.Dial("tcp", l.to)
	if err != nil || !l.keep(server) {
		return
	}
	defer l.drop(server)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			l.pump(way[0], way[1])
			l.pass() // an end travels like bytes do
			_ = client.Close()
			_ = server.Close()
		})
	}
	both.Wait()
}

func (l *link) pump(from io.Reader, to io.Writer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.mu.Lock()
			delay := l.delay
			l.mu.Unlock()
			time.Sleep(delay)
			l.pass()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while the link is stalled.
func (l *link) pass() {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	<-open
}

// stall lets nothing pass, and breaks nothing: neither side hears of the other until heal.
func (l *link) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(chan struct{})
}

// cut breaks all connections, and refuses new ones until heal.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = true
	for conn := range l.conns {
		_ = conn.Close()
	}
}

// heal ends a stall or a cut. What a stall held up arrives now, unless lost says that its connections were given up meanwhile.
func (l *link) heal(lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = false
	if lost {
		for conn := range l.conns {
			_ = conn.Close()
		}
	}
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

func (l *link) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.heal(true)
	l.all.Wait()
}
