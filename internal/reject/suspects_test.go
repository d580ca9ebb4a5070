package reject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// judge is a Trier that runs the program and writes nothing.
type judge struct{ tries int }

func (j *judge) Try(context.Context, connector.Run) (connector.Trial, error) { return j, nil }

func (j *judge) Rows(ctx context.Context, in connector.Input, chunks int) error {
	j.tries++
	return in.Session.Exec(ctx, "SELECT sum(hash(v)) FROM ("+in.Query(chunks)+")")
}

func (*judge) Close() error { return nil }

// keeper hides that its rows are in a table of the session.
type keeper struct{ connector.Keeper }

// Every two-hundredth row of 2,000 is bad, and one row is bad in another way. Suspects are a hint: the same rows are at fault, for the same reasons, where they are all of
// them, some, others, where looking for them fails, and where there are none.
func TestWhoIsSuspectedDoesNotMatterToWhoIsAtFault(t *testing.T) {
	s := open(t)
	columns := drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "v", Type: "VARCHAR"}, {Name: "rest", Type: "VARCHAR"}}
	in := connector.Input{
		Session: s, Source: columns, Output: columns,
		Relation: sql("SELECT range AS id, CASE WHEN range % 200 = 7 THEN 'x' || range ELSE range::VARCHAR END AS v, 'r' || range AS rest, range // 1500 AS " + step.Tag + " FROM range(2000)"),
		Program:  step.Program{SQL: "SELECT id, CASE WHEN id = 123 THEN error('odd') ELSE v::BIGINT END AS v, rest, " + step.Tag + " FROM " + step.Input(), RowWise: true},
	}
	where := func(condition string) step.Program {
		return step.Program{SQL: "SELECT " + step.Tag + " FROM " + step.Input() + " WHERE " + condition, RowWise: true}
	}
	const bad = "TRY_CAST(v AS BIGINT) IS NULL"
	var want []string
	for name, tc := range map[string]struct {
		programs []step.Program
		least    bool // of tries
	}{
		"no hint":              {nil, false},
		"all casts":            {[]step.Program{where(bad)}, true},
		"some":                 {[]step.Program{where(bad + " AND length(v) = 4")}, false},
		"twice":                {[]step.Program{where(bad), where(bad + " OR length(v) = 3")}, false},
		"good rows":            {[]step.Program{where("length(v) = 3")}, false},
		"nobody":               {[]step.Program{where("false")}, false},
		"everybody":            {[]step.Program{where("true")}, false},
		"a program that fails": {[]step.Program{where(bad), where("v::BIGINT > 0")}, false},
	} {
		for _, hidden := range []bool{false, true} {
			t.Run(fmt.Sprint(name, hidden), func(t *testing.T) {
				rel, rows, err := keep(t.Context(), s, in.Relation, columns, 2)
				if err != nil {
					t.Fatal(err)
				}
				if hidden {
					rel = keeper{rel}
				}
				in := in
				in.Relation = rel
				steps := &judge{}
				task := Task{
					Attempt: connector.Attempt{Chunks: []connector.Chunk{{Key: "a"}, {Key: "b"}}}, Steps: steps, Sink: &judge{}, Most: 1000,
					Suspect: func(context.Context) ([]step.Program, []string, error) { return tc.programs, []string{"id", "v"}, nil },
				}
				f := finder{rel: rel, most: 1000}
				if err := task.find(t.Context(), &f, in, rows, false); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, x := range f.found {
					got = append(got, fmt.Sprint(x.row, x.why.Message))
				}
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) || len(got) != 11 {
					t.Errorf("got %q, want %q", got, want)
				}
				if tc.least && steps.tries > 100 {
					t.Errorf("%d tries", steps.tries)
				}
				left, err := s.Texts(t.Context(), "SELECT table_name FROM duckdb_tables() WHERE table_name <> 'drover_kept'")
				if err != nil || len(left) > 0 {
					t.Error(left, err)
				}
			})
		}
	}
}

