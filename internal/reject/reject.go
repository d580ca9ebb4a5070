// Package reject finds the rows of a task that cannot be converted or stored, so that the others can be written, and keeps them for the job's
// rejects.
//
// A task is written as if there were no bad rows. Where that fails for its data, its rows are kept in one place, and those at fault are found by
// trying parts of them: a part that fails is halved until one row is alone, whose error is the reason. So every step and every sink is the
// judge of its own rows. Hints save tries and decide nothing: the rows on which a conversion of the steps gives NULL are tried apart from the others, and a
// sink may name the row that it refused. Rejects are staged like a sink's rows, under the attempt's token, and the receipts that are
// committed with the attempt's other rows name them: an attempt that is not accepted has neither.
package reject

import (
	"errors"
	"iter"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// Schema is what rejects have of each row: the job and the run, the chunk's key, the column at fault where it is known, why, and the row
// as the source had it, as a JSON object.
func Schema() drover.Schema {
	var s drover.Schema
	for _, name := range []string{"job", "run", "chunk", "column", "reason", "row"} {
		s = append(s, drover.Column{Name: name, Type: "VARCHAR"})
	}
	return s
}

// Receipts are the receipts of a stage as the rejects' sink knows them: those of attempts that rejected rows.
func Receipts(all iter.Seq2[connector.Receipt, error]) iter.Seq2[connector.Receipt, error] {
	return func(yield func(connector.Receipt, error) bool) {
		for r, err := range all {
			if err == nil && r.RowsRejected == 0 && len(r.Rejects) == 0 {
				continue
			}
			r.RowsIn, r.RowsOut, r.Publish, r.Rejects = r.RowsRejected, r.RowsRejected, r.Rejects, nil
			if !yield(r, err) {
				return
			}
		}
	}
}

// At gives an error of the rejects' sink, which takes itself for the job's sink, its place in the job.
func At(err error, into drover.Sink) error {
	var e *drover.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	prefix := "sink." + into.Connector()
	field := strings.TrimPrefix(strings.TrimPrefix(e.Field, prefix), ".")
	c := *e
	c.Field, c.Cause = strings.TrimSuffix("rejects."+into.Connector()+"."+field, "."), err
	return &c
}
