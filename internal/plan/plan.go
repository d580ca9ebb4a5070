// Package plan turns a bound job into a Plan: what will run, as plain data. It is stored in the run, so it holds no
// secrets; it does no I/O.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/step"
)

// Version is the version of the plan format. It is part of every fingerprint.
const Version = 1

// Bound is a job with what its source, its sink and DuckDB said about it.
type Bound struct {
	Job           drover.Job
	Input, Output drover.Schema
	Program       step.Program
	// Reads is the source columns that the program reads; the others are moved or dropped.
	Reads []string
	// Expect is the job's expectations, bound to its columns.
	Expect []expect.Bound
	// Functions is what the functions that steps call are, as the fingerprint covers it: their code, and what runs it.
	Functions      []json.RawMessage
	SourceIdentity string
	// Reading is connector.Describer's.
	Reading string
	Check   connector.Check
	// RejectsCheck is the same for the rejects' sink.
	RejectsCheck connector.Check
}

// Endpoint is a source or a sink without its hosts and credentials.
type Endpoint struct {
	Connector string `json:"connector"`
	// Text is the endpoint in a few words.
	Text string `json:"text"`
	// Meaning is drover.Source.Meaning or drover.Sink.Meaning.
	Meaning json.RawMessage `json:"meaning"`
	// Identity is what the source or the sink said that it is.
	Identity string `json:"identity"`
}

// Stage is one pass from a source through steps to a sink.
type Stage struct {
	Source  Endpoint        `json:"source"`
	Chunk   drover.Chunking `json:"chunk"`
	Input   drover.Schema   `json:"input"`
	Steps   []drover.Step   `json:"steps,omitempty"`
	Program step.Program    `json:"program"`
	Reads   []string        `json:"reads,omitempty"`
	// Reading is what the source says of how it reads.
	Reading string `json:"reading,omitempty"`
	// Pushdown is what the source does by itself, where it was asked.
	Pushdown *connector.Pushdown `json:"pushdown,omitempty"`
	Output   drover.Schema       `json:"output"`
	Sink     Endpoint            `json:"sink"`
	// Notes and Types are connector.Check's.
	Notes []string `json:"notes,omitempty"`
	Types []string `json:"types,omitempty"`
}

// Plan is what a job will do.
type Plan struct {
	Version     int     `json:"version"`
	Job         string  `json:"job"`
	Fingerprint string  `json:"fingerprint"`
	Timezone    string  `json:"timezone"`
	Stages      []Stage `json:"stages"`
	// Rejects is where rows go that cannot be converted or stored; nil where they fail their chunk.
	Rejects *Rejects `json:"rejects,omitempty"`
	// Expect is what must hold of the rows before they are published, each as a line.
	Expect []string `json:"expect,omitempty"`
	// Sums are the columns that expectations have added up while the rows are read and written.
	Sums []connector.SumColumn `json:"sums,omitempty"`
}

// Rejects is a job's rejects.
type Rejects struct {
	Sink Endpoint `json:"sink"`
	Max  int64    `json:"max"`
	// Notes are connector.Check's.
	Notes []string `json:"notes,omitempty"`
}

// Totals are what the chunks of a plan come to. Zero where unknown.
type Totals struct {
	Chunks int64 `json:"chunks"`
	// Loaded is how many further keys earlier runs have loaded (chunk: {new_keys: true}).
	Loaded int64 `json:"loaded_keys,omitempty"`
	// Rows and Bytes are the source's estimates of what it will yield.
	Rows  int64 `json:"rows,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Memory is the budget of the process tree in bytes, and Workers how many share it.
	Memory  int64 `json:"memory,omitempty"`
	Workers int   `json:"workers,omitempty"`
}

// Document is the answer of plan --json: one object.
type Document struct {
	Plan
	Totals
}

// Make plans a bound job.
func Make(b Bound) (Plan, error) {
	fingerprint, err := Fingerprint(b.Job, b.Functions)
	if err != nil {
		return Plan{}, err
	}
	f := b.Job.Frame
	src, err := endpoint(f.Source.Connector(), f.Source.String(), f.Source.Meaning(), b.SourceIdentity)
	if err != nil {
		return Plan{}, fmt.Errorf("plan the source: %w", err)
	}
	sink, err := endpoint(b.Job.Sink.Connector(), b.Job.Sink.String(), b.Job.Sink.Meaning(), b.Check.Identity)
	if err != nil {
		return Plan{}, fmt.Errorf("plan the sink: %w", err)
	}
	var expectations []string
	for _, e := range b.Job.Expect {
		expectations = append(expectations, e.String())
	}
	p := Plan{
		Expect: expectations, Sums: expect.SumColumns(b.Expect),
		Version: Version, Job: b.Job.Name, Fingerprint: fingerprint, Timezone: zone(b.Job),
		Stages: []Stage{{
			Source: src, Chunk: f.Chunk, Input: b.Input, Steps: f.Steps, Program: b.Program, Reads: b.Reads, Reading: b.Reading,
			Output: b.Output, Sink: sink, Notes: b.Check.Notes, Types: b.Check.Types,
		}},
	}
	if r := b.Job.Rejects; r != nil {
		into, err := endpoint(r.Sink.Connector(), r.String(), r.Sink.Meaning(), b.RejectsCheck.Identity)
		if err != nil {
			return Plan{}, fmt.Errorf("plan the rejects: %w", err)
		}
		p.Rejects = &Rejects{Sink: into, Max: r.Most(), Notes: b.RejectsCheck.Notes}
	}
	return p, nil
}

func endpoint(name, text string, meaning any, identity string) (Endpoint, error) {
	m, err := json.Marshal(meaning)
	return Endpoint{Connector: name, Text: text, Meaning: m, Identity: identity}, err
}

func zone(j drover.Job) string {
	if j.Timezone == "" {
		return "UTC"
	}
	return j.Timezone
}

// Fingerprint is the SHA-256, in hexadecimal, of the JSON of what a job means: its name, source, chunking, steps with the functions that they
// call, sink, time zone and where rejects go, and the version of the plan format. Hosts, credentials, limits and the ledger are not part
// of it. exactness.md 2.
func Fingerprint(j drover.Job, functions []json.RawMessage) (string, error) {
	m := meaning{
		Version: Version, Job: j.Name, Timezone: zone(j), Chunk: j.Frame.Chunk, Steps: j.Frame.Steps, Functions: functions,
		Source: spec{j.Frame.Source.Connector(), j.Frame.Source.Meaning()},
		Sink:   spec{j.Sink.Connector(), j.Sink.Meaning()},
	}
	if j.Rejects != nil {
		m.Rejects = &spec{j.Rejects.Sink.Connector(), j.Rejects.Sink.Meaning()}
	}
	doc, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("fingerprint the job: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}

// meaning is what a fingerprint covers. encoding/json writes fields in this order and map keys sorted, so equal meanings are equal
// bytes. A change of what is written here is a new Version.
type meaning struct {
	Version   int               `json:"version"`
	Job       string            `json:"job"`
	Source    spec              `json:"source"`
	Chunk     drover.Chunking   `json:"chunk"`
	Steps     []drover.Step     `json:"steps,omitempty"`
	Functions []json.RawMessage `json:"functions,omitempty"`
	Sink      spec              `json:"sink"`
	Timezone  string            `json:"timezone"`
	// Rejects decides which rows reach the sink. How many may be rejected is a limit.
	Rejects *spec `json:"rejects,omitempty"`
}

type spec struct {
	Connector string `json:"connector"`
	Meaning   any    `json:"meaning"`
}
