package protocol

import (
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/plan"
)

// StageOf returns what all tasks of a planned stage share, ready to cross to a worker. state is Source.Begin's.
func StageOf(job drover.Job, st plan.Stage, state json.RawMessage) (Stage, error) {
	source, err := json.Marshal(job.Frame.Source)
	if err != nil {
		return Stage{}, fmt.Errorf("encode the source: %w", err)
	}
	sink, err := json.Marshal(job.Sink)
	if err != nil {
		return Stage{}, fmt.Errorf("encode the sink: %w", err)
	}
	return Stage{
		Source: Spec{Connector: job.Frame.Source.Connector(), Value: source}, SourceState: state, Input: st.Input,
		Program: st.Program, Reads: st.Reads, Steps: st.Steps, Output: st.Output,
		Sink:      Spec{Connector: job.Sink.Connector(), Value: sink},
		Functions: Functions{Dir: job.Dir, Bin: job.PythonEnv.Bin, Timeout: job.Limits.ChunkTimeout},
	}, nil
}
