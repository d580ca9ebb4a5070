// Package pgdial opens connections to Postgres servers whose death is noticed: a host that vanishes, or a network that drops what is sent, sends no sign.
package pgdial

import (
	"net"
	"time"
)

// Dialer returns a dialer whose connections are given up once the peer has left data unacknowledged, or probes unanswered, for so long.
func Dialer(silence time.Duration) *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3},
		Control:         limitSilence(silence),
	}
}
