package verify_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/droverdata/drover/internal/verify"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// parquet writes the rows of a SELECT to a file and returns it as a source.
func parquet(t *testing.T, query string) drover.Source {
	t.Helper()
	return copied(t, query, "rows.parquet", "FORMAT parquet")
}

// csv is parquet for a CSV file.
func csv(t *testing.T, query string) drover.Source {
	t.Helper()
	return copied(t, query, "rows.csv", "FORMAT csv, HEADER")
}

func copied(t *testing.T, query, name, options string) drover.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	s, err := duck.Open(t.Context(), duck.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Exec(t.Context(), fmt.Sprintf("COPY (%s) TO %s (%s)", query, duck.Literal(path), options)); err != nil {
		t.Fatal(err)
	}
	return files.In(path)
}

// database is one database of the shared server.
type database struct {
	url  string
	conn *pgx.Conn
	n    int
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{url: pgtest.Database(t)}
	var err error
	if d.conn, err = pgx.Connect(t.Context(), d.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.conn.Close(context.Background()) })
	return d
}

// table makes a table of a SELECT, whose %s is the table's name, or of statements that hold it.
func (d *database) table(t *testing.T, statements string) drover.Source {
	t.Helper()
	d.n++
	name := fmt.Sprintf("t%d", d.n)
	if !strings.Contains(statements, "%s") {
		statements = "CREATE TABLE %s AS " + statements
	}
	if _, err := d.conn.Exec(t.Context(), strings.ReplaceAll(statements, "%s", name)); err != nil {
		t.Fatal(err)
	}
	return postgres.Table(d.url, name)
}

func options(t *testing.T, l, r drover.Source, key ...string) verify.Options {
	return verify.Options{
		Registry: all.All(), Left: l, Right: r, LeftName: "left side", RightName: "right side", Key: key, Samples: 100,
		Memory: 512 << 20, TempDir: t.TempDir(), Warn: func(string, ...any) {},
	}
}

func diff(t *testing.T, l, r drover.Source, key ...string) *verify.Result {
	t.Helper()
	return diffWith(t, options(t, l, r, key...))
}

func diffWith(t *testing.T, o verify.Options) *verify.Result {
	t.Helper()
	found, err := verify.Diff(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// want checks the counts.
func want(t *testing.T, r *verify.Result, missing, extra, changed int64) {
	t.Helper()
	if r.Missing != missing || r.Extra != extra || r.Changed != changed {
		t.Errorf("got %d missing, %d extra, %d changed, want %d, %d, %d\n%s", r.Missing, r.Extra, r.Changed, missing, extra, changed, text(t, r))
	}
}

func text(t *testing.T, r *verify.Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
