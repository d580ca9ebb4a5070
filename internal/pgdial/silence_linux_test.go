package pgdial

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSilenceIsLimitedInTheKernel: only the kernel knows that nothing is acknowledged.
func TestSilenceIsLimitedInTheKernel(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Dialer(30*time.Second).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct{ name, want int }{{unix.TCP_USER_TIMEOUT, 30_000}, {unix.TCP_KEEPIDLE, 15}, {unix.TCP_KEEPINTVL, 5}, {unix.TCP_KEEPCNT, 3}} {
		var got int
		var getErr error
		if err := raw.Control(func(fd uintptr) { got, getErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, o.name) }); err != nil || getErr != nil {
			t.Fatal(err, getErr)
		}
		if got != o.want {
			t.Errorf("option %d is %d, want %d", o.name, got, o.want)
		}
	}
}
