package sqlstep

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// prover decides which expressions are row-wise: an allowlist over the parse tree, with DuckDB's catalog to tell functions apart.
type prover struct {
	s *duck.Session
	// first is the place in the job of the first step that is compiled.
	first     int
	functions map[string]*function
	known     map[string]ruling
}

func newProver(s *duck.Session, first int) *prover {
	return &prover{s: s, first: first, known: map[string]ruling{}}
}

// scope is what names mean inside an expression.
type scope struct {
	columns  drover.Schema
	relation string   // the name that the relation of columns goes by
	aliases  []string // names that the SELECT list gives to its own items
	params   []string // of lambdas and macros

	reads    []string // the columns that were met, in order
	usedName bool     // an alias was met
}

// objection says why an expression is not row-wise.
type objection struct {
	why     string
	at      int    // byte offset in the parsed text, or -1
	unknown string // the name of a column that does not exist, if that is why
	hint    string
}

func (o *objection) text() string {
	if o == nil {
		return ""
	}
	return o.why
}

// TRY around a coalesce or a CASE that meets an error corrupts DuckDB's memory (1.5.5): it must not run, not even in a sql step.
const (
	tryOperator = "OPERATOR_TRY"
	whyNoTry    = "TRY(...) is unsafe in this version of DuckDB"
	hintNoTry   = "TRY_CAST(x AS type) gives NULL for what cannot be converted; CASE WHEN guards other errors"
)

// operators is the types of class OPERATOR that look at one row.
var operators = map[string]bool{
	"OPERATOR_NOT": true, "OPERATOR_IS_NULL": true, "OPERATOR_IS_NOT_NULL": true, "OPERATOR_COALESCE": true, "OPERATOR_NULLIF": true,
	"COMPARE_IN": true, "COMPARE_NOT_IN": true, "ARRAY_EXTRACT": true, "ARRAY_SLICE": true, "STRUCT_EXTRACT": true,
	"ARRAY_CONSTRUCTOR": true,
}

// expression returns why n is not row-wise, or nil, and notes in sc which columns n reads.
func (p *prover) expression(ctx context.Context, n node, sc *scope) (*objection, error) {
	if n == nil {
		return nil, nil
	}
	switch n.str("class") {
	case "CONSTANT":
		return nil, nil
	case "COLUMN_REF":
		return sc.column(n), nil
	case "CAST", "COLLATE":
		return p.all(ctx, sc, n.kid("child"))
	case "COMPARISON":
		return p.all(ctx, sc, n.kid("left"), n.kid("right"))
	case "BETWEEN":
		return p.all(ctx, sc, n.kid("input"), n.kid("lower"), n.kid("upper"))
	case "CONJUNCTION":
		return p.all(ctx, sc, n.kids("children")...)
	case "CASE":
		for _, c := range n.kids("case_checks") {
			if o, err := p.all(ctx, sc, c.kid("when_expr"), c.kid("then_expr")); o != nil || err != nil {
				return o, err
			}
		}
		return p.all(ctx, sc, n.kid("else_expr"))
	case "OPERATOR":
		if n.str("type") == tryOperator {
			return object(n, hintNoTry, whyNoTry), nil
		}
		if !operators[n.str("type")] {
			return object(n, "", "%s is not row-wise", n.str("type")), nil
		}
		return p.all(ctx, sc, n.kids("children")...)
	case "LAMBDA":
		return p.lambda(ctx, n, sc)
	case "FUNCTION":
		return p.call(ctx, n, sc)
	case "WINDOW":
		return object(n, hintRows, "%s() OVER is a window function", n.str("function_name")), nil
	case "SUBQUERY":
		return object(n, hintRows, "a subquery sees other rows"), nil
	case "STAR":
		if n.flag("columns") {
			return object(n, "write one expression for each column", "COLUMNS() stands for several expressions"), nil
		}
		return object(n, "write one expression for each column", "* stands for several expressions"), nil
	case "POSITIONAL_REFERENCE":
		return object(n, "name the column", "#1 and its like are positions, not columns"), nil
	}
	return object(n, "", "%s is not row-wise", strings.ToLower(n.str("class"))), nil
}

func object(n node, hint, format string, args ...any) *objection {
	return &objection{why: fmt.Sprintf(format, args...), hint: hint, at: n.at()}
}

func (p *prover) all(ctx context.Context, sc *scope, nodes ...node) (*objection, error) {
	for _, n := range nodes {
		if o, err := p.expression(ctx, n, sc); o != nil || err != nil {
			return o, err
		}
	}
	return nil, nil
}

func (p *prover) call(ctx context.Context, n node, sc *scope) (*objection, error) {
	name := strings.ToLower(n.str("function_name"))
	if schema := n.str("schema"); n.str("catalog") != "" || schema != "" && !strings.EqualFold(schema, "main") {
		// system.main.now() would pass by the session's own now().
		return object(n, "leave the catalog out", "%s() is named with its catalog", name), nil
	}
	if !n.empty("filter") || n.flag("distinct") || len(n.kid("order_bys").kids("orders")) > 0 {
		return object(n, hintRows, "%s() is an aggregate", name), nil
	}
	r, err := p.function(ctx, name)
	if err != nil {
		return nil, err
	}
	if r.why != "" {
		return object(n, r.hint, "%s", r.why), nil
	}
	return p.all(ctx, sc, n.kids("children")...)
}

// lambda handles lambda x: ..., and j -> '$.a', which parses the same way. So a parameter that has a column's name counts as a read of it.
func (p *prover) lambda(ctx context.Context, n node, sc *scope) (*objection, error) {
	lhs, params := n.kid("lhs"), sc.params
	defer func() { sc.params = params }()
	names := []node{lhs}
	if lhs.str("class") == "FUNCTION" && strings.EqualFold(lhs.str("function_name"), "row") {
		names = lhs.kids("children")
	}
	for _, c := range names {
		if parts := c.strs("column_names"); c.str("class") == "COLUMN_REF" && len(parts) == 1 {
			sc.params = append(slices.Clip(sc.params), parts[0])
		}
	}
	return p.all(ctx, sc, lhs, n.kid("expr"))
}

// column resolves a column reference.
func (sc *scope) column(n node) *objection {
	parts := n.strs("column_names")
	hit := sc.note(parts[0])
	if len(parts) > 1 && strings.EqualFold(parts[0], sc.relation) {
		hit = sc.note(parts[1]) || hit
	}
	is := func(name string) bool { return strings.EqualFold(name, parts[0]) }
	switch {
	case hit, slices.ContainsFunc(sc.params, is):
		return nil
	case len(parts) == 1 && slices.ContainsFunc(sc.aliases, is):
		sc.usedName = true
		return nil
	case len(parts) == 1 && clockWords[strings.ToLower(parts[0])]:
		return nil
	}
	o := object(n, "", "column %q does not exist", strings.Join(parts, "."))
	o.unknown = strings.Join(parts, ".")
	return o
}

// note reports whether name is a column, and remembers it.
func (sc *scope) note(name string) bool {
	i := sc.columns.Index(name)
	if i < 0 {
		return false
	}
	if c := sc.columns[i].Name; !slices.Contains(sc.reads, c) {
		sc.reads = append(sc.reads, c)
	}
	return true
}
