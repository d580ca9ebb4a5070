package sqlstep

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/vocabulary"
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

// ruling is what is known of a function: why it is not row-wise, or "", and what to do then.
type ruling struct{ why, hint string }

// Hints of objections.
const (
	hintRows  = "a step that needs other rows is written as sql: SELECT ... FROM chunk, with chunk: in the job"
	hintClock = "now() and current_date may be used: they mean the run's start"
)

// function judges calls of a function. exactness.md 24.
func (p *prover) function(ctx context.Context, name string) (ruling, error) {
	if r, ok := p.known[name]; ok {
		return r, nil
	}
	p.known[name] = ruling{why: name + "() calls itself"} // until it is known better; DuckDB refuses recursive macros
	r, err := p.judge(ctx, name)
	if err != nil {
		return ruling{}, err
	}
	p.known[name] = r
	return r, nil
}

func (p *prover) judge(ctx context.Context, name string) (ruling, error) {
	if p.functions == nil {
		var err error
		if p.functions, err = functions(ctx, p.s); err != nil {
			return ruling{}, err
		}
	}
	f := p.functions[name]
	switch {
	case name == "unnest" || name == "unlist":
		return ruling{name + "() makes several rows of one", hintRows}, nil
	case clock[name]:
		return ruling{}, nil
	case f == nil:
		r := ruling{why: "there is no scalar function " + name + "()"}
		if near := vocabulary.Nearest(name, slices.Sorted(maps.Keys(p.functions))); near != "" {
			r.hint = fmt.Sprintf("Did you mean %q?", near)
		}
		return r, nil
	case f.aggregate:
		return ruling{name + "() is an aggregate", hintRows}, nil
	case f.unstable != "" && f.unstable != "CONSISTENT_WITHIN_QUERY":
		return ruling{name + "() is volatile: it gives another answer each time", "compute it from the row, for example with hash()"}, nil
	case f.unstable != "" || perSession[name]:
		return ruling{name + "() depends on the session", hintClock}, nil
	}
	for _, m := range f.macros {
		if !m.internal {
			return ruling{why: name + "() is a macro"}, nil
		}
		// DuckDB's own macros, such as nullif, are as good as what they expand to.
		trees, err := parse(ctx, p.s, "SELECT "+m.definition)
		if err != nil {
			return ruling{}, fmt.Errorf("parse the definition of %s: %w", name, err)
		}
		o, err := p.expression(ctx, trees[0].kids("select_list")[0], &scope{params: m.parameters})
		if err != nil {
			return ruling{}, err
		}
		if o != nil {
			return ruling{name + "(): " + o.why, o.hint}, nil
		}
	}
	return ruling{}, nil
}
