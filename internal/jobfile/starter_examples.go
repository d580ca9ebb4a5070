package jobfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// exampleColumns are the columns that a starter's commented lines name. Each line is right when its # is removed, alone and together with all the others:
// so what one of them removes or renames, no other needs. A column that the source does not have room for is empty, and its line is left out.
type exampleColumns struct {
	read      string // by a filter and a set
	key       string // by chunk.by
	renamed   string
	newName   string
	partition string // by a files sink, and by a test's key
	dropped   string
}

func examplesOf(schema drover.Schema) exampleColumns {
	if len(schema) == 0 {
		return exampleColumns{read: "id", key: "id", renamed: "id", newName: "new_name", partition: "country", dropped: "notes"}
	}
	var e exampleColumns
	take := func(ok func(drover.Column) bool, besides ...string) string {
		for _, c := range schema {
			// A comment is one line of what an editor shows: a name that is not is no example.
			if c.Name != "" && comment(c.Name) == c.Name && ok(c) && !slices.Contains(besides, c.Name) {
				return c.Name
			}
		}
		return ""
	}
	e.read = take(func(c drover.Column) bool { return c.Type != "" })
	e.key = take(groups)
	e.renamed = take(func(drover.Column) bool { return true })
	e.partition = take(groups, e.renamed)
	e.dropped = take(func(drover.Column) bool { return true }, e.renamed, e.partition)
	e.newName = "new_name"
	for slices.ContainsFunc(schema, func(c drover.Column) bool { return strings.EqualFold(c.Name, e.newName) }) {
		e.newName += "_2"
	}
	return e
}

// groupedTypes have values that make chunks and partitions, in every connector.
var groupedTypes = regexp.MustCompile(`^(BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER|VARCHAR|DATE|TIMESTAMP|TIMESTAMP WITH TIME ZONE|UUID|DECIMAL\(\d+,\d+\))$`)

func groups(c drover.Column) bool { return groupedTypes.MatchString(c.Type) }

func writeChunk(b *strings.Builder, e exampleColumns) {
	if e.key == "" {
		return
	}
	fmt.Fprintf(b, `
# How the source is cut; by default by size.
chunk:
  # by: %-20s # one chunk for each value; or, without by, rows: 100000 for chunks of about so many rows
`, scalarText(e.key))
}

func writeSteps(b *strings.Builder, e exampleColumns) {
	b.WriteString("\n# What happens to the rows, in this order. Expressions are DuckDB SQL.\nsteps:\n")
	if e.read != "" {
		expression := sqlName(e.read)
		fmt.Fprintf(b, "  # - filter: %s\n  # - set: {%s: %s}\n", scalarText(expression+" IS NOT NULL"), scalarText(e.read), scalarText(expression))
	}
	if e.renamed != "" {
		fmt.Fprintf(b, "  # - rename: {%s: %s}\n", scalarText(e.renamed), e.newName)
	}
	if e.dropped != "" {
		fmt.Fprintf(b, "  # - drop: [%s]\n", scalarText(e.dropped))
	}
	b.WriteString("\n")
}

// sqlName is a column as an expression names it.
func sqlName(column string) string {
	if !bareWord.MatchString(column) || slices.Contains(strings.Fields(keywords), strings.ToLower(column)) {
		return `"` + strings.ReplaceAll(column, `"`, `""`) + `"`
	}
	return column
}

// keywords are the words that DuckDB does not take for a column without quotes: those of duckdb_keywords() that are reserved, or of types and functions.
const keywords = `all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast check collate collation column
columns concurrently constraint create cross default deferrable desc describe distinct do else end except false fetch for foreign freeze from full
generated glob group having ilike in initially inner intersect into is isnull join lambda lateral leading left like limit map natural not notnull null
offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional primary qualify references returning right select semi show
similar some struct summarize symmetric table tablesample then to trailing true try_cast union unique unpack unpivot using variadic verbose when where
window with`
