package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
)

// A question for each column made a table of 600 wait for seconds before its first row.
func TestWideTablesAskOnceForEachType(t *testing.T) {
	_, conn := database(t, "")
	asked := func(columns int) (statements int) {
		t.Helper()
		var output drover.Schema
		for i := range columns {
			native := []string{"integer", "text", "numeric(12,2)"}[i%3]
			name := fmt.Sprintf("c%d", i)
			output = append(output, drover.Column{Name: name, From: name, Native: native, Type: []string{"INTEGER", "VARCHAR", "DECIMAL(12,2)"}[i%3]})
		}
		traced := newTracedConn(t, conn, &statements)
		got, err := newColumns(t.Context(), traced, output)
		if err != nil || len(got) != columns {
			t.Fatal(len(got), err)
		}
		return statements
	}
	if few, many := asked(3), asked(300); many != few || few == 0 {
		t.Errorf("3 columns take %d statements, and 300 columns of the same types %d", few, many)
	}
}

// newTracedConn opens another connection like conn, whose statements are counted.
func newTracedConn(t *testing.T, conn *pgx.Conn, statements *int) *pgx.Conn {
	t.Helper()
	cfg := conn.Config()
	cfg.Tracer = tracer(func(_ context.Context, _ *pgx.Conn, _ string) { *statements++ })
	traced, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(traced) })
	return traced
}
