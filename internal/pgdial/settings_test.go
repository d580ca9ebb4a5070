package pgdial

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5/pgconn"
)

func parsed(t *testing.T, query string) *pgconn.Config {
	t.Helper()
	t.Setenv("PGAPPNAME", "")
	c, err := pgconn.ParseConfig(query)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestParametersOfLibpqAreNotSentToTheServer, which refuses what it does not know.
func TestParametersOfLibpqAreNotSentToTheServer(t *testing.T) {
	c := parsed(t, "postgres://u@db/x?gssencmode=disable&keepalives=1&keepalives_idle=30&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=1"+
		"&fallback_application_name=me&hostaddr=127.0.0.9&sslcompression=0&gsslib=gssapi&gssdelegation=0&requirepeer=postgres"+
		"&ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=tlsv1.3&sslmode=prefer&work_mem=1MB")
	if err := Settle(c); err != nil {
		t.Fatal(err)
	}
	if len(c.RuntimeParams) != 2 || c.RuntimeParams["application_name"] != "me" || c.RuntimeParams["work_mem"] != "1MB" {
		t.Errorf("%v", c.RuntimeParams)
	}
	if c.TLSConfig.MinVersion != tls.VersionTLS12 || c.TLSConfig.MaxVersion != tls.VersionTLS13 || c.TLSConfig.ServerName != "db" {
		t.Errorf("%+v", c.TLSConfig)
	}
	if at, err := c.LookupFunc(t.Context(), "db"); err != nil || len(at) != 1 || at[0] != "127.0.0.9" {
		t.Error(at, err)
	}
}

func TestAParameterThatCannotBeHonouredIsNamed(t *testing.T) {
	for query, name := range map[string]string{
		"postgres://db/x?gssencmode=require":                       "gssencmode",
		"postgres://db/x?gssdelegation=1":                          "gssdelegation",
		"postgres://db/x?sslcrl=crl.pem":                           "sslcrl",
		"postgres://db/x?sslcrldir=crl":                            "sslcrldir",
		"host=/run requirepeer=postgres":                           "requirepeer",
		"host=/run hostaddr=127.0.0.1":                             "hostaddr",
		"host=a,b hostaddr=127.0.0.1,127.0.0.2":                    "hostaddr",
		"host=a hostaddr=b":                                        "hostaddr",
		"postgres://db/x?ssl_min_protocol_version=SSLv3":           "ssl_min_protocol_version",
		"postgres://db/x?ssl_max_protocol_version=9&sslmode=allow": "ssl_max_protocol_version",
	} {
		e, ok := errors.AsType[*drover.Error](Settle(parsed(t, query)))
		if !ok || e.Kind != drover.Invalid || e.Field != "url" || !strings.Contains(e.Message, name) || e.Hint == "" {
			t.Errorf("%s: %+v", query, e)
		}
	}
}
