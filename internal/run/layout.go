package run

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/plan"
)

const (
	// sampleRows is about how many rows an estimate of partitions looks at, and sampleChunkRows the most of one chunk.
	sampleRows, sampleChunkRows = 400_000, 100_000
	// glanceRows is the most rows of one chunk at a first look. There is no second one where it shows at most one in plenty of the files that the
	// sink may get: rows that are sorted would show sampleChunkRows/glanceRows times as many then.
	glanceRows, plenty = 16_384, 20
	// A sample is of at least so many chunks, where there are, and at most of maxSample.
	minSample, maxSample = 4, 64
	// sampleTime bounds the estimate: a source may have to scan a table for each chunk.
	sampleTime = 5 * time.Second
	// sampleWhole is the largest chunk, in bytes, that is read whole for an estimate: steps that see one chunk at a time need that.
	sampleWhole = 64 << 20
	// rowBytes is the size of a row where nobody knows it.
	rowBytes = 100
	// clustered is how many rows of a partition must lie in one chunk of the sample, and in no other, to tell that chunks have partitions of
	// their own.
	clustered = 3
)

// Sample keeps some of the chunks that pass by, evenly spaced, and adds them all up.
type Sample struct {
	Chunks, Rows, Bytes int64

	kept   []connector.Chunk
	stride int64
}

// Add looks at the next chunk.
func (s *Sample) Add(c connector.Chunk) {
	s.stride = max(s.stride, 1)
	if s.Chunks%s.stride == 0 {
		s.kept = append(s.kept, c)
	}
	s.Chunks++
	s.Rows += c.Rows
	s.Bytes += c.Bytes
	if len(s.kept) > 2*maxSample {
		s.thin(len(s.kept) / 2)
		s.stride *= 2
	}
}

// thin keeps n of the chunks, evenly spaced from the first.
func (s *Sample) thin(n int) {
	if n >= len(s.kept) {
		return
	}
	out := make([]connector.Chunk, n)
	for i := range out {
		out[i] = s.kept[i*len(s.kept)/n]
	}
	s.kept = out
}

// some are the chunks to look at: the more of them, the fewer rows they have.
func (s *Sample) some() []connector.Chunk {
	if s.Chunks == 0 {
		return nil
	}
	rows := max(1, s.Rows/s.Chunks)
	if s.Rows == 0 {
		rows = max(1, s.Bytes/s.Chunks/rowBytes)
	}
	s.thin(int(min(maxSample, max(minSample, sampleRows/rows))))
	return s.kept
}

// Layout estimates what the tasks of a run on so many slots leave in the sink, and so decides whether they spool (exactness.md 18). It reads a small
// sample of the source. ok is false for a sink without partitions. state is Source.Begin's.
func Layout(ctx context.Context, b *bind.Bound, env connector.Env, state json.RawMessage, sample *Sample, slots int64) (l plan.Layout, ok bool, err error) {
	sink, can := b.Sink.(connector.Spooler)
	if !can || len(sink.Partitions()) == 0 {
		return l, false, nil
	}
	l.Budget = sink.FileBudget()
	maxBytes, maxChunks := taskSize(sample.Bytes, sample.Chunks, slots, fewTasks)
	l.Tasks = max((sample.Bytes+maxBytes-1)/maxBytes, (sample.Chunks+int64(maxChunks)-1)/int64(maxChunks))
	if l.Tasks < 2 {
		return l, true, nil // a merge would leave no fewer files
	}
	if _, err := sink.Spools(b.Output); err != nil {
		l.Unspoolable = err.Error()
	}
	err = look(ctx, b, env, state, sink.Partitions(), sample, func(s seen) (enough bool) {
		l.Partitions, l.Files = s.estimate(sample, l.Tasks)
		return l.Files <= l.Budget/plenty
	})
	if err != nil {
		return l, false, fmt.Errorf("estimate the number of partitions: %w", err)
	}
	return l, true, nil
}

// chooseLayout decides whether the run merges, for all drivers that will ever work on it.
func (r *runner) chooseLayout(ctx context.Context, d *doc, sample *Sample) error {
	if r.o.DryRun {
		return nil
	}
	slots, err := r.o.Engine.Slots(ctx)
	if err != nil {
		return err
	}
	layout, ok, err := Layout(ctx, r.bound, r.env(false), d.SourceState, sample, int64(slots))
	if err != nil || !ok {
		return err
	}
	d.Plan = d.Plan.WithLayout(layout)
	return nil
}

