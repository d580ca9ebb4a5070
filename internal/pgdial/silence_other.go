//go:build !linux

package pgdial

import (
	"syscall"
	"time"
)

// limitSilence relies on keep-alive probes where the system has no TCP_USER_TIMEOUT.
func limitSilence(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
