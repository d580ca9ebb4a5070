package files

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

const (
	// defaultMaxFiles is the file budget of a sink that names none.
	defaultMaxFiles = 10_000
	// spoolHash is the column by which a spool is sorted and read: the upper bits of a hash of the partition columns, from 0 to hashes-1. All rows
	// of a partition have one. It is stored and never computed twice, so nothing depends on DuckDB's hash but the evenness of the merge.
	spoolHash = "h"
	hashBits  = 16
	hashes    = 1 << hashBits
	// A receipt counts rows by bucket, the uppermost bits of the hash.
	bucketBits = 10
	buckets    = 1 << bucketBits
	hashShift  = hashBits - bucketBits
	// spoolGroupRows is small, so that a merge task reads little beyond its range.
	spoolGroupRows = 10 * duck.VectorSize
)

// spools implements connector.Spools: a spool is a Parquet file in the run's area, whose columns are numbered as those of the output, sorted by
// spoolHash. Its index is the statistics of its row groups, by which DuckDB passes over what a range does not need.
type spools struct {
	*sink
	output drover.Schema
}

// spooled is a spool and what it holds. It is the Publish note of the lowest chunk of the attempt that wrote it.
type spooled struct {
	Token string `json:"token"` // storage's
	Size  int64  `json:"size"`
	// Buckets are those that have rows.
	Buckets []bucket `json:"buckets"`
}

type bucket struct {
	Bucket int   `json:"b"`
	Rows   int64 `json:"r"`
	// Partitions is an estimate.
	Partitions int64 `json:"p"`
}

// Partitions implements connector.Spooler.
func (s *sink) Partitions() []string { return s.spec.Partition }

// FileBudget implements connector.Spooler.
func (s *sink) FileBudget() int64 {
	if s.spec.MaxFiles > 0 {
		return s.spec.MaxFiles
	}
	return defaultMaxFiles
}

// Spools implements connector.Spooler.
func (s *sink) Spools(output drover.Schema) (connector.Spools, error) {
	for _, c := range output {
		if _, err := spoolType(c); err != nil {
			return nil, err
		}
	}
	return &spools{sink: s, output: output}, nil
}

// spoolType is the type in which a spool holds a column: text where Parquet would change the value, and its text does not.
func spoolType(c drover.Column) (string, error) {
	_, why := carries(formatParquet, c.Type)
	switch {
	case why == "" && strings.HasPrefix(c.Type, "ENUM") && !strings.HasSuffix(c.Type, "]"):
		return "VARCHAR", nil
	case why == "" && c.Type != "BIT" && c.Type != "BIGNUM" && c.Type != "TIME_NS":
		return c.Type, nil
	case strings.HasSuffix(c.Type, "]") || strings.HasPrefix(c.Type, "STRUCT") || strings.HasPrefix(c.Type, "MAP"):
		return "", drover.Errorf(drover.Invalid, "column %s (%s) does not fit into a spool: %s", c.Name, c.Type, why).WithField("sink.files")
	}
	return "VARCHAR", nil
}

// Write implements connector.Spools.
func (p *spools) Write(ctx context.Context, a connector.Attempt, open func(context.Context, []connector.Chunk) (connector.Input, error)) (_ []connector.Receipt, err error) {
	if len(a.Chunks) == 0 {
		return nil, nil
	}
	scratch, _, err := p.scratch(ctx, a)
	if err != nil {
		return nil, err
	}
	defer func() { err = giveUp(scratch, err) }()
	in, err := open(ctx, a.Chunks)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(scratch, "spool"+stagedSuffix)
	rows, err := p.sortInto(ctx, path, in, len(a.Chunks))
	if err != nil {
		return nil, p.copyError(err, scratch)
	}
	if sum(rows) == 0 {
		if err := os.RemoveAll(scratch); err != nil {
			return nil, p.storeError("write to", err)
		}
		return receipts(a, in, rows, 0, spooled{})
	}
	note, err := p.index(ctx, in.Session, path)
	if err != nil {
		return nil, p.copyError(err, scratch)
	}
	tokens, err := p.store.Stage(ctx, p.area(a.Run), []string{path})
	if err != nil {
		return nil, p.collectError(err)
	}
	note.Token = tokens[0]
	info, err := os.Stat(path)
	if err != nil {
		return nil, p.collectError(err)
	}
	note.Size = info.Size()
	return receipts(a, in, rows, note.Size, note)
}

