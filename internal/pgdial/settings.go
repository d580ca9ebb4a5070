package pgdial

import (
	"context"
	"crypto/tls"
	"net"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5/pgconn"
)

// tlsVersions are the values of ssl_min_protocol_version and ssl_max_protocol_version.
var tlsVersions = map[string]uint16{"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13}

// Settle takes parameters that libpq keeps to itself, and pgconn would send to the server as settings, out of c, and does what they say. One that
// cannot be honoured is an error of kind Invalid that names it. Those that do nothing here are about what drover does in any case, or never does.
// Their meaning: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
func Settle(c *pgconn.Config) error {
	take := func(name string) string {
		value := c.RuntimeParams[name]
		delete(c.RuntimeParams, name)
		return value
	}
	for _, name := range []string{"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslcompression", "gsslib"} {
		take(name)
	}
	if name := take("fallback_application_name"); name != "" && c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = name
	}
	switch mode := take("gssencmode"); mode {
	case "", "disable", "prefer":
	default:
		return unsupported("gssencmode", "remove it, and encrypt by TLS: sslmode=require")
	}
	if take("gssdelegation") == "1" {
		return unsupported("gssdelegation", "remove it")
	}
	for _, name := range []string{"sslcrl", "sslcrldir"} {
		if take(name) != "" {
			return unsupported(name, "remove it: revoked certificates are then not told apart")
		}
	}
	network, _ := pgconn.NetworkAddress(c.Host, c.Port)
	if take("requirepeer") != "" && network == "unix" {
		return unsupported("requirepeer", "remove it, or name a host: over TCP it has no meaning")
	}
	if err := settleAddress(c, take("hostaddr"), network); err != nil {
		return err
	}
	return settleVersions(c, take("ssl_min_protocol_version"), take("ssl_max_protocol_version"))
}

// settleAddress has c's host be reached at address, without a look-up of its name.
func settleAddress(c *pgconn.Config, address, network string) error {
	if address == "" {
		return nil
	}
	several := strings.Contains(address, ",")
	for _, f := range c.Fallbacks {
		several = several || f.Host != c.Host
	}
	switch {
	case several:
		return unsupported("hostaddr", "name the addresses as hosts: hostaddr is for one host")
	case network == "unix":
		return unsupported("hostaddr", "name the address as host: hostaddr only says where a named host is")
	case net.ParseIP(address) == nil:
		return drover.Errorf(drover.Invalid, "hostaddr is no IP address").WithField("url").WithHint("name it as host")
	}
	c.LookupFunc = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	return nil
}

func settleVersions(c *pgconn.Config, lowest, highest string) error {
	configs := []*tls.Config{c.TLSConfig}
	for _, f := range c.Fallbacks {
		configs = append(configs, f.TLSConfig)
	}
	for name, value := range map[string]string{"ssl_min_protocol_version": lowest, "ssl_max_protocol_version": highest} {
		version, known := tlsVersions[strings.ToLower(value)]
		if value != "" && !known {
			return drover.Errorf(drover.Invalid, "%s is no version of TLS", name).WithField("url").WithHint("TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")
		}
		for _, t := range configs {
			switch {
			case t == nil || value == "":
			case name == "ssl_min_protocol_version":
				t.MinVersion = version
			default:
				t.MaxVersion = version
			}
		}
	}
	return nil
}

func unsupported(name, hint string) error {
	return drover.Errorf(drover.Invalid, "the connection parameter %s is not supported with this value", name).WithField("url").WithHint("%s", hint)
}
