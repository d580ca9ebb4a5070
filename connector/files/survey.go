package files

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// batchFiles is how many files are looked at with one query.
const batchFiles = 1000

// survey is what all files of a source agree on. It is found once, when a job is bound, and kept in the run: chunks are never sniffed.
type survey struct {
	Format string `json:"format"`
	// Named says that the job names the format, so that files whose names say none are data too.
	Named bool   `json:"named,omitempty"`
	Roots []root `json:"roots"`
	// Hive is the partition columns.
	Hive []drover.Column `json:"hive,omitempty"`
	// Dialect is set for CSV.
	Dialect *dialect `json:"dialect,omitempty"`
	// Keys is what the records of JSON files have.
	Keys drover.Schema `json:"keys,omitempty"`
	// Shape is the columns of every Parquet file, where all have the same ones: nobody has to ask the files again.
	Shape shape `json:"shape,omitempty"`
	// Types is the CSV columns whose types the job declares.
	Types drover.Schema `json:"types,omitempty"`
	// Files, Bytes and Digest tell whether the list of files is still the same.
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`

	schema drover.Schema
	// staged is set where the files are a sink's own, of a run: how their texts are compressed, which their names do not say.
	staged string
}

// shapes is parquetShapes for files of the survey.
func (sv *survey) shapes(ctx context.Context, s *duck.Session, paths []string) ([]shape, []int, error) {
	if sv.Shape != nil {
		return []shape{sv.Shape}, make([]int, len(paths)), nil
	}
	return parquetShapes(ctx, s, paths)
}

// listing digests a list of files: names, sizes, times.
type listing struct{ h hash.Hash }

func newDigest() listing { return listing{fnv.New128a()} }

func (l listing) add(f file) {
	// A hash never fails to write.
	_, _ = fmt.Fprintf(l.h, "%d/%s\x00%d\x00%d\n", f.Root, f.Rel, f.Size, f.MTime)
}

func (l listing) sum() string { return hex.EncodeToString(l.h.Sum(nil)) }

// nothing says what was looked for in vain.
func (s *source) nothing(roots []root) error {
	var where []string
	for _, r := range roots {
		where = append(where, r.String())
	}
	what := "files named *.parquet, *.csv, *.json, *.arrow or alike"
	if s.spec.Format != "" {
		what = s.spec.Format + " files"
	}
	return drover.Errorf(drover.Refused, "there is no data in %s: no %s that are not empty, or hidden by a leading . or _", strings.Join(where, ", "), what).
		WithHint("check source.files.path; write format: if the names do not say it")
}

// union is the columns of all files by name, in the order in which they are met.
type union struct {
	columns drover.Schema
	from    []string // the first file with the column
	kinds   map[string]bool
}

// add adds a file whose types are declared: what does not widen exactly is refused.
func (u *union) add(path string, sh shape) error {
	for _, c := range sh {
		i := u.columns.Index(c.Name)
		if i < 0 {
			u.columns = append(u.columns, drover.Column{Name: c.Name, Type: c.Type})
			u.from = append(u.from, path)
			continue
		}
		t, ok := widen(u.columns[i].Type, c.Type)
		if !ok {
			return &drover.Error{
				Kind: drover.Refused, Column: c.Name,
				Message: fmt.Sprintf("column %s is %s in %s and %s in %s", c.Name, u.columns[i].Type, u.from[i], c.Type, path),
				Hint:    "read the files in separate jobs, or rewrite one with the other's type",
			}
		}
		if u.columns[i].Type == nullType {
			u.from[i] = path
		}
		u.columns[i].Type = t
	}
	return nil
}

// addShape is add for a batch in which many files have one shape.
func (u *union) addShape(path string, shapes []shape, kind int) error {
	var key strings.Builder
	for _, c := range shapes[kind] {
		key.WriteString(c.Name + "\x00" + c.Type + "\x00")
	}
	if u.kinds[key.String()] {
		return nil
	}
	if u.kinds == nil {
		u.kinds = map[string]bool{}
	}
	u.kinds[key.String()] = true
	return u.add(path, shapes[kind])
}