// spoolColumn is the name of the i-th output column in a spool.
func spoolColumn(i int) string { return "c" + strconv.Itoa(i) }

// sortInto writes the input to path and returns its rows by chunk.
func (p *spools) sortInto(ctx context.Context, path string, in connector.Input, chunks int) ([]int64, error) {
	query, counts, remove := in.Session.AddTally(in.Query(chunks), step.Tag, chunks)
	defer remove()
	columns := make([]string, len(p.output))
	for i, c := range p.output {
		typ, err := spoolType(c)
		if err != nil {
			return nil, err
		}
		columns[i] = duck.Ident(c.Name)
		if typ != c.Type {
			columns[i] += "::" + typ
		}
		columns[i] += " AS " + spoolColumn(i)
	}
	options := append([]string{"FORMAT parquet", "COMPRESSION snappy", fmt.Sprintf("ROW_GROUP_SIZE %d", spoolGroupRows)}, plainFloats(p.output)...)
	sql := fmt.Sprintf("COPY (SELECT %s, (hash(%s) >> %d)::INTEGER AS %s FROM (%s) ORDER BY %s) TO %s (%s)",
		strings.Join(columns, ", "), idents(p.spec.Partition), 64-hashBits, spoolHash, query, spoolHash, duck.Literal(path), strings.Join(options, ", "))
	err := whileReporting(reporter(in, counts), func() error { return in.Session.Exec(ctx, sql) })
	return counts(), err
}

// index counts the rows of a spool by bucket. Values that cannot name folders are refused here, while the chunk at fault is known.
func (p *spools) index(ctx context.Context, session *duck.Session, path string) (spooled, error) {
	var note spooled
	file := "read_parquet(" + duck.Literal(globEscape(path)) + ", hive_partitioning=false)"
	keys := make([]string, len(p.spec.Partition))
	for i, name := range p.spec.Partition {
		at := p.output.Index(name)
		c := p.output[at]
		keys[i] = spoolColumn(at)
		if !folded(c.Type) {
			continue
		}
		text := fmt.Sprintf("%s::%s::VARCHAR", keys[i], c.Type)
		suspects, err := session.Texts(ctx, fmt.Sprintf("SELECT DISTINCT %[1]s FROM %[2]s WHERE %[1]s = %[3]s OR strlen(%[1]s) > %[4]d LIMIT 10000",
			text, file, duck.Literal(hiveNull), longestName/3-len(hivePart{Column: c.Name}.dir())))
		if err != nil {
			return note, err
		}
		for _, s := range suspects {
			if _, err := partitionFolder(c, *s[0], false); err != nil {
				return note, err
			}
		}
	}
	rows, err := session.Texts(ctx, fmt.Sprintf("SELECT %s >> %d AS b, count(*), approx_count_distinct(hash(%s)) FROM %s GROUP BY b ORDER BY b",
		spoolHash, hashShift, strings.Join(keys, ", "), file))
	if err != nil {
		return note, err
	}
	for _, r := range rows {
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(*r[i], 10, 64); err != nil {
				return note, fmt.Errorf("index a spool: %w", err)
			}
		}
		note.Buckets = append(note.Buckets, bucket{int(n[0]), n[1], n[2]})
	}
	return note, nil
}

// Verify implements connector.Spools.
func (p *spools) Verify(ctx context.Context, run connector.Run, all iter.Seq2[connector.Receipt, error]) ([]int64, error) {
	gone := map[int64]bool{} // tokens
	var chunks []int64
	// As in sink.Verify, the lowest chunk of an attempt comes first and has the note.
	for r, err := range all {
		if err != nil {
			return nil, err
		}
		note, ok, err := spoolNote(r)
		if err != nil {
			return nil, err
		}
		if ok {
			o, err := p.store.Staged(ctx, p.area(run), note.Token)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, p.storeError("read", err)
			}
			gone[r.Token] = err != nil || o.Size != note.Size
		}
		if gone[r.Token] {
			chunks = append(chunks, r.ChunkID)
		}
	}
	return chunks, nil
}

// spoolNote returns the spool that a receipt names, if it names one.
func spoolNote(r connector.Receipt) (note spooled, ok bool, err error) {
	if len(r.Publish) == 0 {
		return note, false, nil
	}
	if err := gojson.Unmarshal(r.Publish, &note); err != nil {
		return note, false, fmt.Errorf("decode the receipt of chunk %d: %w", r.ChunkID, err)
	}
	return note, note.Token != "", nil
}
