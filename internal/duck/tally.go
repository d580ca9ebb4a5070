package duck

/*
extern void droverTally(void*, void*, void*);
static void* tally_fn(void) { return (void*)droverTally; }
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"
)

// AddTally wraps the SELECT query so that its rows are counted by the value of column, a BIGINT from 0 to n-1, which the wrapped
// query no longer has. counts returns the totals so far; call remove when no query that uses the result runs.
func (s *Session) AddTally(query, column string, n int) (sql string, counts func() []int64, remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := s.next
	s.tally[id] = make([]int64, n)
	read := func() []int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return append([]int64(nil), s.tally[id]...)
	}
	// The count is a projection, not a condition: DuckDB moves conditions below the query's own, volatile or not, but never moves
	// a condition below the volatile projection that it reads.
	sql = fmt.Sprintf("SELECT * EXCLUDE (%[1]s, drover_counted) FROM (SELECT *, drover_tally(%[2]d::BIGINT, %[1]s) AS drover_counted FROM (%[3]s)) WHERE drover_counted",
		Ident(column), id, query)
	return sql, read, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.tally, id)
	}
}

func (s *Session) registerTally() error {
	f := db.CreateScalarFunction()
	defer db.DestroyScalarFunction(&f)
	db.ScalarFunctionSetName(f, "drover_tally")
	bigint, boolean := db.CreateLogicalType(db.TypeBigInt), db.CreateLogicalType(db.TypeBoolean)
	defer db.DestroyLogicalType(&bigint)
	defer db.DestroyLogicalType(&boolean)
	db.ScalarFunctionAddParameter(f, bigint)
	db.ScalarFunctionAddParameter(f, bigint)
	db.ScalarFunctionSetReturnType(f, boolean)
	db.ScalarFunctionSetVolatile(f)
	db.ScalarFunctionSetExtraInfo(f, s.self, nil)
	db.ScalarFunctionSetFunction(f, C.tally_fn())
	if db.RegisterScalarFunction(s.con, f) != db.StateSuccess {
		return errors.New("register drover_tally in DuckDB")
	}
	return nil
}

//export droverTally
func droverTally(ptr, in, out unsafe.Pointer) {
	info := db.FunctionInfo{Ptr: ptr}
	s := handleValue(db.ScalarFunctionGetExtraInfo(info)).(*Session)
	chunk := Chunk{db.DataChunk{Ptr: in}}
	n := chunk.Rows()
	id := Data[int64](chunk.Vector(0))[0]
	tags := Data[int64](chunk.Vector(1))[:n]
	yes := unsafe.Slice((*bool)(db.VectorGetData(db.Vector{Ptr: out})), n)
	s.mu.Lock()
	defer s.mu.Unlock()
	counts, ok := s.tally[id]
	if !ok {
		db.ScalarFunctionSetError(info, fmt.Sprintf("drover_tally(%d) is not registered", id))
		return
	}
	for i, t := range tags {
		if t < 0 || t >= int64(len(counts)) {
			db.ScalarFunctionSetError(info, fmt.Sprintf("drover_tally: value %d is not below %d", t, len(counts)))
			return
		}
		counts[t]++
		yes[i] = true
	}
}
