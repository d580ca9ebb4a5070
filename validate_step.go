package drover

import (
	"fmt"
	"slices"
	"strings"
)

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// validate checks what needs no schema: one kind, nothing empty, no column twice. Names are compared without regard to case, as
// DuckDB compares them.
func (s Step) validate() error {
	kinds := s.kinds()
	switch len(kinds) {
	case 0:
		return Errorf(Invalid, "the step is empty").WithHint("write one of select, drop, rename, filter, set, cast, downcast, sql, python")
	case 1:
	default:
		return Errorf(Invalid, "one step does %s", strings.Join(kinds, " and ")).WithField(kinds[1]).
			WithHint("make each of them a step of its own, in the order in which they apply")
	}
	if err := s.validateOptions(); err != nil {
		return err
	}
	switch kinds[0] {
	case "select":
		return validateColumns("select", s.Select)
	case "drop":
		return validateColumns("drop", s.Drop)
	case "rename":
		return validateRename(s.Rename)
	case "filter":
		return validateText("filter", s.Filter)
	case "set":
		return validatePairs("set", s.Set, "expression")
	case "cast":
		return validatePairs("cast", s.Cast, "type")
	case "downcast":
		if len(s.Downcast) == 1 && s.Downcast[0] == AllColumns {
			return nil
		}
		return validateColumns("downcast", s.Downcast)
	case "python":
		return s.validatePython()
	case "go":
		return s.validateGo()
	default:
		return validateText("sql", s.SQL)
	}
}

// validateOptions refuses what belongs to functions beside another step.
func (s Step) validateOptions() error {
	for _, option := range []struct {
		key string
		set bool
	}{
		{"schema", s.Schema != nil},
		{"frame", s.Frame != ""},
		{"dtypes", s.DTypes != ""},
	} {
		if option.set && s.Python == "" && (s.Go == "" || option.key != "schema") {
			return Errorf(Invalid, "%s belongs to a function, and this step is %s", option.key, s.Kind()).WithField(option.key)
		}
	}
	return nil
}

func (s Step) validatePython() error {
	module, function, found := strings.Cut(s.Python, ":")
	if !found || strings.TrimSpace(module) == "" || strings.TrimSpace(function) == "" || strings.Contains(function, ":") {
		return Errorf(Invalid, "python names no function: %q", s.Python).WithField("python").
			WithHint("write python: clean.py:clean for the function clean of a file beside the job file, or python: package.module:function")
	}
	for _, option := range []struct {
		key, value string
		known      []string
	}{
		{"frame", s.Frame, []string{"pandas", "polars", "pyarrow"}},
		{"dtypes", s.DTypes, []string{"numpy", "nullable", "pyarrow"}},
	} {
		if option.value != "" && !slices.Contains(option.known, option.value) {
			return Errorf(Invalid, "unknown %s %q", option.key, option.value).WithField(option.key).WithHint("known here: %s", strings.Join(option.known, ", "))
		}
	}
	if s.DTypes != "" && s.Frame != "" && s.Frame != "pandas" {
		return Errorf(Invalid, "dtypes are pandas', and frame is %s", s.Frame).WithField("dtypes")
	}
	if s.Schema == nil {
		return nil
	}
	return validatePairs("schema", s.Schema, "type")
}

func (s Step) validateGo() error {
	switch {
	case s.Func == nil:
		return Errorf(Invalid, "step go %q has no function", s.Go).WithField("go").
			WithHint("call Map in a program: cli.Main(drover.Job{Frame: drover.Read(...).Map(%q, function), ...})", s.Go)
	case s.Schema == nil:
		return nil
	}
	return validatePairs("schema", s.Schema, "type")
}

func validateText(key, text string) error {
	if strings.TrimSpace(text) == "" {
		return Errorf(Invalid, "%s is empty", key).WithField(key)
	}
	return nil
}

func validateColumns(key string, columns []string) error {
	if len(columns) == 0 {
		return Errorf(Invalid, "%s names no column", key).WithField(key).WithHint("write a list, such as %s: [id, name]", key)
	}
	seen := map[string]bool{}
	for i, c := range columns {
		if c == "" {
			return Errorf(Invalid, "%s has an empty column name", key).WithField(index(key, i))
		}
		if seen[strings.ToLower(c)] {
			return Errorf(Invalid, "%s names column %q twice", key, c).WithField(index(key, i))
		}
		seen[strings.ToLower(c)] = true
	}
	return nil
}

func validatePairs(key string, pairs []Pair, value string) error {
	if len(pairs) == 0 {
		return Errorf(Invalid, "%s names no column", key).WithField(key).WithHint("write a map of columns, such as %s: {column: %s}", key, value)
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		path := key + "." + p.Key
		switch {
		case strings.TrimSpace(p.Key) == "":
			return Errorf(Invalid, "%s has an empty column name", key).WithField(key)
		case seen[strings.ToLower(p.Key)]:
			return Errorf(Invalid, "%s names column %q twice", key, p.Key).WithField(path)
		case strings.TrimSpace(p.Value) == "":
			return Errorf(Invalid, "%s gives column %q no %s", key, p.Key, value).WithField(path)
		}
		seen[strings.ToLower(p.Key)] = true
	}
	return nil
}

func validateRename(pairs []Pair) error {
	if err := validatePairs("rename", pairs, "new name"); err != nil {
		return err
	}
	from := map[string]string{}
	for _, p := range pairs {
		if other, taken := from[strings.ToLower(p.Value)]; taken {
			return Errorf(Invalid, "rename gives columns %q and %q the same name %q", other, p.Key, p.Value).WithField("rename." + p.Key)
		}
		from[strings.ToLower(p.Value)] = p.Key
	}
	return nil
}
