package duck

/*
#include <stddef.h>
#include <stdint.h>

// The first fields of the two structs of Arrow's C data interface (https://arrow.apache.org/docs/format/CDataInterface.html).
typedef struct drover_arrow_schema {
	const char *format, *name, *metadata;
	int64_t flags, n_children;
	struct drover_arrow_schema **children, *dictionary;
} drover_arrow_schema;

typedef struct drover_arrow_array {
	int64_t length, null_count, offset, n_buffers, n_children;
	const void **buffers;
	struct drover_arrow_array **children, *dictionary;
} drover_arrow_array;

// drover_settle_structs returns 0 where an offset is within a byte of a bitmap.
static int drover_settle_structs(void *array, void *schema) {
	drover_arrow_array *a = array;
	drover_arrow_schema *s = schema;
	if (s->format[0] == '+' && s->format[1] == 's' && a->offset != 0) {
		if (a->offset % 8 != 0) return 0;
		if (a->n_buffers > 0 && a->buffers[0] != NULL) a->buffers[0] = (const char *)a->buffers[0] + a->offset / 8;
		a->offset = 0;
	}
	for (int64_t i = 0; i < a->n_children && i < s->n_children; i++) {
		if (!drover_settle_structs(a->children[i], s->children[i])) return 0;
	}
	return 1;
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

// settleStructs takes the offset off each struct of an exported array, and moves its validity bitmap instead. arrow-go exports the fields of a
// slice of a struct as slices already, and the struct with its offset, which by the format counts for the fields once more: DuckDB would read other
// rows' values, or beyond the buffers.
func settleStructs(array, schema unsafe.Pointer) error {
	if C.drover_settle_structs(array, schema) == 0 {
		return errors.New("a slice of a struct begins within a byte of its validity bitmap")
	}
	return nil
}
