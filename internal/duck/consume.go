package duck

/*
extern void droverConsume(void*, void*, void*);
static void* consume_fn(void) { return (void*)droverConsume; }
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	db "github.com/duckdb/duckdb-go-bindings"
)

// AddConsumer makes a query that hands the rows of the SELECT query to consume instead of returning them: expressions over its columns, one vector each, in
// chunks of up to VectorSize rows. The query itself returns one row. DuckDB calls consume from its own threads, of several at once where the
// session has more than one, in no order; its first error ends the query and is the query's error, with its type. A chunk is valid during the call. Call
// remove when the query does not run.
func (s *Session) AddConsumer(query string, expressions []string, consume func(Chunk) error) (sql string, remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := s.next
	s.consumers[id] = consume
	// The number comes last, so that the vectors' indexes are those of the expressions.
	sql = fmt.Sprintf("SELECT count(drover_consume(%s, %d::BIGINT)) FROM (%s)", strings.Join(expressions, ", "), id, query)
	return sql, s.forget(id)
}

// AddTap wraps the SELECT query so that its rows pass consume, as AddConsumer's do, on their way.
func (s *Session) AddTap(query string, expressions []string, consume func(Chunk) error) (sql string, remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := s.next
	s.consumers[id] = consume
	// A projection, and a condition on it: see AddTally.
	sql = fmt.Sprintf("SELECT * EXCLUDE (drover_passed) FROM (SELECT *, drover_consume(%s, %d::BIGINT) AS drover_passed FROM (%s)) WHERE drover_passed",
		strings.Join(expressions, ", "), id, query)
	return sql, s.forget(id)
}

// forget returns what removes a consumer.
func (s *Session) forget(id int64) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.consumers, id)
	}
}

// registerConsume creates drover_consume(ANY...), once a session. NULLs reach it like other values, and DuckDB never folds, moves or leaves out
// a call.
func (s *Session) registerConsume() error {
	f := db.CreateScalarFunction()
	defer db.DestroyScalarFunction(&f)
	db.ScalarFunctionSetName(f, "drover_consume")
	any, boolean := db.CreateLogicalType(db.TypeAny), db.CreateLogicalType(db.TypeBoolean)
	defer db.DestroyLogicalType(&any)
	defer db.DestroyLogicalType(&boolean)
	db.ScalarFunctionSetVarargs(f, any)
	db.ScalarFunctionSetReturnType(f, boolean)
	db.ScalarFunctionSetVolatile(f)
	db.ScalarFunctionSetSpecialHandling(f)
	db.ScalarFunctionSetExtraInfo(f, s.self, nil)
	db.ScalarFunctionSetFunction(f, C.consume_fn())
	if db.RegisterScalarFunction(s.con, f) != db.StateSuccess {
		return errors.New("register drover_consume in DuckDB")
	}
	return nil
}

//export droverConsume
func droverConsume(ptr, in, out unsafe.Pointer) {
	info := db.FunctionInfo{Ptr: ptr}
	s := handleValue(db.ScalarFunctionGetExtraInfo(info)).(*Session)
	chunk := Chunk{db.DataChunk{Ptr: in}}
	n := chunk.Rows()
	if n == 0 {
		return
	}
	id := Data[int64](chunk.Vector(chunk.Columns() - 1))[0]
	s.mu.Lock()
	consume, ok := s.consumers[id]
	s.mu.Unlock()
	err := fmt.Errorf("drover_consume(%d) is not registered", id)
	if ok {
		err = consume(chunk)
	}
	if err != nil {
		s.keep(err)
		db.ScalarFunctionSetError(info, err.Error())
		return
	}
	yes := unsafe.Slice((*bool)(db.VectorGetData(db.Vector{Ptr: out})), n)
	for i := range yes {
		yes[i] = true
	}
}
