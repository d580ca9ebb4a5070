package cli

import (
	"fmt"

	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/spf13/cobra"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "schema",
		DisableFlagsInUseLine: true,
		Short:                 "print the JSON Schema of a job file",
		Long: `Print the JSON Schema of a job file, for editors that complete and check YAML. A job file refers to it in its first line:

  # yaml-language-server: $schema=drover.schema.json`,
		Example: `  drover schema > drover.schema.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := jobfile.Schema(all.All())
			if err != nil {
				return fmt.Errorf("make the JSON Schema: %w", err)
			}
			_, _ = a.out.Write(schema)
			return nil
		},
	}
}
