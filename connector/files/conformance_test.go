package files

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/connectortest"
	"github.com/droverdata/drover/internal/duck"
)

func TestSinkConformance(t *testing.T) {
	for name, spec := range map[string]Sink{
		"parquet":     {Mode: Append},
		"partitioned": {Mode: Overwrite, Partition: []string{"day"}, MaxRowsPerFile: 2},
		"arrow":       {Format: formatArrow},
		"csv":         {Format: formatCSV, Compression: "gzip"},
		"json":        {Format: formatJSON, MaxRowsPerFile: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			c := connectortest.SinkCase{
				Definition: Definition(),
				Staged:     true,
				New: func(t *testing.T) drover.Sink {
					s := spec
					s.Path = t.TempDir() + "/out"
					return &s
				},
				Rows: func(t *testing.T, s drover.Sink) []string {
					r, err := read(t, In(s.(*Sink).Path), drover.Chunking{})
					if drover.KindOf(err) == drover.Refused {
						return nil // no data
					}
					if err != nil {
						t.Fatal(err)
					}
					if len(r.schema) == 0 {
						return nil
					}
					session := newSession(t)
					rel, err := r.src.Open(t.Context(), session, r.schema, r.state, r.chunks)
					if err != nil {
						t.Fatal(err)
					}
					defer closed(t, rel)
					return connectortest.Lines(t, session, "SELECT id, name, amount::DECIMAL(12,2), day::DATE FROM "+rel.All())
				},
			}
			if spec.Partition != nil {
				c.Output = drover.Schema{{Name: "id", Type: "BIGINT"}, {Name: "name", Type: "VARCHAR"}, {Name: "amount", Type: "DECIMAL(12,2)"}, {Name: "day", Type: "DATE"}}
				for _, id := range []string{"range AS id", "range AS id WHERE false", "range + 10 AS id", "range + 20 AS id"} {
					id, where, _ := strings.Cut(id, "WHERE")
					if where != "" {
						where = "WHERE" + where
					}
					c.Selects = append(c.Selects, fmt.Sprintf("SELECT %s, CASE WHEN range <> 2 THEN 'n' || range END AS name, 1.25::DECIMAL(12,2) AS amount, CASE WHEN range > 1 THEN DATE '2020-01-01' + (range %% 3)::INTEGER END AS day FROM range(10) %s", id, where))
				}
			}
			connectortest.Sink(t, c)
		})
	}
}

func TestSourceConformance(t *testing.T) {
	const query = "SELECT range::BIGINT AS id, CASE WHEN range % 5 > 0 THEN 'n' || (range % 5) END AS name FROM range(%d, %d)"
	var rows []string
	for i := range 9000 {
		name := "NULL"
		if i%5 > 0 {
			name = fmt.Sprintf("n%d", i%5)
		}
		rows = append(rows, fmt.Sprintf("%d|%s", i, name))
	}
	for format, options := range map[string]string{"parquet": "FORMAT parquet, ROW_GROUP_SIZE 2048", "csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json"} {
		t.Run(format, func(t *testing.T) {
			connectortest.Source(t, connectortest.SourceCase{
				Definition: Definition(),
				New: func(t *testing.T) drover.Source {
					dir := t.TempDir()
					for i := range 3 {
						exec(t, fmt.Sprintf("COPY ("+strings.ReplaceAll(query, "% 5", "%% 5")+") TO %s (%s)", i*3000, i*3000+3000, duck.Literal(fmt.Sprintf("%s/%d.%s", dir, i, format)), options))
					}
					return In(dir)
				},
				Columns:   "id BIGINT, name VARCHAR",
				Rows:      rows,
				Chunkings: []drover.Chunking{{Files: 2}, {Rows: 2500}, {By: "name"}, {By: "name", Keys: "SELECT 'n1'"}},
			})
		})
	}
}
