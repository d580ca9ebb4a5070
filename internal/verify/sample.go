package verify

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Sampler lets a run see some chunks of its source alone: the same ones for the same seed and the same chunks.
type Sampler struct {
	// Chunks is how many; 0 is all.
	Chunks int
	Seed   uint64

	mu    sync.Mutex
	total int
	keys  []string
}

// Registry returns a registry whose sources are cut into the sample.
func (s *Sampler) Registry(r connector.Registry) connector.Registry {
	r = maps.Clone(r)
	for name, d := range r {
		open := d.OpenSource
		if open == nil {
			continue
		}
		d.OpenSource = func(ctx context.Context, spec drover.Source, env connector.Env) (connector.Source, error) {
			src, err := open(ctx, spec, env)
			if err != nil {
				return nil, err
			}
			return sampled{src, s}, nil
		}
		r[name] = d
	}
	return r
}

// Partial reports whether the source that was cut last has chunks beside the sample, and how many in all.
func (s *Sampler) Partial() (bool, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Chunks > 0 && s.total > s.Chunks, s.total
}

// Keys returns the keys of the chunks that were read last, in their order; none where all are read.
func (s *Sampler) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

// sampled is a source whose chunks are a sample.
type sampled struct {
	connector.Source
	sampler *Sampler
}

// Chunks implements connector.Source, by reservoir sampling (Vitter's algorithm R), in the order of the chunks.
func (s sampled) Chunks(ctx context.Context, chunking drover.Chunking, state json.RawMessage) iter.Seq2[connector.Chunk, error] {
	n := s.sampler.Chunks
	if n == 0 {
		return s.Source.Chunks(ctx, chunking, state)
	}
	return func(yield func(connector.Chunk, error) bool) {
		type numbered struct {
			at int
			c  connector.Chunk
		}
		var kept []numbered
		rng := rand.New(rand.NewPCG(s.sampler.Seed, 0))
		total := 0
		for c, err := range s.Source.Chunks(ctx, chunking, state) {
			if err != nil {
				yield(connector.Chunk{}, err)
				return
			}
			if len(kept) < n {
				kept = append(kept, numbered{total, c})
			} else if i := rng.IntN(total + 1); i < n {
				kept[i] = numbered{total, c}
			}
			total++
		}
		slices.SortFunc(kept, func(a, b numbered) int { return a.at - b.at })
		keys := make([]string, len(kept))
		for i, k := range kept {
			keys[i] = k.c.Key
		}
		s.sampler.mu.Lock()
		s.sampler.total, s.sampler.keys = total, keys
		s.sampler.mu.Unlock()
		for _, k := range kept {
			if !yield(k.c, nil) {
				return
			}
		}
	}
}
