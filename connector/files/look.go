package files

import (
	"context"
	"slices"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// look surveys the files of roots.
func (s *source) look(ctx context.Context, session *duck.Session, roots []root) (*survey, error) {
	l := looking{
		src: s, session: session, digest: newDigest(),
		sv: &survey{Format: s.spec.Format, Named: s.spec.Format != "", Roots: roots},
	}
	if err := s.batches(ctx, l.sv, true, func(batch []file) error { return l.add(ctx, batch) }); err != nil {
		return nil, err
	}
	if l.sv.Files == 0 {
		return nil, s.nothing(roots)
	}
	if err := l.decide(ctx); err != nil {
		return nil, err
	}
	return l.sv, nil
}

// looking is a survey that is not complete: what the files had to say so far.
type looking struct {
	src     *source
	session *duck.Session
	sv      *survey
	first   file
	digest  listing
	columns union
	hive    hiveTypes
	csvs    csvSurvey
	objects jsonSurvey
}

// add looks at some more files.
func (l *looking) add(ctx context.Context, batch []file) error {
	paths := make([]string, len(batch))
	for i, f := range batch {
		paths[i] = f.path(l.sv.Roots)
		if err := l.list(f); err != nil {
			return err
		}
	}
	if l.sv.Format == formatParquet {
		shapes, at, err := parquetShapes(ctx, l.session, paths)
		if err != nil {
			return err
		}
		for i, p := range paths {
			if err := l.columns.addShape(p, shapes, at[i]); err != nil {
				return err
			}
		}
		if l.sv.Shape = nil; len(l.columns.kinds) == 1 {
			l.sv.Shape = shapes[0]
		}
		return l.hive.declare(ctx, l.session, paths)
	}
	for i, p := range paths {
		if err := l.open(ctx, p, batch[i].Size); err != nil {
			return err
		}
	}
	return nil
}

// list takes what a file's name, size and time say. The first file decides the format where the job does not.
func (l *looking) list(f file) error {
	sv, path, says := l.sv, f.path(l.sv.Roots), formatOf(f.Rel)
	switch {
	case sv.Files == 0 && sv.Format == "" && says == "":
		return drover.Errorf(drover.Refused, "the name of %s says no format", path).
			WithField("source.files.format").WithHint("write format: parquet, csv, json or arrow")
	case sv.Files == 0 && sv.Format == "":
		sv.Format = says
	case !sv.Named && says != sv.Format:
		return drover.Errorf(drover.Refused, "the files are of different formats: %s is %s, %s is %s", l.first.path(sv.Roots), sv.Format, path, says).
			WithHint("read one format at a time, with a glob such as **/*.%s", sv.Format)
	}
	if sv.Files == 0 {
		l.first = f
	}
	sv.Files++
	sv.Bytes += f.Size
	l.digest.add(f)
	l.hive.add(f.Rel)
	return nil
}

// open looks into one file of a format that is read file by file.
func (l *looking) open(ctx context.Context, path string, size int64) (err error) {
	switch l.sv.Format {
	case formatCSV:
		l.sv.Dialect, err = l.csvs.add(ctx, l.src, l.session, path, size, l.sv.Dialect)
	case formatArrow:
		var sh shape
		if sh, err = arrowShape(ctx, l.src.store, l.session, path); err == nil {
			err = l.columns.add(path, sh)
		}
	case formatJSON:
		err = l.objects.add(ctx, l.src.store, path)
	}
	return err
}

// decide settles the columns, once every file was looked at.
func (l *looking) decide(ctx context.Context) (err error) {
	sv, spec := l.sv, l.src.spec
	if sv.Format != formatCSV && len(spec.Types) > 0 {
		return drover.Errorf(drover.Invalid, "types is for csv files, and the files are %s", sv.Format).
			WithField("source.files.types").WithHint("add a step such as cast: {%s: %s}", spec.Types[0].Key, spec.Types[0].Value)
	}
	columns := l.columns.columns
	switch sv.Format {
	case formatCSV:
		var sh shape
		sh, sv.Dialect.QuotedNulls = l.csvs.decide(spec.Types, l.src.env.Warn)
		if err := sv.declare(ctx, l.session, spec.Types, sh); err != nil {
			return err
		}
		columns = drover.Schema(sh)
	case formatJSON:
		if sv.Keys, err = l.objects.columns(ctx, l.session); err != nil {
			return err
		}
		columns = slices.Clone(sv.Keys)
	}
	sv.Digest = l.digest.sum()
	for i := range columns {
		if columns[i].Type == nullType {
			columns[i].Type = "VARCHAR"
			if sv.Format == formatParquet || sv.Format == formatArrow {
				columns[i].Type = "INTEGER" // what DuckDB itself makes of a column of NULLs
			}
		}
	}
	if sv.Hive, err = l.hive.columns(ctx, l.src.store, l.session, sv.Roots, columns); err != nil {
		return err
	}
	sv.schema = columns
	for _, h := range sv.Hive {
		if sv.schema.Index(h.Name) < 0 {
			sv.schema = append(sv.schema, h)
		}
	}
	return nil
}
