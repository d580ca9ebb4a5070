package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/connectortest"
)

func TestSinkConformance(t *testing.T) {
	u, conn := database(t, "")
	n := 0
	const plain, other = "id bigint, name text, amount numeric(12,2), day date", "id integer, name varchar(99), amount numeric(20,4), day timestamp"
	for name, c := range map[string]struct {
		spec Sink
		ddl  string // %s is the table's name
	}{
		"error, new table":                   {Sink{}, ""},
		"append":                             {Sink{Mode: Append}, "CREATE TABLE %s (" + plain + ")"},
		"append with casts":                  {Sink{Mode: Append}, "CREATE TABLE %s (" + other + ")"},
		"upsert with casts":                  {Sink{Mode: Upsert, Key: []string{"id"}}, "CREATE TABLE %s (" + other + ", PRIMARY KEY (id))"},
		"replace, new table":                 {Sink{Mode: Replace}, ""},
		"replace by a swap":                  {Sink{Mode: Replace}, "CREATE TABLE %s (" + plain + ", PRIMARY KEY (id))"},
		"replace by DELETE, INSERT and cast": {Sink{Mode: Replace}, "CREATE TABLE %[1]s (" + other + "); CREATE VIEW %[1]s_v AS SELECT * FROM %[1]s"},
	} {
		t.Run(name, func(t *testing.T) {
			connectortest.Sink(t, connectortest.SinkCase{
				Definition: Definition(),
				New: func(t *testing.T) drover.Sink {
					n++
					spec := c.spec
					spec.URL, spec.Table = u, fmt.Sprintf("t%d", n)
					if c.ddl != "" {
						execSQL(t, conn, strings.ReplaceAll(strings.ReplaceAll(c.ddl, "%[1]s", spec.Table), "%s", spec.Table))
					}
					return &spec
				},
				Rows: func(t *testing.T, spec drover.Sink) []string {
					table := spec.(*Sink).Table
					if column1(t, conn, "SELECT to_regclass("+literal(table)+")::text")[0] == "NULL" {
						return nil
					}
					rows := column1(t, conn, `SELECT concat_ws('|', id, coalesce(name, 'NULL'), coalesce(amount::numeric(12,2)::text, 'NULL'), coalesce(day::date::text, 'NULL'))
						FROM `+table)
					slices.Sort(rows)
					return rows
				},
				Staged: c.spec.Mode == Replace,
			})
		})
	}
}
