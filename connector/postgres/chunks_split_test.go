package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// TestASplitChunkIsItsPartsAndSaysWhichValueTheyHave cuts what can be cut once, and checks the names and that no row is lost or doubled.
func TestASplitChunkIsItsPartsAndSaysWhichValueTheyHave(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, zip text, pad text);
		INSERT INTO src SELECT g, CASE WHEN g % 3 = 0 THEN NULL WHEN g % 3 = 1 THEN '(null)' ELSE '1' || g % 2 END, repeat('x', 100) FROM generate_series(1, 900) g;
		CREATE INDEX ON src (zip); ANALYZE src;
		CREATE TABLE pair (zip text, day date, id bigint, PRIMARY KEY (zip, day, id));
		INSERT INTO pair SELECT 'z' || g % 2, '2020-01-01'::date + g % 5, g FROM generate_series(1, 900) g; ANALYZE pair;
		CREATE TABLE bare (id bigint, pad text); INSERT INTO bare SELECT g, repeat('x', 1000) FROM generate_series(1, 900) g; ANALYZE bare`)
	for name, c := range map[string]struct {
		table    string
		chunking drover.Chunking
		want     []string // the parts of the first chunk of some rows
	}{
		"a value":                   {"src", drover.Chunking{By: "zip"}, []string{`"(null)" (,448]`, `"(null)" (448,)`}},
		"NULL and unlisted values":  {"src", drover.Chunking{By: "zip", Keys: "SELECT '11'"}, nil},
		"a range of the key":        {"src", drover.Chunking{Rows: 450}, nil},
		"all":                       {"src", drover.Chunking{}, []string{"(,450]", "(450,)"}},
		"a range of a composite":    {"pair", drover.Chunking{Rows: 300}, nil},
		"pages under one snapshot":  {"bare", drover.Chunking{Rows: 300}, nil},
		"pages without a named end": {"bare", drover.Chunking{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTestSource(t, Table(string(u), c.table))
			st, chunks := cutAll(t, s, c.chunking)
			session := newSession(t)
			var all [][]int64
			for i, whole := range chunks {
				parts, err := s.Split(t.Context(), st, whole)
				if err != nil {
					t.Fatal(err)
				}
				if len(parts) != 2 && c.table != "bare" {
					t.Fatalf("chunk %s: parts %q", whole.Key, keys(parts))
				}
				if len(parts) == 0 {
					parts = []connector.Chunk{whole}
				}
				if i == 0 && c.want != nil && !slices.Equal(keys(parts), c.want) {
					t.Errorf("chunk %s: parts %q, want %q", whole.Key, keys(parts), c.want)
				}
				all = append(all, readChunks(t, s, session, st, parts)...)
			}
			covers(t, all, 900)
		})
	}
}

// TestNULLsAreSplitByTheKey: a chunk of the NULLs of a column, and one of a single row.
func TestNULLsAreSplitByTheKeyAndOneRowIsNot(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, zip text);
		INSERT INTO src SELECT g, NULL FROM generate_series(1, 7) g; INSERT INTO src VALUES (8, 'one'); CREATE INDEX ON src (zip)`)
	s := openTestSource(t, Table(string(u), "src"))
	st, chunks := cutAll(t, s, drover.Chunking{By: "zip"})
	session := newSession(t)
	for _, whole := range chunks {
		parts, err := s.Split(t.Context(), st, whole)
		if err != nil {
			t.Fatal(err)
		}
		if whole.Key == "one" {
			if len(parts) > 1 {
				t.Errorf("a chunk of one row: %q", keys(parts))
			}
			continue
		}
		if got := fmt.Sprint(keys(parts), readChunks(t, s, session, st, parts)); got != "[(null) (,3] (null) (3,)] [[1 2 3] [4 5 6 7]]" {
			t.Error(got)
		}
	}
}

// TestWhatHasNoKeyOfItsOwnIsNotSplit: a query and a spooled source have no key; the primary key of a parent is not unique over its children.
func TestWhatHasNoKeyOfItsOwnIsNotSplit(t *testing.T) {
	u, _ := database(t, `CREATE TABLE src (id bigint PRIMARY KEY, zip text); INSERT INTO src SELECT g, (g % 2)::text FROM generate_series(1, 100) g;
		CREATE TABLE child () INHERITS (src); INSERT INTO child SELECT g, '0' FROM generate_series(1, 100) g;
		CREATE TABLE bare AS SELECT * FROM src`)
	for name, c := range map[string]struct {
		spec     *Source
		chunking drover.Chunking
	}{
		"a query":             {Query(string(u), "SELECT * FROM src"), drover.Chunking{By: "zip"}},
		"spooled":             {Table(string(u), "bare"), drover.Chunking{By: "zip", Spool: true}},
		"a value without key": {Table(string(u), "bare"), drover.Chunking{By: "zip"}},
		"a parent":            {Table(string(u), "src"), drover.Chunking{By: "zip"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTestSource(t, c.spec)
			st, chunks := cutAll(t, s, c.chunking)
			for _, whole := range chunks {
				if parts, err := s.Split(t.Context(), st, whole); err != nil || len(parts) > 1 {
					t.Errorf("chunk %s: %q, %v", whole.Key, keys(parts), err)
				}
			}
		})
	}
}
