// Package all lists the connectors that drover has. Another one is added by a line here.
package all

import (
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
)

// All returns a registry of all connectors.
func All() connector.Registry {
	registry := connector.Registry{}
	for _, d := range []connector.Definition{
		files.Definition(),
		postgres.Definition(),
	} {
		registry[d.Name] = d
	}
	return registry
}
