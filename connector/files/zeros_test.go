package files

import (
	"path/filepath"
	"testing"

	"github.com/droverdata/drover/internal/duck"
)

// design.md 3.4: never a silent change. By DuckDB's dictionaries 0.0 and -0.0 are one value.
func TestZerosKeepTheirSignsWhereCopyWrites(t *testing.T) {
	for _, partition := range []bool{false, true} {
		spec := Out(filepath.Join(t.TempDir(), "out"))
		if partition {
			spec.PartitionBy("k")
		}
		j, err := newJob(t, openTarget(t, spec, false),
			"SELECT i AS id, i % 2 AS k, CASE i % 3 WHEN 0 THEN '0.0' WHEN 1 THEN '-0.0' ELSE '1.5' END::DOUBLE AS f, [f] AS l FROM range(9000) t(i)")
		if err != nil {
			t.Fatal(err)
		}
		if err := j.write(j.chunks...); err != nil {
			t.Fatal(err)
		}
		if _, err := j.publish(); err != nil {
			t.Fatal(err)
		}
		got := rowsOf(t, newSession(t), "SELECT f::VARCHAR AS v, l::VARCHAR AS w, count(*) FROM read_parquet("+duck.Literal(spec.Path+"/**/*.parquet")+") GROUP BY v, w ORDER BY v")
		want(t, "zeros", got, "-0.0|[-0.0]|3000\n0.0|[0.0]|3000\n1.5|[1.5]|3000")
	}
}
