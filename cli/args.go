package cli

import (
	"errors"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/vocabulary"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage is an error of the command line.
func usage(cmd *cobra.Command, format string, args ...any) *drover.Error {
	return drover.Errorf(drover.Invalid, format, args...).WithHint("%s --help", cmd.CommandPath())
}

// noArgs refuses arguments. At the root an argument is a command that does not exist.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usage(cmd, "%s takes no argument, but was given %q", cmd.CommandPath(), args[0])
	}
	err := usage(cmd, "unknown command %q", args[0])
	var verbs []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			verbs = append(verbs, c.Name())
		}
	}
	if near := vocabulary.Nearest(args[0], verbs); near != "" {
		return err.WithHint("Did you mean %q?", near)
	}
	if isJobFile(args[0]) {
		return err.WithHint("drover run %s", args[0])
	}
	return err
}

// helpCommand is `drover help VERB`, which --help is another spelling of.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "tell about a command",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 && !about.HasParent() {
				err = noArgs(about, rest)
			}
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

func isJobFile(arg string) bool {
	return strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

// describe makes the commands those of a program that is its own job: they take no job file.
func (a *app) describe(root *cobra.Command) {
	root.Short = "run the job " + a.job.Name
	root.Long = "This program is the job " + a.job.Name + ", with every verb of drover for it."
	root.Example = ""
	for _, cmd := range root.Commands() {
		cmd.Example = ""
		if use, found := strings.CutPrefix(cmd.Use, cmd.Name()+" JOB.yaml"); found {
			cmd.Use = cmd.Name() + use
			cmd.Args, cmd.ValidArgsFunction = noArgs, cobra.NoFileCompletions
		}
	}
}

// oneJobFile wants exactly one argument.
func oneJobFile(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usage(cmd, "%s needs a job file", cmd.CommandPath()).WithHint("%s JOB.yaml; drover init SOURCE writes one", cmd.CommandPath())
	}
	return usage(cmd, "%s takes one job file, but was given %d: %s", cmd.CommandPath(), len(args), strings.Join(args, " "))
}

// atMostOne wants nothing or one argument, which the text names.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(cmd, "%s takes one %s, but was given %d: %s", cmd.CommandPath(), what, len(args), strings.Join(args, " "))
		}
		return nil
	}
}

// flagError explains a flag that cannot be parsed.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		name := unknown.GetSpecifiedName()
		if near := vocabulary.Nearest(name, names); near != "" && len(name) > 1 {
			return usage(cmd, "%s has no flag --%s", cmd.CommandPath(), name).WithHint("Did you mean --%s?", near)
		}
		return usage(cmd, "%s has no flag %s", cmd.CommandPath(), dashed(name))
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(cmd, "%s needs a value", dashed(missing.GetSpecifiedName()))
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if e, ok := errors.AsType[*drover.Error](bad.Unwrap()); ok {
			named := *e
			named.Message = "--" + bad.GetFlag().Name + ": " + e.Message
			return &named
		}
		return usage(cmd, "--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), article(bad.GetFlag().Value.Type()))
	}
	return usage(cmd, "%s", err.Error())
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// article says what a flag's type is to a person.
func article(kind string) string {
	switch kind {
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "duration":
		return "a time such as 30s"
	}
	return "a " + kind
}
