package run

import (
	"context"

	"github.com/droverdata/drover/connector"
)

const (
	// taskBytes is the most estimated input that neighbouring chunks are packed to, and taskChunks the most chunks.
	taskBytes  = 64 << 20
	taskChunks = 500
	// tasksPerSlot is how many tasks each slot should get at least, so that the slots end together.
	tasksPerSlot = 4
	// The same for a sink that keeps something of every task: at most 512 MiB of input a task, and two tasks a slot.
	fewTasksBytes   = 512 << 20
	fewTasksChunks  = 2_000
	fewTasksPerSlot = 2
	// The same for a source of at least passLeast that every task passes over wholly: one task a slot. Passes over less cost less than a second driver that
	// finds nothing to do.
	passBytes  = 2 << 30
	passChunks = 8_000
	passLeast  = 256 << 20
	// Where steps see whole chunks, a pass is little beside their work: two tasks at least, so that a failure costs no more than half.
	passTasks = 2
	// spoolBytes is the most estimated input of a task that writes a spool. Every merge task opens every spool.
	spoolBytes = 256 << 20
	// A merge task reads at most mergeBytes of spools, and no task is smaller than mergeLeast only so that all slots have some.
	mergeBytes, mergeLeast = 256 << 20, 16 << 20
)

// taskSaver is a sink that leaves something of each task behind, such as a file in every partition.
type taskSaver interface{ FewTasks() bool }

// packing is how many tasks a run is cut into.
type packing int

const (
	manyTasks packing = iota
	fewTasks          // because of the sink
	fewPasses         // because of the source
	onePass           // because of the source, for steps that cost less than a pass
)

// packing decides how many tasks are best for the source and the sink.
func (r *runner) packing(ctx context.Context) (packing, error) {
	if sink, ok := r.o.Job.Sink.(taskSaver); ok && sink.FewTasks() {
		return fewTasks, nil
	}
	if source, ok := r.bound.Source.(connector.TaskSaver); ok {
		few, err := source.FewTasks(ctx, r.o.Job.Frame.Chunk)
		switch {
		case err != nil:
			return manyTasks, err
		case few && r.bound.Program.RowWise:
			return onePass, nil
		case few:
			return fewPasses, nil
		}
	}
	return manyTasks, nil
}

// taskSize returns the most bytes and chunks of a task where so many are pending. For few tasks both are rounded up, so that equal chunks
// make no more tasks than intended.
func taskSize(bytes, chunks, slots int64, how packing) (maxBytes int64, maxChunks int) {
	if how == manyTasks {
		return packed(bytes, chunks, slots, taskBytes)
	}
	pieces, mostBytes, mostChunks := slots*fewTasksPerSlot, int64(fewTasksBytes), int64(fewTasksChunks)
	if how != fewTasks && bytes >= passLeast {
		pieces, mostBytes, mostChunks = slots, passBytes, passChunks
		if how == fewPasses {
			pieces = max(slots, passTasks)
		}
	}
	perTask := (chunks + pieces - 1) / pieces
	// Chunks differ: a quarter more than an equal share keeps the last of a task's chunks from being left over. Of few chunks an equal share may hold one and
	// a half, and must have room for two.
	share := max(bytes/pieces*5/4, perTask*(bytes/max(chunks, 1))*21/20)
	return min(mostBytes, max(1, share)), int(min(mostChunks, max(1, perTask)))
}

// packed is a share of what is pending for each task of all slots, but no more than most bytes.
func packed(bytes, chunks, slots, most int64) (maxBytes int64, maxChunks int) {
	pieces := slots * tasksPerSlot
	return min(most, max(1, bytes/pieces)), int(min(taskChunks, max(1, chunks/pieces)))
}

// mergeSize is the size of a merge chunk where the spools have so many bytes.
func mergeSize(bytes, slots int64) int64 {
	return min(mergeBytes, max(mergeLeast, bytes/(slots*tasksPerSlot)))
}
