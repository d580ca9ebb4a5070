package connector

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover"
)

// Env is what a connector may use of the process it is opened in.
type Env struct {
	// Timezone is the job's.
	Timezone string
	// TempDir is for scratch files.
	TempDir string
	// Application names the process to servers: "drover/r-k3f9/17".
	Application string
	// Warn tells the user something that is not an error. Never nil.
	Warn func(format string, args ...any)
	// Memory is the process's share of the budget in bytes; 0 means no bound. memory.Divide says how much of it is the connector's.
	Memory int64
	// Connections bounds the connections that all processes of this machine have to the source (limits.source_connections); 0 means no bound.
	Connections int
	// Resume says that an unfinished run of the job exists: what is in the target may be that run's own. A sink that refuses a target
	// with data then leaves that to Begin, which knows the run.
	Resume bool
}

// Definition is one connector: its name, its vocabulary and how it is opened.
type Definition struct {
	Name string
	// NewSource and NewSink return pointers to empty vocabulary values that JSON decodes into. Nil where the connector does
	// not read, or not write.
	NewSource func() drover.Source
	NewSink   func() drover.Sink
	// OpenSource and OpenSink connect. The value is what NewSource or NewSink returned, filled in.
	OpenSource func(ctx context.Context, spec drover.Source, env Env) (Source, error)
	OpenSink   func(ctx context.Context, spec drover.Sink, env Env) (Sink, error)
	// Receipts says that a finished run leaves receipts in the target, for drover prune to remove.
	Receipts bool
}

// Registry is the connectors by name.
type Registry map[string]Definition

// OpenSource opens spec with its connector.
func (r Registry) OpenSource(ctx context.Context, spec drover.Source, env Env) (Source, error) {
	d, ok := r[spec.Connector()]
	if !ok || d.OpenSource == nil {
		return nil, drover.Errorf(drover.Invalid, "no connector reads %q", spec.Connector())
	}
	opened, err := d.OpenSource(ctx, spec, env)
	if err != nil {
		return nil, err // and not a nil of the connector's own type, which is not nil to the caller
	}
	return opened, nil
}

// OpenSink opens spec with its connector.
func (r Registry) OpenSink(ctx context.Context, spec drover.Sink, env Env) (Sink, error) {
	d, ok := r[spec.Connector()]
	if !ok || d.OpenSink == nil {
		return nil, drover.Errorf(drover.Invalid, "no connector writes %q", spec.Connector())
	}
	opened, err := d.OpenSink(ctx, spec, env)
	if err != nil {
		return nil, err // and not a nil of the connector's own type, which is not nil to the caller
	}
	return opened, nil
}

// DecodeSource rebuilds a source's vocabulary value from its JSON.
func (r Registry) DecodeSource(name string, data []byte) (drover.Source, error) {
	d, ok := r[name]
	if !ok || d.NewSource == nil {
		return nil, drover.Errorf(drover.Invalid, "no connector reads %q", name)
	}
	v := d.NewSource()
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("decode source %s: %w", name, err)
	}
	return v, nil
}

// DecodeSink rebuilds a sink's vocabulary value from its JSON.
func (r Registry) DecodeSink(name string, data []byte) (drover.Sink, error) {
	d, ok := r[name]
	if !ok || d.NewSink == nil {
		return nil, drover.Errorf(drover.Invalid, "no connector writes %q", name)
	}
	v := d.NewSink()
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("decode sink %s: %w", name, err)
	}
	return v, nil
}
