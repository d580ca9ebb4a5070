package duck

/*
extern void droverScanBind(void*);
extern void droverScanInit(void*);
extern void droverScanFill(void*, void*);
extern void droverScanDone(void*);
static void* scan_bind(void) { return (void*)droverScanBind; }
static void* scan_init(void) { return (void*)droverScanInit; }
static void* scan_fill(void) { return (void*)droverScanFill; }
static void* scan_done(void) { return (void*)droverScanDone; }
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/droverdata/drover"
	db "github.com/duckdb/duckdb-go-bindings"
)

// Filler fills the vectors of one scan. projection holds, for each vector of the chunk, the index of the column that it
// wants; columns that no expression needs are not asked for. It returns the number of rows filled, at most
// VectorSize; 0 ends the scan. Strings may point into memory that stays unchanged until the next call.
type Filler func(out Chunk, projection []int) (int, error)

type scan struct {
	columns drover.Schema
	types   []db.LogicalType
	open    func() (Filler, error)
}

// scanState is one running scan.
type scanState struct {
	fill       Filler
	projection []int
}

// AddScan makes a relation that a query may read. open is called each time that a query starts to scan it. The relation is named by the
// returned SQL until remove is called, which must not happen while a query uses it. AddScan itself must not be called while
// a query of the session streams.
func (s *Session) AddScan(columns drover.Schema, open func() (Filler, error)) (sql string, remove func(), err error) {
	sc := scan{columns: columns, open: open}
	// Inside the bind callback DuckDB holds the connection's lock, so the types are made here.
	for _, c := range columns {
		t, err := s.scanType(c.Type)
		if err != nil {
			return "", nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		sc.types = append(sc.types, t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := s.next
	s.scans[id] = sc
	return fmt.Sprintf("drover_scan(%d)", id), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.scans, id)
	}, nil
}

// keep remembers the error of a scan, which DuckDB carries as a text only.
func (s *Session) keep(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// kept returns the error of the last query's scans and forgets it.
func (s *Session) kept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.failed
	s.failed = nil
	return err
}

// scanType is logicalType for scans, which are made by the thousand: the session keeps the type.
func (s *Session) scanType(name string) (db.LogicalType, error) {
	if t, ok := s.types[name]; ok {
		return t, nil
	}
	t, err := s.logicalType(name)
	if err == nil {
		s.types[name] = t
	}
	return t, err
}

func (s *Session) scan(id int64) (scan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc, ok := s.scans[id]
	if !ok {
		return scan{}, fmt.Errorf("drover_scan(%d) is not registered", id)
	}
	return sc, nil
}

// registerScan creates the table function drover_scan(id), once a session: DuckDB cannot unregister functions.
func (s *Session) registerScan() error {
	f := db.CreateTableFunction()
	defer db.DestroyTableFunction(&f)
	db.TableFunctionSetName(f, "drover_scan")
	db.TableFunctionSetExtraInfo(f, s.self, nil)
	bigint := db.CreateLogicalType(db.TypeBigInt)
	defer db.DestroyLogicalType(&bigint)
	db.TableFunctionAddParameter(f, bigint)
	db.TableFunctionSetBind(f, C.scan_bind())
	db.TableFunctionSetInit(f, C.scan_init())
	db.TableFunctionSetFunction(f, C.scan_fill())
	db.TableFunctionSupportsProjectionPushdown(f, true)
	if db.RegisterTableFunction(s.con, f) != db.StateSuccess {
		return errors.New("register drover_scan in DuckDB")
	}
	return nil
}

//export droverScanBind
func droverScanBind(ptr unsafe.Pointer) {
	info := db.BindInfo{Ptr: ptr}
	s := handleValue(db.BindGetExtraInfo(info)).(*Session)
	arg := db.BindGetParameter(info, 0)
	id := db.GetInt64(arg)
	db.DestroyValue(&arg)
	sc, err := s.scan(id)
	if err != nil {
		db.BindSetError(info, err.Error())
		return
	}
	for i, c := range sc.columns {
		db.BindAddResultColumn(info, c.Name, sc.types[i])
	}
	db.BindSetBindData(info, newHandle(id), C.scan_done())
}

//export droverScanInit
func droverScanInit(ptr unsafe.Pointer) {
	info := db.InitInfo{Ptr: ptr}
	s := handleValue(db.InitGetExtraInfo(info)).(*Session)
	id := handleValue(db.InitGetBindData(info)).(int64)
	sc, err := s.scan(id)
	if err != nil {
		db.InitSetError(info, err.Error())
		return
	}
	st := &scanState{}
	for i := range int(db.InitGetColumnCount(info)) {
		c := int(db.InitGetColumnIndex(info, db.IdxT(i)))
		if c >= len(sc.columns) {
			c = -1 // the row id, which count(*) asks for
		}
		st.projection = append(st.projection, c)
	}
	if st.fill, err = sc.open(); err != nil {
		s.keep(err)
		db.InitSetError(info, err.Error())
		return
	}
	db.InitSetInitData(info, newHandle(st), C.scan_done())
	db.InitSetMaxThreads(info, 1)
}

//export droverScanFill
func droverScanFill(ptr, out unsafe.Pointer) {
	info := db.FunctionInfo{Ptr: ptr}
	st := handleValue(db.FunctionGetInitData(info)).(*scanState)
	chunk := Chunk{db.DataChunk{Ptr: out}}
	n, err := st.fill(chunk, st.projection)
	if err != nil {
		handleValue(db.FunctionGetExtraInfo(info)).(*Session).keep(err)
		db.FunctionSetError(info, err.Error())
		n = 0
	}
	db.DataChunkSetSize(chunk.c, db.IdxT(n))
}

//export droverScanDone
func droverScanDone(p unsafe.Pointer) { freeHandle(p) }