// Bad values repeat: each is tried and explained once where rows that are equal are the same, and every row of it is rejected.
func TestRowsThatAreAlikeAreTriedOnce(t *testing.T) {
	for typ, different := range map[string]int{"VARCHAR": 2, "DOUBLE": 1000} {
		s := open(t)
		columns := drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "v", Type: typ}}
		rel, rows, err := keep(t.Context(), s, sql("SELECT range AS id, (CASE WHEN range % 5 = 2 THEN 300 + range % 2 ELSE 1 END)::"+typ+" AS v, 0::BIGINT AS "+step.Tag+" FROM range(5000)"), columns, 1)
		if err != nil {
			t.Fatal(err)
		}
		in := connector.Input{
			Session: s, Source: columns, Output: columns, Relation: rel,
			Program: step.Program{SQL: "SELECT id, v::TINYINT AS v, " + step.Tag + " FROM " + step.Input(), RowWise: true},
		}
		steps, explained := &judge{}, 0
		task := Task{
			Attempt: connector.Attempt{Chunks: []connector.Chunk{{Key: "a"}}}, Steps: steps, Sink: &judge{}, Most: 1000,
			Suspect: func(context.Context) ([]step.Program, []string, error) {
				return []step.Program{{SQL: "SELECT " + step.Tag + " FROM " + step.Input() + " WHERE TRY_CAST(v AS TINYINT) IS NULL", RowWise: true}}, []string{"v"}, nil
			},
			Explain: func(_ context.Context, _ string, why *drover.Error) *drover.Error { explained++; return why },
		}
		f := finder{rel: rel, most: 1000}
		if err := task.find(t.Context(), &f, in, rows, false); err != nil {
			t.Fatal(err)
		}
		if len(f.found) != 1000 || explained != different || typ == "VARCHAR" && steps.tries > 60 {
			t.Errorf("%s: %d found, %d explained, %d tries", typ, len(f.found), explained, steps.tries)
		}
		for i, x := range f.found {
			if want := fmt.Sprint(300 + x.row%2); x.row != int64(5*i+2) || !strings.Contains(x.why.Message, want) {
				t.Fatalf("%s: row %d: %s, want %s", typ, x.row, x.why.Message, want)
			}
		}
	}
}

// A message may repeat a value that two columns have: each row's column is its own.
func TestRowsThatFailInTheSameWordsHaveColumnsOfTheirOwn(t *testing.T) {
	s := open(t)
	columns := drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "a", Type: "VARCHAR"}, {Name: "b", Type: "VARCHAR"}}
	rel, rows, err := keep(t.Context(), s, sql("SELECT range AS id, if(range = 3, 'x', '1') AS a, if(range = 7, 'x', '1') AS b, 0::BIGINT AS "+step.Tag+" FROM range(20)"), columns, 1)
	if err != nil {
		t.Fatal(err)
	}
	in := connector.Input{
		Session: s, Source: columns, Output: columns, Relation: rel,
		Program: step.Program{SQL: "SELECT trim(a)::INT + trim(b)::INT AS v, " + step.Tag + " FROM " + step.Input(), RowWise: true},
	}
	task := Task{
		Attempt: connector.Attempt{Chunks: []connector.Chunk{{Key: "a"}}}, Steps: &judge{}, Sink: &judge{}, Most: 10,
		Suspect: func(context.Context) ([]step.Program, []string, error) {
			return []step.Program{{SQL: "SELECT " + step.Tag + " FROM " + step.Input() + " WHERE a = 'x' OR b = 'x'", RowWise: true}}, []string{"a", "b"}, nil
		},
		Explain: func(ctx context.Context, relation string, why *drover.Error) *drover.Error {
			column, err := s.Texts(ctx, "SELECT if(a = 'x', 'a', 'b') FROM "+relation)
			if err != nil {
				t.Fatal(err)
			}
			out := *why
			out.Column = *column[0][0]
			return &out
		},
	}
	f := finder{rel: rel, most: 10}
	if err := task.find(t.Context(), &f, in, rows, false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range f.found {
		got = append(got, fmt.Sprint(x.row, x.why.Column))
	}
	if want := []string{"3a", "7b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A job in which most rows are bad ends at once, whatever many may be rejected.
func TestAHopelessTaskEndsEarly(t *testing.T) {
	s := open(t)
	k, rows, err := keep(t.Context(), s, sql("SELECT CASE WHEN range % 10 = 0 THEN '1' ELSE 'x' END AS v, 0::BIGINT AS "+step.Tag+" FROM range(10000)"), drover.Schema{{Name: "v", Type: "VARCHAR"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	f, tries := finder{rel: k, most: 4000}, 0
	err = f.find(t.Context(), rows, func(ctx context.Context) error {
		tries++
		return s.Exec(ctx, "SELECT v::BIGINT FROM "+k.All())
	}, nil)
	var e *drover.Error
	if !errors.As(err, &e) || e.Code != connector.TooManyRejects || tries > 2*sampled {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// Who stops the worker does not wait for the search.
func TestTheSearchEndsWithItsContext(t *testing.T) {
	s := open(t)
	k, rows, err := keep(t.Context(), s, sql("SELECT 'x' AS v, 0::BIGINT AS "+step.Tag+" FROM range(2000)"), drover.Schema{{Name: "v", Type: "VARCHAR"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	f, tries := finder{rel: k, most: 4000}, 0
	err = f.find(ctx, rows, func(ctx context.Context) error {
		if tries++; tries == 50 {
			stop(stopped)
		}
		return s.Exec(ctx, "SELECT v::BIGINT FROM "+k.All())
	}, nil)
	if !errors.Is(err, stopped) || tries > 50 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
