package files

import (
	"context"
	gojson "encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/storage"
)

// source implements connector.Source.
//
// Types: Parquet and Arrow files declare them; files whose types of a column do not widen exactly are refused. CSV and JSON are sniffed once, over all
// files: every record of JSON, every row of CSV files up to sampleAll bytes, sampleRows rows of each larger one. What does not fit later is an error.
type source struct {
	spec  *Source
	env   connector.Env
	store storage.Store
	roots []root

	mu      sync.Mutex
	session *duck.Session // for what the driver asks; workers bring their own
	found   *survey
	warned  bool
	checked map[checked]bool // what Check has found in order
}

func openSource(ctx context.Context, spec *Source, env connector.Env) (*source, error) {
	switch spec.Format {
	case "", formatParquet, formatCSV, formatJSON, formatArrow:
	default:
		return nil, drover.Errorf(drover.Invalid, "there is no format %q", spec.Format).
			WithField("source.files.format").WithHint("write parquet, csv, json or arrow")
	}
	store, roots, err := resolve(ctx, spec.Path)
	if err != nil {
		return nil, err
	}
	return &source{spec: spec, env: env, store: store, roots: roots}, nil
}

// Close implements connector.Source.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil {
		s.session.Close()
		s.session = nil
	}
	return nil
}

// with calls f with the driver's session, one caller at a time.
func (s *source) with(ctx context.Context, f func(*duck.Session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		session, err := duck.Open(ctx, duck.Options{
			Memory: memory.Divide(s.env.Memory).Duck, TempDir: s.env.TempDir, Timezone: s.env.Timezone,
		})
		if err != nil {
			return err
		}
		s.session = session
	}
	return f(s.session)
}

func (s *source) survey(ctx context.Context) (*survey, error) {
	err := s.with(ctx, func(session *duck.Session) (err error) {
		if s.found == nil {
			s.found, err = s.look(ctx, session, s.roots)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.found, nil
}

// Schema implements connector.Source.
func (s *source) Schema(ctx context.Context) (drover.Schema, error) {
	sv, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	return append(drover.Schema(nil), sv.schema...), nil
}

// Identity implements connector.Source: the absolute paths.
func (s *source) Identity(context.Context) (string, error) {
	var names []string
	for _, r := range s.roots {
		names = append(names, r.String())
	}
	return "files:" + strings.Join(names, "\n"), nil
}

// Begin implements connector.Source: a run keeps the survey that it was planned with.
func (s *source) Begin(ctx context.Context, _ drover.Chunking, prior gojson.RawMessage) (gojson.RawMessage, error) {
	if prior != nil {
		old, err := decodeState(prior)
		if err != nil {
			return nil, err
		}
		if fmt.Sprint(old.Roots) != fmt.Sprint(s.roots) {
			return nil, drover.Errorf(drover.Refused, "the run reads %v, and this job's paths are now %v", old.Roots, s.roots).
				WithHint("start in the folder that the run was started in, or start a new run: drover run JOB.yaml --new")
		}
		return prior, nil
	}
	sv, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	return gojson.Marshal(sv)
}

func decodeState(state gojson.RawMessage) (*survey, error) {
	sv := &survey{}
	if err := gojson.Unmarshal(state, sv); err != nil {
		return nil, fmt.Errorf("decode the state of a files source: %w", err)
	}
	return sv, nil
}

// batches calls each with the data files, some at a time. Empty files hold no data in any format: they are left out, with a
// warning where warn is set.
func (s *source) batches(ctx context.Context, sv *survey, warn bool, each func([]file) error) error {
	var batch []file
	var empty int
	var example string
	for f, err := range list(ctx, s.store, sv) {
		if err != nil {
			return err
		}
		if f.Size == 0 {
			if empty++; empty == 1 {
				example = f.path(sv.Roots)
			}
			continue
		}
		if batch = append(batch, f); len(batch) == batchFiles {
			if err := each(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if empty > 0 && warn && !s.warned {
		s.warned = true
		if empty == 1 {
			s.env.Warn("%s has 0 bytes and is ignored", example)
		} else {
			s.env.Warn("%d files have 0 bytes and are ignored, %s first", empty, example)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return each(batch)
}
