package sqlstep

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// Suspects are programs that find in one pass most of the rows on which steps fail; steps and first are Compile's. Each yields step.Tag alone, of
// the rows where a conversion of one step gives nothing for something, behind earlier steps in which such conversions give NULL. They only hint: a CASE may guard
// a conversion, and other errors are not looked for; a program may even fail itself. Steps without conversions have no program.
func Suspects(ctx context.Context, s *duck.Session, steps []drover.Step, first int, schema drover.Schema) ([]step.Program, error) {
	p := newProver(s, first)
	var out []step.Program
	var soft []drover.Step
	for _, st := range steps {
		c, err := compile(ctx, p, soft, schema)
		if err != nil {
			return nil, err
		}
		before := c.finish().Program
		softer, doubts, err := c.soften(ctx, st)
		if err != nil {
			return nil, err
		}
		soft = append(soft, softer)
		if len(doubts) > 0 {
			before.SQL = fmt.Sprintf("SELECT %s FROM (%s) AS %s WHERE %s", step.Tag, before.SQL, chunkName, strings.Join(doubts, " OR "))
			out = append(out, before)
		}
	}
	return out, nil
}

// soften returns a step whose conversions give NULL instead of failing, and for each of them a condition that is true where it does so.
func (c *compiler) soften(ctx context.Context, st drover.Step) (soft drover.Step, doubts []string, err error) {
	add := func(text, before string) (string, error) {
		out, more, err := c.softenSQL(ctx, before+text)
		doubts = append(doubts, more...)
		return strings.TrimPrefix(out, before), err
	}
	soft = st
	switch st.Kind() {
	case "filter":
		soft.Filter, err = add(st.Filter, selectWord)
	case "sql":
		soft.SQL, err = add(st.SQL, "")
	case "set":
		soft.Set = nil
		for _, p := range st.Set {
			if p.Value, err = add(p.Value, selectWord); err != nil {
				break
			}
			soft.Set = append(soft.Set, p)
		}
	case "cast":
		soft = drover.Step{}
		for _, p := range st.Cast {
			cast := fmt.Sprintf("TRY_CAST(%s AS %s)", duck.Ident(p.Key), p.Value)
			soft.Set = append(soft.Set, drover.Pair{Key: p.Key, Value: cast})
			doubts = append(doubts, fmt.Sprintf("(%s IS NOT NULL AND %s IS NULL)", duck.Ident(p.Key), cast))
		}
	}
	return soft, doubts, err
}

// gentle are functions that give NULL where others fail.
var gentle = map[string]string{"strptime": "try_strptime"}

// softenSQL does the same with one SELECT.
func (c *compiler) softenSQL(ctx context.Context, text string) (soft string, doubts []string, err error) {
	trees, err := parse(ctx, c.s, text)
	if err != nil {
		return "", nil, err
	}
	if len(trees) != 1 {
		return "", nil, fmt.Errorf("%d statements where one was expected", len(trees))
	}
	type conversion struct{ of, to node }
	var found []conversion
	walk(trees[0], func(n node) bool {
		switch {
		case n.str("class") == "LAMBDA":
			return false // its parameters mean nothing outside
		case n.str("class") == "CAST" && !n.flag("try_cast"):
			n["try_cast"] = true
			found = append(found, conversion{n.kid("child"), n})
		case n.str("class") == "FUNCTION" && gentle[strings.ToLower(n.str("function_name"))] != "" && len(n.kids("children")) > 0:
			n["function_name"] = gentle[strings.ToLower(n.str("function_name"))]
			found = append(found, conversion{n.kids("children")[0], n})
		}
		return true
	})
	for _, x := range found {
		if x.of.str("class") == "CONSTANT" {
			continue
		}
		of, err := c.expressionText(ctx, x.of)
		if err != nil {
			return "", nil, err
		}
		to, err := c.expressionText(ctx, x.to)
		if err != nil {
			return "", nil, err
		}
		doubts = append(doubts, fmt.Sprintf("((%s) IS NOT NULL AND (%s) IS NULL)", of, to))
	}
	soft, err = deparse(ctx, c.s, trees[0])
	return soft, doubts, err
}

// expressionText is the SQL of an expression.
func (c *compiler) expressionText(ctx context.Context, expression node) (string, error) {
	trees, err := parse(ctx, c.s, selectWord+"1")
	if err != nil {
		return "", err
	}
	trees[0]["select_list"] = []any{expression}
	text, err := deparse(ctx, c.s, trees[0])
	return strings.TrimPrefix(text, selectWord), err
}

// deparse returns the SQL of a parse tree.
func deparse(ctx context.Context, s *duck.Session, tree node) (string, error) {
	doc, err := json.Marshal(map[string]any{"error": false, "statements": []any{map[string]any{"node": tree, "named_param_map": []any{}}}})
	if err != nil {
		return "", fmt.Errorf("write a parse tree: %w", err)
	}
	rows, err := s.Texts(ctx, "SELECT json_deserialize_sql("+duck.Literal(string(doc))+"::JSON)")
	if err != nil {
		return "", fmt.Errorf("write a parse tree as SQL: %w", err)
	}
	return *rows[0][0], nil
}
