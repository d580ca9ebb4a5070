package sqlstep

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/duck"
)

// function is what DuckDB's catalog says about all functions of one name.
type function struct {
	scalar, aggregate bool
	unstable          string // the stability of an overload that is not CONSISTENT
	macros            []macro
}

type macro struct {
	internal   bool
	definition string
	parameters []string
}

// clock is the functions that a session fixes at the run's start (duck.Options.Now).
var clock = map[string]bool{
	"now": true, "get_current_timestamp": true, "transaction_timestamp": true, "current_date": true, "today": true,
	"get_current_time": true, "current_localtime": true, "current_localtimestamp": true, "age": true,
}

// clockWords is the words that mean such a function where no column has their name.
var clockWords = map[string]bool{
	"current_date": true, "current_timestamp": true, "current_time": true, "localtime": true, "localtimestamp": true,
}

// perSession is the functions that the catalog calls CONSISTENT although their value is the session's.
var perSession = map[string]bool{"current_setting": true, "getvariable": true, "json_serialize_plan": true}

// functions reads the catalog.
func functions(ctx context.Context, s *duck.Session) (map[string]*function, error) {
	rows, err := s.Texts(ctx, `SELECT lower(function_name), function_type, coalesce(stability, ''), internal, coalesce(macro_definition, ''), array_to_string(parameters, ',')
FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')`)
	if err != nil {
		return nil, fmt.Errorf("read DuckDB's functions: %w", err)
	}
	out := map[string]*function{}
	for _, r := range rows {
		f := out[*r[0]]
		if f == nil {
			f = &function{}
			out[*r[0]] = f
		}
		switch *r[1] {
		case "scalar":
			f.scalar = true
			if *r[2] != "CONSISTENT" {
				f.unstable = *r[2]
			}
		case "aggregate":
			f.aggregate = true
		case "macro":
			m := macro{internal: *r[3] == "true", definition: *r[4]}
			if r[5] != nil && *r[5] != "" {
				m.parameters = strings.Split(*r[5], ",")
			}
			f.macros = append(f.macros, m)
		}
	}
	return out, nil
}

// function says why a call of a function is not row-wise, or "". exactness.md 24.
func (p *prover) function(ctx context.Context, name string) (string, error) {
	if why, ok := p.known[name]; ok {
		return why, nil
	}
	p.known[name] = name + "() calls itself" // until it is known better; DuckDB refuses recursive macros
	why, err := p.judge(ctx, name)
	if err != nil {
		return "", err
	}
	p.known[name] = why
	return why, nil
}

func (p *prover) judge(ctx context.Context, name string) (string, error) {
	if p.functions == nil {
		var err error
		if p.functions, err = functions(ctx, p.s); err != nil {
			return "", err
		}
	}
	f := p.functions[name]
	switch {
	case name == "unnest" || name == "unlist":
		return name + "() makes several rows of one", nil
	case clock[name]:
		return "", nil
	case f == nil:
		return notScalar(name), nil
	case f.aggregate:
		return name + "() is an aggregate", nil
	case f.unstable != "" && f.unstable != "CONSISTENT_WITHIN_QUERY":
		return name + "() is volatile: it gives another answer each time", nil
	case f.unstable != "" || perSession[name]:
		return name + "() depends on the session", nil
	}
	for _, m := range f.macros {
		if !m.internal {
			return name + "() is a macro", nil
		}
		// DuckDB's own macros, such as nullif, are as good as what they expand to.
		trees, err := parse(ctx, p.s, "SELECT "+m.definition)
		if err != nil {
			return "", fmt.Errorf("parse the definition of %s: %w", name, err)
		}
		sc := scope{params: m.parameters}
		o, err := p.expression(ctx, trees[0].kids("select_list")[0], &sc)
		if err != nil || o != nil {
			return name + "(): " + o.text(), err
		}
	}
	return "", nil
}

func notScalar(name string) string { return "there is no scalar function " + name + "()" }

// meant returns the function that an unknown name may stand for.
func (p *prover) meant(name string) string {
	return nearest(name, slices.Sorted(maps.Keys(p.functions)))
}
