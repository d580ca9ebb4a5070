package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/pgurl"
	"github.com/spf13/cobra"
)

func (a *app) initCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:                   "init [SOURCE] [FLAGS]",
		DisableFlagsInUseLine: true,
		Short:                 "write a commented starter job file from a source's real schema",
		Long: `Write a job file to start from. SOURCE is a path (a folder, a file, a glob) or a Postgres table, written
postgres://host/db#schema.table: its schema is read, and its columns are in the job file's comments. Without a source the file
is a general one. A password in the URL is not written: the job file takes the URL from ${RAW_URL}.

The file is called after the source, in the working directory. One that is there is not overwritten.`,
		Example: `  drover init data/trips/
  drover init 'data/*.csv' -o trips.yaml
  drover init "$RAW_URL#public.raw_companies" -o companies.yaml
  drover init -o -                                    to standard output`,
		Args: atMostOne("source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			source := ""
			if len(args) == 1 {
				source = args[0]
			}
			return a.init(cmd.Context(), source, out)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the job `file` to write (default NAME.yaml; - is standard output)")
	return cmd
}

func (a *app) init(ctx context.Context, arg, out string) error {
	// The cheap refusal first: reading a schema may take a while.
	if out != "" && out != "-" {
		if err := absent(out); err != nil {
			return err
		}
	}
	name, source, sink, err := starterSource(arg)
	if err != nil {
		return err
	}
	var schema drover.Schema
	if arg != "" {
		if schema, err = a.schemaOf(ctx, source); err != nil {
			return err
		}
	}
	text, err := jobfile.Starter(name, source, schema, sink)
	if err != nil {
		return fmt.Errorf("write the starter: %w", err)
	}
	if out == "-" {
		_, _ = a.out.Write(text)
		return nil
	}
	if out == "" {
		out = "job.yaml"
		if m := nameLine.FindSubmatch(text); m != nil {
			out = string(m[1]) + ".yaml"
		}
	}
	if err := writeNew(out, text); err != nil {
		return err
	}
	a.printf("%s\n", out)
	a.errorf("%s", block("next", "drover plan "+quote(out)))
	return nil
}

// quotedName is a table's name in quotes, at the end of the schema and the name.
var quotedName = regexp.MustCompile(`"(?:[^"]|"")+"$`)

// starterSource reads the SOURCE of init. The sink is nil where the starter's own is right.
func starterSource(arg string) (name string, source drover.Source, sink drover.Sink, err error) {
	if arg == "" {
		return "job", files.In("data/"), nil, nil
	}
	form := pgurl.Of(arg)
	if form == pgurl.Mistyped {
		return "", nil, nil, drover.Errorf(drover.Invalid, "the source is neither a local path nor a postgres:// URL, but resembles one").WithHint(pgurl.Spelling)
	}
	scheme, _, isURL := strings.Cut(arg, "://")
	if form == pgurl.Path && !isURL {
		name := filepath.Base(filepath.Clean(arg))
		if abs, err := filepath.Abs(arg); err == nil {
			name = filepath.Base(abs)
		}
		if strings.ContainsAny(name, "*?[") {
			name = filepath.Base(filepath.Dir(arg))
		}
		for strings.Contains(name, ".") && name != "." && filepath.Ext(name) != name {
			name = strings.TrimSuffix(name, filepath.Ext(name))
		}
		return name, files.In(arg), nil, nil
	}
	if form == pgurl.Path {
		return "", nil, nil, drover.Errorf(drover.Invalid, "a source is a path or postgres://..., not %s://", scheme)
	}
	i := strings.LastIndex(arg, "#")
	if i < 0 || i == len(arg)-1 {
		return "", nil, nil, drover.Errorf(drover.Invalid, "the source's URL names no table").WithHint("add it at the end: postgres://host/db#schema.table")
	}
	table := arg[i+1:]
	// Dots and doubled quotes may be inside of quotes.
	if quoted := quotedName.FindString(table); quoted != "" {
		short := quoted[1 : len(quoted)-1]
		return "clean-" + strings.ReplaceAll(short, `""`, `"`), postgres.Table(arg[:i], table), postgres.Into("postgres://", `"clean_`+short+`"`), nil
	}
	short := table[strings.LastIndex(table, ".")+1:]
	return "clean-" + short, postgres.Table(arg[:i], table), postgres.Into("postgres://", "clean_"+short), nil
}

// schemaOf asks a source for its columns.
func (a *app) schemaOf(ctx context.Context, spec drover.Source) (_ drover.Schema, err error) {
	ctx, stop := listen(ctx)
	defer stop.close()
	dir, err := os.MkdirTemp("", "drover-init-")
	if err != nil {
		return nil, drover.Errorf(drover.Refused, "create a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover does no harm
	source, err := all.All().OpenSource(ctx, spec, connector.Env{
		TempDir: dir, Application: "drover/init",
		Warn: a.warn,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return source.Schema(ctx)
}

func absent(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return drover.Errorf(drover.Invalid, "%s is there already, and is not overwritten", path).WithHint("name another file with -o")
	}
	return nil
}

// writeNew writes a file that must not exist.
func writeNew(path string, text []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return absent(path)
	}
	if err != nil {
		return drover.Errorf(drover.Invalid, "write the job file: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = drover.Errorf(drover.Refused, "write the job file: %w", cerr)
		}
	}()
	if _, err := f.Write(text); err != nil {
		return drover.Errorf(drover.Refused, "write the job file: %w", err)
	}
	return nil
}
