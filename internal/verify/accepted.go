package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// acceptor is a truth that keeps beside its rows what they are the result of.
type acceptor interface {
	Accept(ctx context.Context, of string) error
	// Accepted is "" where that is not known, or where the rows are others since.
	Accepted(ctx context.Context) (of string, err error)
}

// Accept records which sample the truth was made of, where it can keep that. The truth has been written.
func (t *Trial) Accept(ctx context.Context, s *Sampler) error {
	truth, ok := t.test.Truth.(acceptor)
	if partial, _ := s.Partial(); !ok || !partial {
		return nil
	}
	of, err := t.sample(s)
	if err != nil {
		return err
	}
	return truth.Accept(ctx, of)
}

// Accepted reports whether the truth is known to be made of this very sample, so that every row of it belongs to the sample.
func (t *Trial) Accepted(ctx context.Context, s *Sampler) (bool, error) {
	truth, ok := t.test.Truth.(acceptor)
	if !ok {
		return false, nil
	}
	of, err := truth.Accepted(ctx)
	if err != nil || of == "" {
		return false, err
	}
	here, err := t.sample(s)
	return of == here, err
}

// sample is the SHA-256, in hexadecimal, of what says which rows were read: the source and the keys of the chunks.
func (t *Trial) sample(s *Sampler) (string, error) {
	source := t.Job.Frame.Source
	doc, err := json.Marshal(struct {
		Connector string
		Meaning   any
		Chunk     any
		Keys      []string
	}{source.Connector(), source.Meaning(), t.Job.Frame.Chunk, s.Keys()})
	if err != nil {
		return "", fmt.Errorf("encode the sample: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}
