package run

import (
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover/internal/expect"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/plan"
)

// doc is what the ledger keeps of a run so that others can join and resume it. It holds no secrets.
type doc struct {
	Plan plan.Plan `json:"plan"`
	// Functions is plan.Bound's.
	Functions      []json.RawMessage `json:"functions,omitempty"`
	SourceIdentity string            `json:"source_identity"`
	SinkIdentity   string            `json:"sink_identity"`
	SourceState    json.RawMessage   `json:"source_state,omitempty"`
	SinkState      json.RawMessage   `json:"sink_state,omitempty"`
	// RejectsIdentity and RejectsState are the rejects' sink's; empty where the job has none.
	RejectsIdentity string          `json:"rejects_identity,omitempty"`
	RejectsState    json.RawMessage `json:"rejects_state,omitempty"`
	// SourceMarks, SinkMarks and RejectsMarks are the folders that hold the run's mark (connector.Local), and Host the machine that planned it.
	SourceMarks  []string `json:"source_marks,omitempty"`
	SinkMarks    []string `json:"sink_marks,omitempty"`
	RejectsMarks []string `json:"rejects_marks,omitempty"`
	Host         string   `json:"host"`
	// Set is the Options' of the driver that planned or retried the run last.
	Set []string `json:"set,omitempty"`
	// Publishing says that the rows of a run with rejects may be visible, so that lost rejects cannot be found again.
	Publishing bool `json:"publishing,omitempty"`
	// Published says that the result is visible, and Files how many files that are.
	Published bool  `json:"published,omitempty"`
	Files     int64 `json:"files,omitempty"`
	// Passed says that the staged rows met the expectations, and publish may have begun; Broken is which of them they broke.
	Passed bool            `json:"passed,omitempty"`
	Broken []expect.Broken `json:"broken,omitempty"`
}

// Kept is what the ledger keeps of a run for whoever asks about it later.
type Kept struct {
	// Broken are the expectations that the run's rows broke when they were checked last.
	Broken []expect.Broken
	// Set are the names of the variables whose values its command line gave.
	Set []string
}

// KeptOf returns what was kept of a run.
func KeptOf(run ledger.Run) (Kept, error) {
	if len(run.Doc) == 0 {
		return Kept{}, nil
	}
	var d doc
	if err := json.Unmarshal(run.Doc, &d); err != nil {
		return Kept{}, fmt.Errorf("decode the plan of run %s: %w", run.ID, err)
	}
	return Kept{Broken: d.Broken, Set: d.Set}, nil
}
