package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
)

// chunkBytes is the size up to which a Parquet file is one chunk, and to which row groups of a larger one are gathered.
const chunkBytes = 128 << 20

// bounds says what a chunk reads: pieces of files, or the rows of one key in all files.
type bounds struct {
	Pieces []piece    `json:"files,omitempty"`
	By     *keyBounds `json:"by,omitempty"`
}

// piece is a file, or the rows [From, To) of a Parquet file, which begin and end with row groups.
type piece struct {
	file
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"` // 0: the whole file
	// Rows is exact where the format has a footer, else 0. Bytes are as on disk.
	Rows  int64 `json:"rows,omitempty"`
	Bytes int64 `json:"bytes"`
}

// keyBounds is the rows whose column has one value (as text, under the column's type), is NULL, or is none of a list.
type keyBounds struct {
	Column string   `json:"column"`
	Value  string   `json:"value,omitempty"`
	Null   bool     `json:"null,omitempty"`
	Other  bool     `json:"other,omitempty"`
	Not    []string `json:"not,omitempty"`
	// Bytes is the estimated share of the files' bytes.
	Bytes int64 `json:"bytes,omitempty"`
}

// errStop ends an iteration whose consumer has enough.
var errStop = errors.New("stop")

// Chunks implements connector.Source. One chunk is a file, some files, or for large Parquet files some row groups; rows: n is
// met to the row group. by: makes a chunk of each value, all of which read all files with the condition pushed down.
func (s *source) Chunks(ctx context.Context, chunking drover.Chunking, state gojson.RawMessage) iter.Seq2[connector.Chunk, error] {
	return func(yield func(connector.Chunk, error) bool) {
		sv, err := decodeState(state)
		if err != nil {
			yield(connector.Chunk{}, err)
			return
		}
		emit := func(key string, b bounds, rows, bytes int64) error {
			data, err := gojson.Marshal(b)
			if err != nil {
				return err
			}
			if !yield(connector.Chunk{Key: key, Bounds: data, Rows: rows, Bytes: bytes}, nil) {
				return errStop
			}
			return nil
		}
		if chunking.Rows > 0 && sv.Format != formatParquet {
			s.env.Warn("chunk.rows cuts Parquet files, between row groups: each %s file is one chunk", sv.Format)
		}
		err = s.with(ctx, func(session *duck.Session) error {
			if chunking.By != "" {
				return s.chunkBy(ctx, session, sv, chunking, emit)
			}
			return s.chunkFiles(ctx, session, sv, chunking, emit)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(connector.Chunk{}, err)
		}
	}
}

type emitter func(key string, b bounds, rows, bytes int64) error

func (s *source) chunkFiles(ctx context.Context, session *duck.Session, sv *survey, chunking drover.Chunking, emit emitter) error {
	common := commonBase(sv.Roots)
	key := func(f file) string { return strings.TrimPrefix(f.path(sv.Roots), common) }
	var gathered []piece
	flush := func() error {
		if len(gathered) == 0 {
			return nil
		}
		k := key(gathered[0].file)
		if last := gathered[len(gathered)-1].file; len(gathered) > 1 {
			k += ".." + key(last)
		}
		var rows, bytes int64
		for _, p := range gathered {
			rows, bytes = rows+p.Rows, bytes+p.Bytes
		}
		b := bounds{Pieces: gathered}
		gathered = nil
		return emit(k, b, rows, bytes)
	}
	err := s.batches(ctx, sv, false, func(batch []file) error {
		feet := map[string]footer{}
		if sv.Format == formatParquet {
			paths := make([]string, len(batch))
			for i, f := range batch {
				paths[i] = f.path(sv.Roots)
			}
			var err error
			if feet, err = footers(ctx, session, paths); err != nil {
				return err
			}
		}
		for _, f := range batch {
			foot := feet[f.path(sv.Roots)]
			whole := piece{file: f, Rows: foot.rows, Bytes: f.Size}
			cut := foot.groups > 1 && (chunking.Rows > 0 && foot.rows > chunking.Rows ||
				chunking.IsZero() && f.Size > chunkBytes*5/4)
			if !cut {
				if gathered = append(gathered, whole); len(gathered) >= max(chunking.Files, 1) {
					if err := flush(); err != nil {
						return err
					}
				}
				continue
			}
			if err := s.cutFile(ctx, session, sv, whole, chunking, key(f), emit); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// cutFile makes chunks of neighbouring row groups.
func (s *source) cutFile(ctx context.Context, session *duck.Session, sv *survey, whole piece, chunking drover.Chunking, key string, emit emitter) error {
	p := whole.path(sv.Roots)
	shapes, _, err := sv.shapes(ctx, session, []string{p})
	if err != nil {
		return err
	}
	if shadowed(shapes[0]) {
		return emit(key, bounds{Pieces: []piece{whole}}, whole.Rows, whole.Bytes)
	}
	groups, err := rowGroups(ctx, session, p)
	if err != nil {
		return err
	}
	from, at := 0, piece{file: whole.file}
	for i, g := range groups {
		at.To += g.rows
		at.Rows += g.rows
		at.Bytes += g.bytes
		full := i == len(groups)-1
		if chunking.Rows > 0 {
			full = full || at.Rows+groups[i+1].rows > chunking.Rows
		} else {
			full = full || at.Bytes+groups[i+1].bytes > chunkBytes
		}
		if !full {
			continue
		}
		if err := emit(fmt.Sprintf("%s#%d-%d", key, from, i), bounds{Pieces: []piece{at}}, at.Rows, at.Bytes); err != nil {
			return err
		}
		from, at = i+1, piece{file: whole.file, From: at.To, To: at.To}
	}
	return nil
}

// shadowed reports whether a file has columns of the names by which DuckDB tells files and rows apart.
func shadowed(sh shape) bool { return sh.has("file_index") || sh.has("file_row_number") }

// commonBase returns what the paths of all roots start with, up to a slash.
func commonBase(roots []root) string {
	base := roots[0].Base
	for _, r := range roots[1:] {
		for base != "/" && r.Base != base && !strings.HasPrefix(r.Base, base+"/") {
			base = path.Dir(base)
		}
	}
	return strings.TrimSuffix(base, "/") + "/"
}

// chunkBy makes a chunk of every value of a column: of those that keys lists, or else of those that the files hold.
func (s *source) chunkBy(ctx context.Context, session *duck.Session, sv *survey, chunking drover.Chunking, emit emitter) (err error) {
	if s.found == nil {
		found, err := s.look(ctx, session, sv.Roots)
		if err != nil {
			return err
		}
		s.found = found
	}
	schema := s.found.schema
	i := schema.Index(chunking.By)
	if i < 0 {
		return drover.Errorf(drover.Invalid, "the source has no column %q", chunking.By).WithField("chunk.by").
			WithHint("its columns are %s", strings.Join(schema.Names(), ", "))
	}
	column := schema[i]
	if strings.ContainsAny(column.Type, "[(") && !strings.HasPrefix(column.Type, "DECIMAL") || column.Type == "BLOB" || column.Type == "JSON" {
		return drover.Errorf(drover.Invalid, "column %s is %s: only plain values make chunks", column.Name, column.Type).WithField("chunk.by")
	}
	if chunking.Spool {
		return drover.Errorf(drover.Invalid, "spool: is for databases; files are read by their row group statistics").WithField("chunk.spool")
	}
	rel, err := s.openAll(ctx, session, schema, sv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rel.Close()) }()
	all := rel.union(rel.everything())
	key := duck.Ident(column.Name)
	var query string
	if chunking.Keys == "" {
		query = fmt.Sprintf("SELECT %[1]s::VARCHAR, n FROM (SELECT %[1]s, count(*) AS n FROM %[2]s GROUP BY 1 ORDER BY 1 NULLS LAST)", key, all)
	} else {
		query = fmt.Sprintf("WITH source AS (SELECT * EXCLUDE (%s) FROM %s) SELECT k::VARCHAR, 0 FROM (SELECT DISTINCT k::%s AS k FROM (SELECT * FROM (%s\n) AS t(k)) WHERE k IS NOT NULL ORDER BY 1)",
			tagIdent(), all, column.Type, strings.TrimRight(chunking.Keys, " \t\r\n;"))
	}
	var keys []keyBounds
	var rows []int64
	var total int64
	err = texts(ctx, session, query, func(row []cell) error {
		n, err := strconv.ParseInt(row[1].Text, 10, 64)
		if err != nil {
			return err
		}
		keys = append(keys, keyBounds{Column: column.Name, Value: row[0].Text, Null: row[0].Null})
		rows, total = append(rows, n), total+n
		return nil
	})
	if err != nil {
		var e *drover.Error
		if chunking.Keys != "" && errors.As(err, &e) && e.Kind == drover.Invalid {
			return drover.Errorf(drover.Invalid, "the query that lists the keys: %w", err).WithField("chunk.keys")
		}
		return err
	}
	if chunking.Keys != "" && chunking.Others != "ignore" {
		other := keyBounds{Column: column.Name, Other: true}
		for _, k := range keys {
			other.Not = append(other.Not, k.Value)
		}
		keys, rows = append(keys, other), append(rows, 0)
	}
	for i, k := range keys {
		// Its share of the files' bytes: by rows where they are known, else one of equal shares.
		if total > 0 {
			k.Bytes = int64(float64(sv.Bytes) * float64(rows[i]) / float64(total))
		} else {
			k.Bytes = sv.Bytes / int64(len(keys))
		}
		if err := emit(k.name(), bounds{By: &k}, rows[i], k.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// The keys of chunks that stand for no value.
const (
	nullKey  = connector.NullKey
	otherKey = connector.OtherKey
)

// name is the chunk's key for people. A value that reads like the key of a chunk without one is quoted.
func (k keyBounds) name() string {
	switch {
	case k.Null:
		return nullKey
	case k.Other:
		return otherKey
	case k.Value == nullKey || k.Value == otherKey:
		return strconv.Quote(k.Value)
	}
	return k.Value
}
