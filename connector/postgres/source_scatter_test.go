package postgres

import (
	"testing"

	"github.com/droverdata/drover"
)

func TestScatteredValuesAskForFewTasks(t *testing.T) {
	u, _ := database(t, `CREATE TABLE t (id int PRIMARY KEY, tidy int, wild int, "odd ""name" text);
		INSERT INTO t SELECT i, i / 100, (i::bigint * 7919 % 100)::int, 'x' || i % 7 FROM generate_series(1, 10000) i; ANALYZE t;
		CREATE TABLE unknown (id int PRIMARY KEY, k int)`)
	for _, c := range []struct {
		table    string
		chunking drover.Chunking
		want     bool
	}{
		{"t", drover.Chunking{By: "wild"}, true},
		{"t", drover.Chunking{By: `odd "name`}, true},
		{"t", drover.Chunking{By: "tidy"}, false},
		{"t", drover.Chunking{By: "wild", Spool: true}, false},
		{"t", drover.Chunking{Rows: 100}, false},
		{"t", drover.Chunking{}, false},
		{"unknown", drover.Chunking{By: "k"}, true},
	} {
		s := openTestSource(t, Table(string(u), c.table))
		if got, err := s.FewTasks(t.Context(), c.chunking); err != nil || got != c.want {
			t.Errorf("%s %+v: %v, %v", c.table, c.chunking, got, err)
		}
	}
}
