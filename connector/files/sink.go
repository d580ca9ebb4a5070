package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/storage"
)

// sink implements connector.Sink.
//
// A run stages its files in one area of the dataset, <path>/_drover_staging_<uid>: there is a scratch folder for each attempt, with
// files whose names no glob for data files matches, and the list of the files that the run replaces. Receipts name staged files and
// where they go. Publish renames them, and removes what they replace last. The area's removal closes the run.
type sink struct {
	spec  *Sink
	env   connector.Env
	store storage.Store
	root  string
}

func openSink(spec *Sink, env connector.Env) (*sink, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	store, root, err := storage.For(spec.Path)
	if err != nil {
		return nil, at(err, "sink.files.path")
	}
	return &sink{spec: spec, env: env, store: store, root: root}, nil
}

// Close implements connector.Sink.
func (*sink) Close() error { return nil }

func (s *sink) format() string {
	if s.spec.Format == "" {
		return formatParquet
	}
	return s.spec.Format
}

func (s *sink) mode() Mode {
	if s.spec.Mode == "" {
		return Error
	}
	return s.spec.Mode
}

// suffix is how the names of the sink's files end.
func (s *sink) suffix() string {
	suffix := map[string]string{formatParquet: ".parquet", formatCSV: ".csv", formatJSON: ".jsonl", formatArrow: ".arrow"}[s.format()]
	if s.format() == formatCSV || s.format() == formatJSON {
		suffix += map[string]string{"gzip": ".gz", "zstd": ".zst"}[s.spec.Compression]
	}
	return suffix
}

// Check implements connector.Sink.
func (s *sink) Check(ctx context.Context, output drover.Schema) (connector.Check, error) {
	check := connector.Check{Identity: "files:" + s.root}
	if err := s.checkPartitions(output); err != nil {
		return check, err
	}
	for _, c := range output {
		if s.partitions(c.Name) {
			check.Types = append(check.Types, c.Type)
			continue
		}
		became, why := carries(s.format(), c.Type)
		if why != "" {
			typ := c.Type
			if typ == "" {
				typ = c.Native
			}
			return check, &drover.Error{
				Kind: drover.Invalid, Field: "sink.files.format", Column: c.Name,
				Message: fmt.Sprintf("column %s (%s) cannot be written as %s: %s", c.Name, typ, s.format(), why),
				Hint:    howToCarry(c),
			}
		}
		if became == "" {
			became = c.Type
		} else if s.format() != formatCSV {
			check.Notes = append(check.Notes, fmt.Sprintf("column %s (%s) is written as %s", c.Name, c.Type, became))
		}
		check.Types = append(check.Types, became)
	}
	if err := s.checkRowGroups(output); err != nil {
		return check, err
	}
	there, err := s.existing(ctx)
	if err != nil {
		return check, err
	}
	switch {
	case there == "":
		check.Notes = append(check.Notes, "creates "+s.root)
	case s.mode() == Error && !s.env.Resume:
		return check, s.refuse(there)
	case s.mode() == Overwrite:
		check.Notes = append(check.Notes, "replaces all data files below "+s.root+" after the new ones are in place")
	case s.mode() == OverwritePartitions:
		check.Notes = append(check.Notes, "replaces the partitions of "+s.root+" that get rows, after the new files are in place")
	case s.mode() == Append:
		check.Notes = append(check.Notes, "adds files to "+s.root)
	}
	return check, nil
}

func (s *sink) refuse(file string) error {
	return drover.Errorf(drover.Refused, "%s holds data already (%s), and mode is error", s.root, file).WithField("sink.files.mode").
		WithHint("write mode: append, overwrite or overwrite_partitions, or another path")
}

// existing returns the first data file in the target, or "". It refuses a target that is not a folder, or that another system keeps a log of.
func (s *sink) existing(ctx context.Context) (string, error) {
	for dir := s.root; ; dir = filepath.Dir(dir) {
		o, err := s.store.Stat(ctx, dir)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if err != nil {
			return "", drover.Errorf(drover.Refused, "the target %s cannot be read: %w", s.root, err).WithField("sink.files.path")
		}
		if !o.Dir {
			return "", drover.Errorf(drover.Refused, "%s is a file, and a dataset is a folder", dir).WithField("sink.files.path").
				WithHint("write the path of a folder")
		}
		if err := s.store.Writable(ctx, dir); err != nil {
			return "", drover.Errorf(drover.Refused, "%s cannot be written: %w", dir, err).WithField("sink.files.path")
		}
		break
	}
	if _, err := s.store.Stat(ctx, filepath.Join(s.root, "_delta_log")); err == nil && s.mode() != Error {
		return "", drover.Errorf(drover.Refused, "%s is a Delta table: files that its log does not name would corrupt it", s.root).WithField("sink.files.path")
	}
	for o, err := range s.store.List(ctx, s.root, false) {
		if err != nil {
			return "", drover.Errorf(drover.Refused, "list %s: %w", s.root, err).WithField("sink.files.path")
		}
		if formatOf(o.Path) != "" {
			return o.Path, nil
		}
	}
	return "", nil
}

// partitions reports whether a column lies in folder names rather than in files.
func (s *sink) partitions(column string) bool {
	return slices.ContainsFunc(s.spec.Partition, func(p string) bool { return strings.EqualFold(p, column) })
}

func (s *sink) checkPartitions(output drover.Schema) error {
	field := ""
	invalid := func(hint, format string, args ...any) error {
		return drover.Errorf(drover.Invalid, format, args...).WithField(field).WithHint("%s", hint)
	}
	seen := map[string]bool{}
	for n, p := range s.spec.Partition {
		field = fmt.Sprintf("sink.files.partition_by[%d]", n)
		i := output.Index(p)
		switch {
		case i < 0:
			return invalid("its columns are "+strings.Join(output.Names(), ", "), "the output has no column %q to partition by", p)
		case seen[strings.ToLower(p)]:
			return invalid("name it once", "partition_by names column %q twice", p)
		case !partitionable(output[i].Type):
			return invalid("partition by a plain value", "column %s is %s, whose values cannot name folders", p, output[i].Type)
		case storage.Hidden(p) || strings.HasPrefix(p, "_"):
			return invalid("rename it", "readers pass over folders whose names begin with %q, as those of column %s would", p[:1], p)
		}
		seen[strings.ToLower(p)] = true
	}
	if len(output) == 0 {
		return drover.Errorf(drover.Invalid, "the output has no columns")
	}
	field = "sink.files.partition_by"
	if len(s.spec.Partition) == len(output) {
		return invalid("leave at least one column to write", "partition_by names every column, and the files would have none")
	}
	return nil
}
