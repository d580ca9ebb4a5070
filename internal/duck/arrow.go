package duck

/*
#include <stdint.h>
#include <stdlib.h>

// The functions of duckdb.h that the bindings hide behind a build tag, which users of the module would have to know of. Arrow's structs are
// those of its C data interface: 9 and 10 words.
extern void* duckdb_schema_from_arrow(void* connection, void* schema, void** out);
extern void* duckdb_data_chunk_from_arrow(void* connection, void* array, void* schema, void** out);
extern void duckdb_destroy_arrow_converted_schema(void** schema);
extern void* duckdb_to_arrow_schema(void* options, void** types, const char** names, uint64_t n, void* out);
extern void* duckdb_data_chunk_to_arrow(void* options, void* chunk, void* out);
extern char duckdb_error_data_has_error(void* error);
extern const char* duckdb_error_data_message(void* error);
extern void duckdb_destroy_error_data(void** error);

static void* drover_alloc(void) { return calloc(16, 8); }
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/cdata"
	db "github.com/duckdb/duckdb-go-bindings"

	"github.com/droverdata/drover"
)

// arrowError turns DuckDB's error object into an error and destroys it.
func arrowError(e unsafe.Pointer) error {
	if e == nil {
		return nil
	}
	defer C.duckdb_destroy_error_data(&e)
	if C.duckdb_error_data_has_error(e) == 0 {
		return nil
	}
	return newError(drover.Data, 0, C.GoString(C.duckdb_error_data_message(e)), "")
}

// ArrowFiller fills scans from record batches of one schema.
type ArrowFiller struct {
	s         *Session
	finer     []bool // by column: its values are looked at
	converted unsafe.Pointer
	batch     db.DataChunk
}

// NewArrowFiller prepares the conversion of batches of schema. Close it when no scan uses it.
func (s *Session) NewArrowFiller(schema *arrow.Schema) (*ArrowFiller, error) {
	c := C.drover_alloc()
	defer C.free(c)
	cdata.ExportArrowSchema(schema, (*cdata.CArrowSchema)(c))
	defer cdata.ReleaseCArrowSchema((*cdata.CArrowSchema)(c))
	f := &ArrowFiller{s: s}
	for _, field := range schema.Fields() {
		f.finer = append(f.finer, finer(field.Type))
	}
	if err := arrowError(C.duckdb_schema_from_arrow(s.con.Ptr, c, &f.converted)); err != nil {
		return nil, fmt.Errorf("convert an Arrow schema: %w", err)
	}
	return f, nil
}

// Fill is the body of a Filler: it makes out hold the rows of rec, at most VectorSize. rec's buffers must lie in C memory
// (memory/mallocator). Values that DuckDB does not hold exactly are an error of kind Data.
func (f *ArrowFiller) Fill(out Chunk, projection []int, rec arrow.RecordBatch) error {
	if rec.NumRows() > VectorSize {
		return fmt.Errorf("%d rows do not fit a chunk", rec.NumRows())
	}
	f.release()
	array, schema := C.drover_alloc(), C.drover_alloc()
	defer C.free(array)
	defer C.free(schema)
	cdata.ExportArrowRecordBatch(rec, (*cdata.CArrowArray)(array), (*cdata.CArrowSchema)(schema))
	// DuckDB takes the array over; the schema stays ours. Releasing what was taken over does nothing.
	defer cdata.ReleaseCArrowSchema((*cdata.CArrowSchema)(schema))
	defer cdata.ReleaseCArrowArray((*cdata.CArrowArray)(array))
	if err := settleStructs(array, schema); err != nil {
		return fmt.Errorf("convert an Arrow batch: %w", err)
	}
	if err := arrowError(C.duckdb_data_chunk_from_arrow(f.s.con.Ptr, array, f.converted, &f.batch.Ptr)); err != nil {
		return fmt.Errorf("convert an Arrow batch: %w", err)
	}
	for v, col := range projection {
		if col < 0 {
			continue // the row id: any value will do
		}
		if f.finer[col] {
			if err := refuseCut(rec.ColumnName(col), rec.Column(col)); err != nil {
				return err
			}
		}
		to := out.Vector(v)
		if rec.Schema().Field(col).Type.ID() == arrow.NULL {
			clear(to.WritableMask())
			continue
		}
		from := db.DataChunkGetVector(f.batch, db.IdxT(col))
		if err := sameType(to.v, from); err != nil {
			return fmt.Errorf("column %s: %w", rec.ColumnName(col), err)
		}
		db.VectorReferenceVector(to.v, from)
	}
	return nil
}

// sameType guards against reading one type's memory as another's.
func sameType(a, b db.Vector) error {
	ta, tb := db.VectorGetColumnType(a), db.VectorGetColumnType(b)
	defer db.DestroyLogicalType(&ta)
	defer db.DestroyLogicalType(&tb)
	if x, y := db.GetTypeId(ta), db.GetTypeId(tb); x != y {
		return fmt.Errorf("DuckDB reads this Arrow type as its type %d, not %d", y, x)
	}
	return nil
}

func (f *ArrowFiller) release() {
	if f.batch.Ptr != nil {
		db.DestroyDataChunk(&f.batch)
	}
}

// Close frees the conversion.
func (f *ArrowFiller) Close() {
	f.release()
	if f.converted != nil {
		C.duckdb_destroy_arrow_converted_schema(&f.converted)
	}
}

// ArrowWriter turns chunks of a query into record batches.
type ArrowWriter struct {
	options db.ArrowOptions
	schema  *arrow.Schema
}

// NewArrowWriter prepares the conversion of chunks with these columns. Close it after the last one.
func (s *Session) NewArrowWriter(columns drover.Schema) (*ArrowWriter, error) {
	types := make([]db.LogicalType, 0, len(columns))
	defer func() {
		for i := range types {
			db.DestroyLogicalType(&types[i])
		}
	}()
	n := len(columns)
	ctypes := (*[1 << 20]unsafe.Pointer)(C.calloc(C.size_t(n+1), C.size_t(unsafe.Sizeof(uintptr(0)))))[: n+1 : n+1]
	cnames := (*[1 << 20]*C.char)(C.calloc(C.size_t(n+1), C.size_t(unsafe.Sizeof(uintptr(0)))))[: n+1 : n+1]
	defer func() {
		for _, name := range cnames[:n] {
			C.free(unsafe.Pointer(name))
		}
		C.free(unsafe.Pointer(&cnames[0]))
		C.free(unsafe.Pointer(&ctypes[0]))
	}()
	for i, c := range columns {
		t, err := s.logicalType(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		types = append(types, t)
		ctypes[i], cnames[i] = t.Ptr, C.CString(c.Name)
	}
	w := &ArrowWriter{}
	db.ConnectionGetArrowOptions(s.con, &w.options)
	out := C.drover_alloc()
	defer C.free(out)
	defer cdata.ReleaseCArrowSchema((*cdata.CArrowSchema)(out))
	if err := arrowError(C.duckdb_to_arrow_schema(w.options.Ptr, &ctypes[0], &cnames[0], C.uint64_t(n), out)); err != nil {
		w.Close()
		return nil, fmt.Errorf("make an Arrow schema: %w", err)
	}
	schema, err := cdata.ImportCArrowSchema((*cdata.CArrowSchema)(out))
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("make an Arrow schema: %w", err)
	}
	w.schema = schema
	return w, nil
}

// Schema returns the batches' schema.
func (w *ArrowWriter) Schema() *arrow.Schema { return w.schema }

// Batch converts a chunk. The caller releases the batch before the query's next chunk.
func (w *ArrowWriter) Batch(c Chunk) (arrow.RecordBatch, error) {
	if c.c.Ptr == nil {
		return nil, errors.New("no chunk to convert")
	}
	out := C.drover_alloc()
	defer C.free(out)
	if err := arrowError(C.duckdb_data_chunk_to_arrow(w.options.Ptr, c.c.Ptr, out)); err != nil {
		return nil, fmt.Errorf("convert to Arrow: %w", err)
	}
	rec, err := cdata.ImportCRecordBatchWithSchema((*cdata.CArrowArray)(out), w.schema)
	if err != nil {
		return nil, fmt.Errorf("convert to Arrow: %w", err)
	}
	return rec, nil
}

// Close frees the conversion.
func (w *ArrowWriter) Close() { db.DestroyArrowOptions(&w.options) }
