package postgres

import (
	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Definition is the connector for the registry.
func Definition() connector.Definition {
	return connector.Definition{
		Name:       Name,
		NewSource:  func() drover.Source { return &Source{} },
		NewSink:    func() drover.Sink { return &Sink{} },
		OpenSource: openSource,
		OpenSink:   openSink,
		Receipts:   true,
	}
}
