package reject

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// sql is a relation that is a SELECT.
type sql string

func (s sql) All() string             { return "(" + string(s) + ")" }
func (s sql) Chunk(int) string        { return s.All() }
func (sql) Count(int) connector.Count { return connector.Count{} }
func (sql) Close() error              { return nil }

func open(t *testing.T) *duck.Session {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// The program's conditions must not meet rows beyond the part that is tried: a good row would be found at fault. The rows at fault are found whatever their
// number and place, and no others, also where some are known.
func TestFindFindsTheRowsAtFaultAndNoOthers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := open(t)
	for _, n := range []int{1, 2, 3, 100, 5000} {
		for _, b := range []int{0, 1, 2, min(n, 20), min(n, 60)} {
			bad := rng.Perm(n)[:min(b, n)]
			slices.Sort(bad)
			values := "[]::BIGINT[]"
			if len(bad) > 0 {
				values = "[" + duck.Literal(fmt.Sprint(bad[0])) + "::BIGINT"
				for _, x := range bad[1:] {
					values += fmt.Sprintf(", %d", x)
				}
				values += "]"
			}
			rel := sql(fmt.Sprintf("SELECT range AS id, CASE WHEN list_contains(%s, range) THEN 'x' || range ELSE range::VARCHAR END AS v, 0::BIGINT AS %s FROM range(%d)", values, step.Tag, n))
			columns := drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "v", Type: "VARCHAR"}}
			k, rows, err := keep(t.Context(), s, rel, columns, 1)
			if err != nil || rows != int64(n) {
				t.Fatal(rows, err)
			}
			f := finder{rel: k, most: 100}
			program := step.Program{SQL: "SELECT id, " + step.Tag + " FROM " + step.Input() + " WHERE v::BIGINT >= 0 AND id >= 0", RowWise: true}
			try := func(ctx context.Context) error {
				return s.Exec(ctx, "SELECT count(*) FROM ("+program.Over(k.All())+")")
			}
			if err := f.find(t.Context(), rows, try, nil); err != nil {
				t.Fatal(err)
			}
			if err := f.find(t.Context(), rows, try, nil); err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, row := range f.rows() {
				_, text, err := k.Row(t.Context(), row)
				if err != nil {
					t.Fatal(err)
				}
				var id int
				if _, err := fmt.Sscanf(text, `{"id":%d,`, &id); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				got = append(got, id)
			}
			slices.Sort(got)
			if !slices.Equal(got, bad) {
				t.Errorf("%d rows: found %v, want %v", n, got, bad)
			}
		}
	}
}

func TestFindStopsAtMoreThanMax(t *testing.T) {
	s := open(t)
	k, rows, err := keep(t.Context(), s, sql("SELECT 'x' AS v, 0::BIGINT AS "+step.Tag+" FROM range(1000)"), drover.Schema{{Name: "v", Type: "VARCHAR"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	f, tries := finder{rel: k, most: 3}, 0
	err = f.find(t.Context(), rows, func(ctx context.Context) error {
		tries++
		return s.Exec(ctx, "SELECT v::BIGINT FROM "+k.All())
	}, nil)
	var e *drover.Error
	if !errors.As(err, &e) || e.Code != connector.TooManyRejects || tries > 30 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// Errors that are no row's own end the search: two rows of one key, a lost connection.
func TestFindRejectsNoRowForAnErrorOfAnotherKind(t *testing.T) {
	s := open(t)
	k, rows, err := keep(t.Context(), s, sql("SELECT 1 AS v, 0::BIGINT AS "+step.Tag+" FROM range(10)"), drover.Schema{{Name: "v", Type: "INTEGER"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []*drover.Error{{Kind: drover.Data, Code: "23505"}, {Kind: drover.Data, Code: "23503"}, {Kind: drover.Transient}} {
		f := finder{rel: k, most: 3}
		if err := f.find(t.Context(), rows, func(context.Context) error { return cause }, nil); !errors.Is(err, cause) || len(f.found) > 0 {
			t.Errorf("%v: %v, %v", cause, err, f.found)
		}
	}
}

// limits is a Keeper of numbers.
type limits struct {
	connector.Keeper
	from, to int64
	except   []int64
}

func (l *limits) Limit(from, to int64, except []int64) { l.from, l.to, l.except = from, to, except }

// A judge that says which of the rows it got it refused saves most of the tries. It does not know of rows that the program leaves out.
func TestFindFollowsAJudgeThatNamesTheRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n, share, filtered := 1+rng.Int64N(3000), 0.1*rng.Float64()*rng.Float64(), rng.IntN(2) == 0
		bad, out := map[int64]bool{}, map[int64]bool{}
		var want []int64
		for i := range n {
			out[i] = filtered && rng.IntN(3) == 0
			if bad[i] = rng.Float64() < share; bad[i] && !out[i] {
				want = append(want, i)
			}
		}
		rel := &limits{}
		f, tries := finder{rel: rel, most: n}, 0
		err := f.find(t.Context(), n, func(context.Context) error {
			tries++
			told := int64(0)
			for i := rel.from; i < rel.to; i++ {
				if _, known := slices.BinarySearch(rel.except, i); known || out[i] {
					continue
				}
				if bad[i] {
					return &connector.RowError{Row: told, Err: &drover.Error{Kind: drover.Data, Message: fmt.Sprint(i)}}
				}
				told++
			}
			return nil
		}, nil)
		if err != nil || !slices.Equal(f.rows(), want) {
			t.Fatalf("found %v, want %v: %v", f.rows(), want, err)
		}
		for _, x := range f.found {
			if x.why.Message != fmt.Sprint(x.row) {
				t.Fatalf("row %d: %s", x.row, x.why.Message)
			}
		}
		if !filtered && tries > 10+5*len(want) {
			t.Fatalf("%d tries for %d of %d rows", tries, len(want), n)
		}
	}
}

// The rows come in one order however many are left out, for the judge that counts them.
func TestLimitKeepsTheOrderAndLeavesOutWhatItIsTold(t *testing.T) {
	s := open(t)
	k, rows, err := keep(t.Context(), s, sql("SELECT range AS v, 0::BIGINT AS "+step.Tag+" FROM range(300000)"), drover.Schema{{Name: "v", Type: "BIGINT"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, 1, mostCompared, mostCompared + 1, 5000} {
		var except []int64
		for i := range n {
			except = append(except, 7+i*50)
		}
		k.Limit(5, rows-5, except)
		got, err := s.Texts(t.Context(), "SELECT count(*), count(*) FILTER (v <= before), count(*) FILTER (v % 50 = 7 AND v < 7 + 50 * "+fmt.Sprint(n)+"), min(v), max(v) FROM (SELECT v, lag(v) OVER () AS before FROM "+k.All()+")")
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%d 0 0 5 %d", rows-10-n, rows-6); fmt.Sprint(*got[0][0], " ", *got[0][1], " ", *got[0][2], " ", *got[0][3], " ", *got[0][4]) != want {
			t.Errorf("without %d: got %s %s %s %s %s, want %s", n, *got[0][0], *got[0][1], *got[0][2], *got[0][3], *got[0][4], want)
		}
	}
}
