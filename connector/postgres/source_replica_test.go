package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pgtest"
)

func TestAHotStandbyIsReadAndItsConflictsAreTriedAgain(t *testing.T) {
	primary, err := pgtest.Start(t.Context(), "", pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { checkStop(t, primary) }()
	url, err := primary.CreateDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	writer, err := connect(t.Context(), URL(url), testEnv())
	if err != nil {
		t.Fatal(err)
	}
	execSQL(t, writer, "CREATE TABLE keyed (id bigint PRIMARY KEY); INSERT INTO keyed SELECT generate_series(1, 5000); CREATE TABLE pages AS TABLE keyed; ANALYZE")
	closeConn(writer)
	standby, err := primary.Standby(t.Context(), map[string]string{"max_standby_streaming_delay": "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { checkStop(t, standby) }()
	if err := standby.CaughtUp(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
	replica := standby.URL("shop")

	identities := map[string]bool{}
	for _, u := range []string{url, replica} {
		id, err := openTestSource(t, Table(u, "keyed")).Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		identities[id] = true
	}
	if len(identities) != 1 {
		t.Errorf("a table and its replica are not the same source: %v", identities)
	}
	for table, c := range map[string]drover.Chunking{"keyed": {Rows: 1000}, "pages": {Rows: 1000}} { // pages are read in an exported snapshot
		st, chunks := cutAll(t, openTestSource(t, Table(replica, table)), c)
		n := 0
		for _, ids := range readChunks(t, openTestSource(t, Table(replica, table)), newSession(t), st, chunks) {
			n += len(ids)
		}
		if n != 5000 || len(chunks) < 2 {
			t.Errorf("%s: %d rows in %d chunks", table, n, len(chunks))
		}
	}

	s := openTestSource(t, Table(replica, "keyed"))
	conn, err := s.begin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(t.Context(), conn)
	begun := time.Now()
	ended := make(chan error)
	go func() {
		_, err := conn.PgConn().Exec(t.Context(), "SELECT count(*), pg_sleep(600) FROM keyed").ReadAll()
		ended <- s.explain(wrap(err, "read keyed"), begun)
	}()
	if writer, err = connect(t.Context(), URL(url), testEnv()); err != nil {
		t.Fatal(err)
	}
	defer closeConn(writer)
	// What the statement still sees goes, as often as it takes: it may not have begun when it goes first.
	for {
		execSQL(t, writer, "UPDATE keyed SET id = id + 100000")
		execSQL(t, writer, "VACUUM keyed")
		select {
		case err = <-ended:
		case <-time.After(100 * time.Millisecond):
			continue
		}
		break
	}
	var e *drover.Error
	if !errors.As(err, &e) || e.Kind != drover.Transient || !strings.HasPrefix(e.Message, "replica conflict") || e.Hint == "" {
		t.Errorf("a conflict: %#v", err)
	}
}

func checkStop(t *testing.T, s *pgtest.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
