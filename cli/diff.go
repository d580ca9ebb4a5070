package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/droverdata/drover/internal/verify"
	"github.com/spf13/cobra"
)

// errDifferent ends a comparison that found a difference. Its result has told about it.
var errDifferent = errors.New("the two sides differ")

// diffFlags are the flags of diff.
type diffFlags struct {
	flags
	key       []string
	ignore    []string
	tolerance float64
	samples   int
	timezone  string
	json      bool
}

func (a *app) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:                   "diff A B --key COLUMN [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "find the rows in which two tables or datasets differ",
		Long: `Compare two tables row by row and show which rows are missing in B, extra in B or changed, with samples. A and B are each
a folder, a file or a glob of Parquet, CSV, JSON or Arrow files, or a Postgres table written
postgres://USER@HOST/DATABASE#SCHEMA.TABLE; a password is best kept in ~/.pgpass or PGPASSWORD.

Rows belong together when their key is the same. Values are compared, not types: the integer 1 is the bigint 1 and the
numeric 1.00, and NULL equals NULL. Neither side is held in memory: both are hashed by buckets of their keys, and
only the rows of buckets that differ are compared.

The exit code is 0 if the sides are equal and 4 if they differ.`,
		Example: `  drover diff before/ after/ --key id
  drover diff companies.csv 'postgres://localhost/sales#public.companies' --key id
  drover diff old/ new/ --key order_id,line --tolerance 1e-9 --ignore loaded_at
  drover diff a.parquet b.parquet --key id --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(cmd, "%s compares two tables or datasets, but was given %d", cmd.CommandPath(), len(args)).
					WithHint("%s A B --key COLUMN", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.key) == 0 {
				return usage(cmd, "%s needs the columns that say which rows belong together", cmd.CommandPath()).
					WithHint("%s A B --key id, or --key order_id,line", cmd.CommandPath())
			}
			if f.samples < 0 {
				return usage(cmd, "--samples %d: it must be 0 or more", f.samples)
			}
			return a.diff(cmd.Context(), args[0], args[1], f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringSliceVar(&f.key, "key", nil, "the `columns` that say which rows belong together, separated by commas")
	fs.StringSliceVar(&f.ignore, "ignore", nil, "`columns` that are not compared")
	fs.Float64Var(&f.tolerance, "tolerance", 0, "floats are equal if they differ by at most `X` times the larger of 1 and their size")
	fs.IntVar(&f.samples, "samples", 5, "how many rows to show of each of missing, extra and changed")
	fs.StringVar(&f.timezone, "timezone", "", "the time `zone` in which files without zones are read (default UTC)")
	fs.Var(&f.memory, "memory", "the memory to use, such as 4GiB (default 70 % of the machine; or DROVER_MEMORY)")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (a *app) diff(ctx context.Context, left, right string, f diffFlags) (err error) {
	s, err := a.resolve(f.flags, drover.Job{})
	if err != nil {
		return err
	}
	o := verify.Options{
		Registry: all.All(), Key: f.key, Ignore: f.ignore, Tolerance: f.tolerance, Samples: f.samples,
		Memory: s.memory, Timezone: f.timezone, Warn: a.warn,
	}
	if o.Left, o.LeftName, err = parseTable(left); err != nil {
		return err
	}
	if o.Right, o.RightName, err = parseTable(right); err != nil {
		return err
	}
	ctx, stop := listen(ctx)
	defer stop.close()
	if o.TempDir, err = os.MkdirTemp("", "drover-diff-"); err != nil {
		return drover.Errorf(drover.Refused, "create a scratch directory: %w", err)
	}
	defer os.RemoveAll(o.TempDir) //nolint:errcheck // a leftover does no harm
	memory.LimitGo(memory.Divide(s.memory).Go)
	found, err := verify.Diff(ctx, o)
	if err != nil {
		return err
	}
	return a.showDifferences(found, f.json)
}

// showDifferences prints a result; it is errDifferent if there are any.
func (a *app) showDifferences(found *verify.Result, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else {
		var text bytes.Buffer
		if err := found.WriteText(&text); err != nil {
			return fmt.Errorf("write the differences: %w", err)
		}
		_, _ = a.out.Write(text.Bytes())
	}
	if !found.Equal {
		return errDifferent
	}
	return nil
}

// parseTable reads an argument that names a table or a dataset, and returns how it is called without its secrets.
func parseTable(arg string) (drover.Source, string, error) {
	if pgurl.Of(arg) != pgurl.Connection {
		src := files.In(arg)
		if err := src.Validate(); err != nil {
			return nil, "", err
		}
		return src, arg, nil
	}
	const form = "postgres://USER@HOST:5432/DATABASE#SCHEMA.TABLE, with characters such as @ : / # % in a password percent-encoded"
	at := strings.LastIndexByte(arg, '#')
	if at < 0 || at == len(arg)-1 {
		return nil, "", drover.Errorf(drover.Invalid, "a Postgres URL does not say which table").WithHint("write %s", form)
	}
	src := postgres.Table(arg[:at], arg[at+1:])
	if err := src.Validate(); err != nil {
		return nil, "", err
	}
	return src, src.URL.String() + " " + src.Table, nil
}
