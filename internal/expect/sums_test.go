package expect

import (
	"slices"
	"testing"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/exact"
)

func sumOf(t *testing.T, text string) (s exact.Sum) {
	t.Helper()
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAChunkWhoseSumDiffersNamesItsColumnWhereThereAreSeveral(t *testing.T) {
	columns := []connector.SumColumn{{Source: "a", Column: "a"}, {Source: "b", Column: "b"}}
	sources := []Source{
		{Source: "a", Column: "a", In: sumOf(t, "7"), Differ: 1, Chunks: 2, Samples: []string{"zip=1: 7 read, 6 written"}},
		{Source: "b", Column: "b", In: sumOf(t, "5"), Differ: 1, Chunks: 2, Samples: []string{"zip=1: 5 read, 4 written"}},
	}
	for _, c := range []struct {
		columns []connector.SumColumn
		want    []string
	}{
		{columns[:1], []string{"zip=1: 7 read, 6 written"}},
		{columns, []string{"a, zip=1: 7 read, 6 written", "b, zip=1: 5 read, 4 written"}},
	} {
		broken, err := compareSums(c.columns, []exact.Sum{sumOf(t, "6"), sumOf(t, "4")}, sources)
		if err != nil || broken == nil || !slices.Equal(broken.Samples, c.want) {
			t.Errorf("got %+v, %v, want %q", broken, err, c.want)
		}
	}
}
