//go:build !linux

package postgres

import "syscall"

// limitSilence relies on keep-alive probes where the system has no TCP_USER_TIMEOUT.
func limitSilence(string, string, syscall.RawConn) error { return nil }
