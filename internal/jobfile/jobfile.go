package jobfile

import (
	"reflect"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/vocabulary"
)

// maxVars bounds the entries of vars.
const maxVars = 1000

// Options are what a job file is read with.
type Options struct {
	// Connectors has the sources and sinks that a job may name. Only NewSource and NewSink are used.
	Connectors connector.Registry
	// Set is the values of --set.
	Set map[string]string
	// Env looks a variable of the environment up, as os.LookupEnv does. Nil: there are none.
	Env func(name string) (value string, ok bool)
}

// File is a job file that was read.
type File struct {
	// Name is the file's name as errors show it.
	Name string
	Job  drover.Job

	source *source
	root   *node
}

// Parse reads a job file. name is its name in errors. The job that it returns has passed Job.Validate. Every error is an *Error of kind
// Invalid.
func Parse(name string, data []byte, opts Options) (*File, error) {
	s, err := newSource(name, data)
	if err != nil {
		return nil, err
	}
	root, err := s.parse()
	if err != nil {
		return nil, err
	}
	if opts.Env == nil {
		opts.Env = func(string) (string, bool) { return "", false }
	}
	d := &decoder{
		interpolator: &interpolator{source: s, set: opts.Set, env: opts.Env},
		connectors:   opts.Connectors,
		root:         root,
	}
	if root.kind != mapping {
		return nil, s.fail(s.extent(root), drover.Errorf(drover.Invalid, "a job file is a map of keys such as name, source and sink").
			WithHint("drover init SOURCE writes one to start from"))
	}
	if err := d.variables(root); err != nil {
		return nil, err
	}
	var doc Document
	if err := d.structure(root, reflect.ValueOf(&doc).Elem(), "", vocabulary.Field{}); err != nil {
		return nil, err
	}
	if err := d.checkUsed(root); err != nil {
		return nil, err
	}
	f := &File{Name: name, Job: doc.job(), source: s, root: root}
	if err := f.Job.Validate(); err != nil {
		return nil, f.Locate(err)
	}
	return f, nil
}

// variables checks vars and makes them known to the interpolator. Each is resolved, so that one that nothing uses is still right.
func (d *decoder) variables(root *node) error {
	for name := range d.set {
		if !variableName.MatchString(name) {
			return d.fail(place{}, drover.Errorf(drover.Invalid, "--set %s: %q is not a variable's name", name, name).
				WithHint("a name has letters, digits and _"))
		}
	}
	e := root.find("vars")
	if e == nil || e.value.kind == absent {
		return nil
	}
	f := vocabulary.Field{Key: "vars"}
	if e.value.kind != mapping {
		return d.wrong(e.value, "vars", f, "a map of names and values")
	}
	if len(e.value.entries) > maxVars {
		return d.fail(d.extent(e.key), drover.Errorf(drover.Invalid, "vars has more than %d entries", maxVars))
	}
	d.vars = e.value.entries
	for _, v := range d.vars {
		if !variableName.MatchString(v.name) {
			return d.fail(d.extent(v.key), drover.Errorf(drover.Invalid, "%q is not a variable's name", v.name).WithHint("a name has letters, digits and _"))
		}
		if v.value.kind != scalar {
			return d.wrong(v.value, "vars."+v.name, f, "text")
		}
	}
	for _, v := range d.vars {
		if _, overridden := d.set[v.name]; overridden {
			continue
		}
		d.open = []string{v.name}
		if err := d.resolve(v.value); err != nil {
			return err
		}
	}
	d.open = nil
	return nil
}
