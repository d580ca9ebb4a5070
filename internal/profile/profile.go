// Package profile measures a spread of a job's chunks without keeping anything that they write, and says what bounds the job, how much memory
// its workers need and which columns have wider types than their values.
package profile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/engine"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/protocol"
)

// Options say what to profile, and with what.
type Options struct {
	Registry connector.Registry
	Job      drover.Job
	Engine   engine.Engine
	// Memory is the budget of the whole process tree in bytes, Cores how many workers the machine has cores for.
	Memory int64
	Cores  int
	// Chunks is how many chunks are measured at most; Only names them by their keys instead.
	Chunks  int
	Only    []string
	TempDir string
	Warn    func(format string, args ...any)
	// Measured is told of each chunk. Never nil.
	Measured func(done, of int, key string)
}

// Run profiles a job. Nothing is written that stays.
func Run(ctx context.Context, o Options) (_ Report, err error) {
	env := connector.Env{
		Timezone: o.Job.Timezone, TempDir: o.TempDir, Application: "drover/profile", Warn: o.Warn,
		Connections: o.Job.Limits.SourceConnections, Memory: o.Memory,
		Resume: true, // rows in the target are no reason to refuse: it gets none
	}
	bound, err := bind.Bind(ctx, o.Registry, o.Job, env)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, bound.Close()) }()
	p, err := plan.Make(bound.Bound)
	if err != nil {
		return Report{}, err
	}
	state, err := bound.Source.Begin(ctx, o.Job.Frame.Chunk, nil)
	if err != nil {
		return Report{}, err
	}
	var all []connector.Chunk
	for c, err := range bound.Source.Chunks(ctx, o.Job.Frame.Chunk, state) {
		if err != nil {
			return Report{}, fmt.Errorf("cut the source into chunks: %w", err)
		}
		c.ID = int64(len(all))
		all = append(all, c)
	}
	picked, err := pick(all, o)
	if err != nil {
		return Report{}, err
	}
	task, err := firstTask(o.Job, p, state)
	if err != nil {
		return Report{}, err
	}
	measured, err := find(ctx, o, task, picked)
	if err != nil {
		return Report{}, err
	}
	return report(o, p, int64(len(all)), picked, measured), nil
}

// find measures the chunks, and looks at their values after that.
func find(ctx context.Context, o Options, task protocol.Task, chunks []connector.Chunk) ([]protocol.Profile, error) {
	measured := make([]protocol.Profile, len(chunks))
	for _, finding := range []protocol.Finding{protocol.Cost, protocol.Values} {
		task.Profile = finding
		for i, c := range chunks {
			task.Token, task.Chunks = task.Token+1, []connector.Chunk{c}
			result, err := o.Engine.Execute(ctx, task, func(protocol.Progress) {})
			if err == nil && result.Error != nil {
				err = result.Error
			}
			if err != nil {
				return nil, fmt.Errorf("profile chunk %s: %w", c.Key, err)
			}
			if finding == protocol.Values {
				measured[i].Columns, measured[i].Received = result.Profile.Columns, result.Profile.Received
				continue
			}
			measured[i] = *result.Profile
			o.Measured(i+1, len(chunks), c.Key)
		}
	}
	return measured, nil
}

// firstTask is a task without its chunk.
func firstTask(job drover.Job, p plan.Plan, state json.RawMessage) (protocol.Task, error) {
	stage, err := protocol.StageOf(job, p.Stages[0], state)
	if err != nil {
		return protocol.Task{}, err
	}
	uid := make([]byte, 16)
	if _, err := rand.Read(uid); err != nil {
		return protocol.Task{}, fmt.Errorf("make a random number: %w", err)
	}
	now := time.Now()
	return protocol.Task{
		Run:      connector.Run{UID: hex.EncodeToString(uid), ID: "profile", Job: job.Name, StartedAt: now},
		Stage:    stage,
		Timezone: job.Timezone, Now: now, Connections: job.Limits.SourceConnections,
	}, nil
}

// pick returns the named chunks, or a spread: the largest, and others at equal distances from the first to the last.
func pick(all []connector.Chunk, o Options) ([]connector.Chunk, error) {
	if len(o.Only) > 0 {
		var picked []connector.Chunk
		for _, key := range o.Only {
			i := slices.IndexFunc(all, func(c connector.Chunk) bool { return c.Key == key || o.Job.Frame.Chunk.By+"="+c.Key == key })
			if i < 0 {
				return nil, drover.Errorf(drover.Invalid, "--only %s: no chunk has this key", key).WithHint("drover run --dry-run lists the chunks in drover status")
			}
			if !slices.ContainsFunc(picked, func(c connector.Chunk) bool { return c.Key == all[i].Key }) {
				picked = append(picked, all[i])
			}
		}
		return picked, nil
	}
	if len(all) <= o.Chunks {
		return all, nil
	}
	largest := 0
	for i, c := range all {
		if c.Bytes > all[largest].Bytes {
			largest = i
		}
	}
	last := len(all) - 1
	places := []int{largest}
	candidates := []int{last, 0}
	for i := range o.Chunks {
		candidates = append(candidates, (i+1)*last/o.Chunks)
	}
	for _, at := range candidates {
		if len(places) < o.Chunks && !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	slices.Sort(places)
	picked := make([]connector.Chunk, len(places))
	for i, at := range places {
		picked[i] = all[at]
	}
	return picked, nil
}
