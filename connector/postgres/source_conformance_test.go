package postgres

import (
	"fmt"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/connectortest"
)

func TestSourceConformance(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, name text, amount numeric(12,2));
		INSERT INTO src SELECT g, CASE WHEN g % 4 > 0 THEN 'name ' || g % 4 END, g / 4.0 FROM generate_series(1, 500) g;
		CREATE TABLE bare AS SELECT * FROM src; CREATE TABLE none (LIKE src); CREATE INDEX ON src (name)`)
	var rows []string
	for g := 1; g <= 500; g++ {
		name := "NULL"
		if g%4 > 0 {
			name = fmt.Sprintf("name %d", g%4)
		}
		rows = append(rows, fmt.Sprintf("%d|%s|%d.%02d", g, name, g/4, g%4*25))
	}
	by := []drover.Chunking{
		{By: "name"}, {By: "NAME", Keys: "VALUES ('name 2'), ('name 9'), (NULL)"}, {By: "amount"}, {By: "name", Spool: true},
	}
	for name, c := range map[string]struct {
		spec      *Source
		rows      []string
		chunkings []drover.Chunking
	}{
		"table":       {Table(string(u), "src"), rows, append(by, drover.Chunking{Rows: 70})},
		"without key": {Table(string(u), "bare"), rows, append(by, drover.Chunking{Rows: 70})},
		"query":       {Query(string(u), "SELECT id, name, amount FROM src"), rows, by},
		"empty":       {Table(string(u), "none"), nil, append(by, drover.Chunking{Rows: 70})},
	} {
		t.Run(name, func(t *testing.T) {
			connectortest.Source(t, connectortest.SourceCase{
				Definition: Definition(),
				New:        func(*testing.T) drover.Source { s := *c.spec; return &s },
				Columns:    "id BIGINT, name VARCHAR, amount DECIMAL(12,2)",
				Rows:       c.rows,
				Chunkings:  c.chunkings,
			})
		})
	}
}
