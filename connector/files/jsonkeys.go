package files

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// seenKey is one spelling of a key with one kind of value.
type seenKey struct{ name, kind, path string }

// checkJSON refuses what DuckDB would change without a word: keys of records that are twice in one record or differ in case, values of different
// kinds under one key, and numbers that become a DOUBLE of another value. It looks at the records' own keys, not into nested values.
func checkJSON(ctx context.Context, s *duck.Session, escaped []string, bytes int64, columns drover.Schema) error {
	records := "(SELECT filename, json FROM read_json_objects(" + literals(escaped) + ", format='auto', filename=true) WHERE json_type(json) = 'OBJECT'"
	if bytes > sampleAll {
		records += fmt.Sprintf(" LIMIT %d", sampleRows)
	}
	records += ")"
	err := texts(ctx, s, "SELECT filename, left(json::VARCHAR, 100) FROM "+records+
		" WHERE len(json_keys(json)) <> len(list_distinct(json_keys(json))) LIMIT 1", func(row []cell) error {
		return drover.Errorf(drover.Refused, "a record of %s has a key twice: %s", row[0].Text, row[1].Text).WithHint("rename one of them in the file")
	})
	if err != nil {
		return err
	}
	seen := map[string]seenKey{}
	// DuckDB keeps the text of a number that neither BIGINT nor UBIGINT nor DOUBLE holds; 2^53 is the last integer up to which a DOUBLE holds all.
	query := `SELECT e.key, CASE WHEN e.type IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN 'number' ELSE lower(e.type) END AS kind, min(filename),
		min(e.value::VARCHAR) FILTER (WHERE e.type = 'DOUBLE' AND (NOT regexp_matches(e.value::VARCHAR, '[.eE]') OR NOT isfinite(TRY_CAST(e.value::VARCHAR AS DOUBLE)))),
		min(e.value::VARCHAR) FILTER (WHERE e.type IN ('BIGINT', 'UBIGINT') AND abs(TRY_CAST(e.value::VARCHAR AS HUGEINT)) > 9007199254740992)
		FROM ` + records + ` AS o, json_each(o.json) AS e GROUP BY ALL ORDER BY 3, 1, 2`
	return texts(ctx, s, query, func(row []cell) error {
		k := seenKey{row[0].Text, row[1].Text, row[2].Text}
		old, ok := seen[strings.ToLower(k.name)]
		if ok && old.name != k.name {
			return drover.Errorf(drover.Refused, "the keys %q in %s and %q in %s differ only in case", old.name, old.path, k.name, k.path).
				WithHint("rename one of them in the files, or read the files in separate jobs")
		}
		if ok && old.kind != "null" && k.kind != "null" && old.kind != k.kind {
			return &drover.Error{
				Kind: drover.Refused, Column: k.name,
				Message: fmt.Sprintf("key %s is %s in %s and %s in %s", k.name, old.kind, old.path, k.kind, k.path),
				Hint:    "read the files in separate jobs, or rewrite the values with one type",
			}
		}
		if !ok || old.kind == "null" {
			seen[strings.ToLower(k.name)] = k
		}
		value := row[3]
		if i := columns.Index(k.name); value.Null && i >= 0 && columns[i].Type == "DOUBLE" {
			value = row[4]
		}
		if !value.Null {
			return &drover.Error{
				Kind: drover.Refused, Column: k.name, Message: fmt.Sprintf("key %s has the number %s in %s, which DOUBLE does not hold exactly", k.name, value.Text, k.path),
				Hint: "write such numbers as texts, in quotes",
			}
		}
		return nil
	})
}
