package sqlstep

import (
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// tables is what a SELECT reads.
type tables struct {
	// chunk counts the mentions of the relation chunk.
	chunk int
	// indirect says that a mention may be scanned more than once: in a CTE, or under a PIVOT.
	indirect bool
}

var (
	queryNodes = []string{"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
	// tableRefs is what may stand in a FROM clause. SHOW_REF (DESCRIBE, SUMMARIZE) and what newer versions add are refused.
	tableRefs = []string{"BASE_TABLE", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "EMPTY_FROM", "TABLE_FUNCTION", "PIVOT"}
	// tableFunctions is the table functions that look at nothing but their arguments.
	tableFunctions = []string{"range", "generate_series", "unnest", "repeat", "json_each", "json_tree"}
)

// inspect refuses a SELECT that reads anything but chunk and its own CTEs: other tables, files by name, table functions that
// touch the outside.
func inspect(tree node, field string) (tables, error) {
	var uses tables
	var ctes []string
	var refused *drover.Error
	refuse := func(n node, format string, args ...any) {
		if refused == nil {
			refused = drover.Errorf(drover.Invalid, format, args...).WithField(field).
				WithHint("a sql step reads the relation chunk alone; join and union in source.postgres.query, or in a job before")
			refused.Offset = n.at() + 1
		}
	}
	walk(tree, func(n node) bool {
		for _, entry := range n.kid("cte_map").kids("map") {
			ctes = append(ctes, entry.str("key"))
		}
		if name := n.str("cte_name"); name != "" {
			ctes = append(ctes, name)
		}
		if n.str("type") == tryOperator && refused == nil {
			refuse(n, whyNoTry)
			refused.Hint = hintNoTry
		}
		return true
	})
	for _, name := range ctes {
		if strings.EqualFold(name, chunkName) || strings.ContainsAny(name, "./:*?[") {
			return tables{}, drover.Errorf(drover.Invalid, "a WITH clause cannot define %q", name).WithField(field).WithHint("choose another name")
		}
	}
	var visit func(v any, indirect bool)
	visit = func(v any, indirect bool) {
		walk(v, func(n node) bool {
			_, isQuery := n["modifiers"]
			_, isTable := n["sample"]
			switch {
			case isQuery:
				if !slices.Contains(queryNodes, n.str("type")) {
					refuse(n, "%s is not supported in a sql step", n.str("type"))
				}
				if m := n.kid("cte_map"); m != nil && !m.empty("map") && !indirect {
					visit(m["map"], true)
					for k, child := range n {
						if k != "cte_map" {
							visit(child, indirect)
						}
					}
					return false
				}
			case isTable:
				return uses.table(n, ctes, indirect, refuse, visit)
			}
			return true
		})
	}
	visit(map[string]any(tree), false)
	if refused == nil && uses.chunk == 0 {
		refuse(node{}, "this SELECT does not read chunk")
	}
	if refused != nil {
		return tables{}, refused
	}
	return uses, nil
}

// table looks at one table reference and reports whether to go on below it.
func (u *tables) table(n node, ctes []string, indirect bool, refuse func(node, string, ...any), visit func(any, bool)) bool {
	switch typ := n.str("type"); {
	case !slices.Contains(tableRefs, typ):
		refuse(n, "DESCRIBE, SHOW and SUMMARIZE are not supported in a sql step")
	case typ == "PIVOT" && !indirect:
		for _, child := range n {
			visit(child, true)
		}
		return false
	case typ == "TABLE_FUNCTION":
		if name := n.kid("function").str("function_name"); !slices.Contains(tableFunctions, strings.ToLower(name)) {
			refuse(n, "a sql step cannot call the table function %s()", name)
		}
	case typ == "BASE_TABLE":
		name := n.str("table_name")
		qualified := n.str("schema_name") != "" || n.str("catalog_name") != ""
		own := slices.ContainsFunc(ctes, func(cte string) bool { return strings.EqualFold(cte, name) })
		switch {
		case qualified || !own && !strings.EqualFold(name, chunkName):
			refuse(n, "a sql step cannot read %q", name)
		case !own:
			u.chunk++
			u.indirect = u.indirect || indirect
		}
	}
	return true
}