// seen is what a sample shows of partitions.
type seen struct {
	chunks int64
	pairs  int64 // of a partition and a chunk that has it
	whole  bool  // every row of the sampled chunks was read
	by     map[string]*partition
}

type partition struct{ rows, chunks int64 }

// look counts the rows of some chunks by partition, until its time is up or a chunk cannot be read: the task that reads it will tell why. It looks
// again, at more rows, where a glance is not enough.
func look(ctx context.Context, b *bind.Bound, env connector.Env, state json.RawMessage, columns []string, sample *Sample, enough func(seen) bool) error {
	session, err := duck.Open(ctx, duck.Options{Memory: memory.Divide(env.Memory).Duck, TempDir: env.TempDir, Timezone: env.Timezone})
	if err != nil {
		return err
	}
	defer session.Close()
	limited, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	chunks := sample.some()
	looks := []int{glanceRows, sampleChunkRows}
	if !b.Program.RowWise {
		looks = looks[1:] // either reads whole chunks
	}
	for i, rows := range looks {
		s := seen{whole: true, by: map[string]*partition{}}
		for _, c := range chunks {
			if !b.Program.RowWise && (c.Bytes == 0 || c.Bytes > sampleWhole) {
				continue
			}
			if err = s.add(limited, b, session, state, columns, c, rows); err != nil {
				break
			}
		}
		if err != nil && i > 0 {
			break // a whole glance says more than a part of a look
		}
		if enough(s) || s.whole || err != nil {
			break
		}
	}
	return ctx.Err() // nil unless the run itself is being stopped
}

// add counts the rows of one chunk, up to so many.
func (s *seen) add(ctx context.Context, b *bind.Bound, session *duck.Session, state json.RawMessage, columns []string, c connector.Chunk, most int) error {
	rel, err := b.Source.Open(ctx, session, b.Input, state, []connector.Chunk{c})
	if err != nil {
		return err
	}
	defer rel.Close() //nolint:errcheck // an estimate does not depend on it
	in := connector.Input{Session: session, Relation: rel, Program: b.Program}
	keys := make([]string, len(columns))
	for i, name := range columns {
		keys[i] = duck.Ident(name)
	}
	list := strings.Join(keys, ", ")
	rows, err := session.Texts(ctx, fmt.Sprintf("SELECT hash(%[1]s), count(*) FROM (SELECT %[1]s FROM (%[2]s) LIMIT %[3]d) GROUP BY 1", list, in.Query(1), most))
	if err != nil {
		return err
	}
	s.chunks++
	var read int64
	for _, r := range rows {
		n, err := strconv.ParseInt(*r[1], 10, 64)
		if err != nil {
			return fmt.Errorf("count the rows of a sample: %w", err)
		}
		read += n
		p := s.by[*r[0]]
		if p == nil {
			p = &partition{}
			s.by[*r[0]] = p
		}
		p.rows += n
		p.chunks++
		s.pairs++
	}
	s.whole = s.whole && read < int64(most)
	return nil
}

// estimate returns about how many partitions there are, and how many files the tasks leave in them. Partitions that only one chunk of the sample has, with
// several rows, are taken for its own: other chunks have as many. Of the rest, those unseen are as many as Chao's estimator says
// (Nonparametric estimation of the number of classes in a population, 1984).
func (s seen) estimate(sample *Sample, tasks int64) (partitions, files int64) {
	if s.chunks == 0 || len(s.by) == 0 {
		return 0, 0
	}
	scale := float64(sample.Chunks) / float64(s.chunks)
	var known, own, once, twice float64
	for _, p := range s.by {
		switch {
		case scale > 1 && p.chunks == 1 && p.rows >= clustered && s.chunks > 1:
			own++
			continue
		case p.rows == 1:
			once++
		case p.rows == 2:
			twice++
		}
		known++
	}
	if !s.whole || scale > 1 {
		known += once * (once - 1) / (2 * (twice + 1))
	}
	d := known + own*scale
	most := math.Inf(1)
	if sample.Rows > 0 {
		most = float64(sample.Rows)
	}
	d = max(1, min(d, most))
	f := min(d*float64(tasks), most)
	if s.whole {
		f = min(f, max(d, float64(s.pairs)*scale))
	}
	return int64(math.Ceil(d)), int64(math.Ceil(f))
}
