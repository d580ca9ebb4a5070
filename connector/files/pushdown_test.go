package files

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// What a source says of its pushdown is what DuckDB does.
func TestPushdownTellsWhatReachesTheScan(t *testing.T) {
	dir := t.TempDir()
	exec(t, "COPY (SELECT i AS id, i / 3.0 AS d, 'x' || i AS t FROM range(10) r(i)) TO '"+dir+"/a.parquet'")
	write(t, dir+"/csv/1.csv", "id,d\n1,2.5\n")
	for _, c := range []struct {
		path, where, filters, left string
		columnar                   bool
		by                         string
	}{
		{dir + "/a.parquet", "d > 1 AND id + 1 > 7", "id>6 d>1.0", "", true, ""},
		{dir + "/a.parquet", "id = 1 OR t = 'x3'", "", "((id = 1) OR (t = 'x3'))", true, ""},
		{dir + "/a.parquet", "d > 1", "d>1.0", "", true, "id"},
		{dir + "/csv", "id > 7", "", "(id > 7)", false, ""},
		{dir + "/csv", "d > 7", "", "(d > 7.0)", false, "id"},
		{dir + "/a.parquet", "id > 1", "id>1", "", true, "id"},
	} {
		r := mustRead(t, In(c.path), drover.Chunking{By: c.by})
		program := step.Program{SQL: "SELECT id FROM " + step.Input() + " WHERE " + c.where, RowWise: true}
		rel, err := r.src.Open(t.Context(), newSession(t), r.schema, r.state, r.chunks[:1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := rel.(connector.Pusher).Pushdown(t.Context(), program, []string{"id", "d"})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, rel)
		want(t, "filters", strings.Join(got.Filters, " "), c.filters)
		want(t, "left", strings.Join(got.Left, " "), c.left)
		if columnar := len(got.Columns) == 2; columnar != c.columnar || got.Of != len(r.schema) {
			t.Errorf("%s: %+v", c.path, got)
		}
	}
}
