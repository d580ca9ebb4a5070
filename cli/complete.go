package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// completionTime bounds what a Tab may cost.
const completionTime = 2 * time.Second

// completeJobFile offers YAML files.
func completeJobFile(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeRun offers the newest runs of the ledger.
func (a *app) completeRun(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	flag, err := cmd.Flags().GetString("ledger")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	l, err := readLedger(ctx, a.ledgerName(flag, ""))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer l.Shutdown() //nolint:errcheck // nothing was written
	runs, err := l.Runs(ctx, 50)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for _, r := range runs {
		out = append(out, cobra.CompletionWithDesc(r.ID, r.Job+", "+string(r.State)))
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// addCompletion adds the command that prints completion scripts, with drover's own words for wrong arguments.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, "%s needs a shell", cmd.CommandPath()).WithHint("%s bash, zsh, fish or powershell", cmd.CommandPath())
			}
			return usage(cmd, "unknown shell %q", args[0]).WithHint("%s bash, zsh, fish or powershell", cmd.CommandPath())
		}
		for _, shell := range c.Commands() {
			shell.Args = noArgs
		}
	}
}

// completeFlag offers the values of a flag.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag does not exist: a defect of the caller
	}
}
