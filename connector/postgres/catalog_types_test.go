package postgres

import (
	"strings"
	"testing"
)

// Compiling a statement costs the server more than any look-up in its catalog.
func TestTypesAreLookedUpWithoutCompilation(t *testing.T) {
	_, conn := database(t, "SET jit = on")
	const columns = "{16,17,20,21,23,25,700,701,1042,1043,1082,1114,1184,1700,2950,3802,1009,16,17,20,21,23,25,700,701,1042,1043,1082,1114,1184,1700,2950,3802}"
	plan := dump(t, conn, "EXPLAIN "+strings.ReplaceAll(typesQuery, "$1", literal(columns)))
	if strings.Contains(plan, "JIT") {
		t.Error(plan)
	}
}
