package memory

import "runtime/debug"

const (
	// Least is the least share that a worker works with: what the program takes before its first row (about 40 MiB: its code as far as it is
	// used, DuckDB's tables, the Go runtime, stacks), and room for small buffers.
	Least = 64 << 20
	// Driver is what the driver keeps of a budget: the program, a page of the ledger, and what lists the chunks.
	Driver = 64 << 20
	// Overshoot is what a worker may pass its share by before the watchdog ends it: what a process can fill between two looks.
	Overshoot = 64 << 20
	// program is what a worker takes before its first row.
	program = 40 << 20
	// rowCopies is how many times a row is in memory at once on its way through a worker: as a message, as a tuple, and in an output
	// buffer that doubles.
	rowCopies = 5
	// chunkCopies is the same for a chunk that a step sees whole: as it was read, as the step has it, as it answers, and room for what DuckDB and the
	// functions' runtime keep beside that.
	chunkCopies = 4
)

// Shares divides the memory of one process: a worker's share of the budget, or what the driver keeps.
type Shares struct {
	// Duck is DuckDB's memory_limit. It gets the most: sorts, groups and joins are there, and it spills what passes the limit.
	Duck int64
	// Go is the Go runtime's soft limit. Connections and output buffers are there; nothing that grows with the data.
	Go int64
	// Buffers is for what connectors keep outside both: the arenas of rows on their way in.
	Buffers int64
	// Row is the largest single row: it is in memory in several copies.
	Row int64
}

// Divide divides total bytes. What the fields leave of it is the program's own. 0 means no bound, and has none.
func Divide(total int64) Shares {
	if total <= 0 {
		return Shares{}
	}
	duck := max(total/2, total-192<<20)
	rest := total - duck
	return Shares{
		Duck: duck, Go: rest / 2, Buffers: min(rest/4, 32<<20),
		Row: max(total-program, total/8) / rowCopies,
	}
}

// WithFunctions divides what Duck is among the two sessions of a worker that calls functions and the functions' own process, which holds each
// chunk whole and gets the most.
func (s Shares) WithFunctions() (session, functions int64) { return s.Duck / 4, s.Duck / 2 }

// ForRow returns the share that a row of n bytes needs.
func ForRow(n int64) int64 { return n*rowCopies + program }

// ForChunk returns the share that a chunk of n bytes needs with a step that sees it whole.
func ForChunk(n int64) int64 { return n*chunkCopies + program }

// Budget returns the least budget in whole MiB under which one worker may have a share.
func Budget(share int64) int64 { return (share + Driver + 1<<20 - 1) &^ (1<<20 - 1) }

// LimitGo sets the Go runtime's soft limit of this process in bytes: near it the collector works harder. The limit belongs to the whole
// process, so only whoever owns that sets it.
func LimitGo(n int64) { debug.SetMemoryLimit(n) }
