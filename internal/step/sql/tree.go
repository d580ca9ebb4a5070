package sqlstep

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// node is an object of DuckDB's parse tree as json_serialize_sql prints it. Expressions have a "class", table references a "sample",
// query nodes "modifiers". The classes are those of duckdb/common/enums/expression_type.hpp.
type node map[string]any

func (n node) str(key string) string { s, _ := n[key].(string); return s }

func (n node) flag(key string) bool { b, _ := n[key].(bool); return b }

func (n node) kid(key string) node { m, _ := n[key].(map[string]any); return m }

func (n node) kids(key string) []node {
	list, _ := n[key].([]any)
	var out []node
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func (n node) strs(key string) []string {
	list, _ := n[key].([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// at is the byte offset of the node in the parsed text, or -1.
func (n node) at() int {
	num, _ := n["query_location"].(json.Number)
	at, err := strconv.Atoi(num.String())
	if err != nil {
		return -1 // DuckDB's "unknown" is the largest unsigned integer
	}
	return at
}

// empty reports whether an entry says nothing: null, "", false or an empty list.
func (n node) empty(key string) bool {
	switch v := n[key].(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	}
	return false
}

// walk calls f for every object below v, parents first. Where f returns false its children are left out.
func walk(v any, f func(node) bool) {
	switch v := v.(type) {
	case node:
		walk(map[string]any(v), f)
	case map[string]any:
		if f(v) {
			for _, child := range v {
				walk(child, f)
			}
		}
	case []any:
		for _, child := range v {
			walk(child, f)
		}
	}
}

// bare returns a copy of a tree without locations, for comparison.
func bare(v any) any {
	switch v := v.(type) {
	case node:
		return bare(map[string]any(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, child := range v {
			if k != "query_location" {
				out[k] = bare(child)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = bare(child)
		}
		return out
	}
	return v
}

// notSelect is DuckDB's type of the answer to a statement that is no SELECT.
const notSelect = "not implemented"

// parse returns the parse trees of the statements in sql, which may only be SELECTs. A syntax error is of kind Invalid with its
// Offset in sql.
func parse(ctx context.Context, s *duck.Session, sql string) ([]node, error) {
	rows, err := s.Texts(ctx, "SELECT json_serialize_sql("+duck.Literal(sql)+")")
	if err != nil {
		return nil, fmt.Errorf("parse SQL: %w", err)
	}
	var doc struct {
		Error      bool
		Type       string `json:"error_type"`
		Message    string `json:"error_message"`
		Position   string
		Statements []struct {
			Node   map[string]any
			Params []any `json:"named_param_map"`
		}
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(*rows[0][0])))
	dec.UseNumber() // a location may be the largest unsigned integer
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read DuckDB's parse tree: %w", err)
	}
	if doc.Error {
		if doc.Type == notSelect {
			return nil, drover.Errorf(drover.Invalid, "this is not a SELECT")
		}
		e := drover.Errorf(drover.Invalid, "%s", doc.Message)
		e.Code = "Parser Error"
		if at, err := strconv.Atoi(doc.Position); err == nil {
			e.Offset = at + 1
		}
		return nil, e
	}
	nodes := make([]node, len(doc.Statements))
	for i, st := range doc.Statements {
		if len(st.Params) > 0 {
			return nil, drover.Errorf(drover.Invalid, "parameters ($1, ?) have no value here").
				WithHint("write the value, or ${NAME} for a variable of the job")
		}
		nodes[i] = st.Node
	}
	return nodes, nil
}
