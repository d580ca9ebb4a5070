package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// method says how a run's rows get into the target.
type method string

const (
	// direct: every attempt commits its rows into the target.
	direct method = "direct"
	// rename: the staging table becomes the target, which did not exist.
	rename method = "rename"
	// swap: the staging table takes the target's place.
	swap method = "swap"
	// refill: DELETE and INSERT .. SELECT from the staging table, in one transaction.
	refill method = "refill"
)

// sinkState is what Begin decides for all attempts of a run, and Publish. It is kept in the gate and given to workers.
type sinkState struct {
	Mode   Mode      `json:"mode"`
	Method method    `json:"method"`
	Target tableName `json:"target"`
	// OID is the target's; 0 where rename will create it.
	OID uint32 `json:"oid"`
	// Created says that Begin created the target.
	Created bool `json:"created,omitempty"`
	// Into is the table that attempts write: the target or the staging table.
	Into tableName `json:"into"`
	// Prepare creates Into, where it is not there yet.
	Prepare []string     `json:"prepare,omitempty"`
	Columns []sinkColumn `json:"columns"`
	// Key, Latest and Ignore are the job's, for upsert, in the target's spelling.
	Key    []string `json:"key,omitempty"`
	Latest string   `json:"latest,omitempty"`
	Ignore bool     `json:"ignore,omitempty"`
	// Definition is the target's when the run began, for replace.
	Definition []string `json:"definition,omitempty"`
	// Held is the Held of connector.Fence, where the ledger is in the target's database.
	Held string `json:"held,omitempty"`
	// Built says that the staging table has its indexes and constraints.
	Built bool `json:"built,omitempty"`

	// known are the columns of Into that COPY fills, where they were read in the transaction that holds its lock.
	known []column
}

func (st sinkState) staged() bool { return st.Method != direct }

func decodeSinkState(run connector.Run) (sinkState, error) {
	var st sinkState
	if run.State == nil {
		return st, drover.Errorf(drover.Invalid, "run %s has not begun in the target", run.ID)
	}
	if err := json.Unmarshal(run.State, &st); err != nil {
		return st, fmt.Errorf("decode the state of run %s: %w", run.ID, err)
	}
	return st, nil
}

// stagingName is the staging table's name: 41 bytes or a few more.
func stagingName(run connector.Run) string { return fmt.Sprintf("drover_%s_%d", run.UID, run.Stage) }
