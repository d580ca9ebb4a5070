package files

import (
	"context"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Definition is the files connector.
func Definition() connector.Definition {
	return connector.Definition{
		Name:      Name,
		NewSource: func() drover.Source { return &Source{} },
		NewSink:   func() drover.Sink { return &Sink{} },
		OpenSource: func(ctx context.Context, spec drover.Source, env connector.Env) (connector.Source, error) {
			s, ok := spec.(*Source)
			if !ok {
				return nil, drover.Errorf(drover.Invalid, "files cannot read a %T", spec)
			}
			src, err := openSource(ctx, s, env)
			if err != nil {
				return nil, err // a nil *source in the interface would be a source
			}
			return src, nil
		},
		OpenSink: func(_ context.Context, spec drover.Sink, env connector.Env) (connector.Sink, error) {
			s, ok := spec.(*Sink)
			if !ok {
				return nil, drover.Errorf(drover.Invalid, "files cannot write a %T", spec)
			}
			snk, err := openSink(s, env)
			if err != nil {
				return nil, err
			}
			return snk, nil
		},
	}
}
