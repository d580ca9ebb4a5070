package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// typeRef is a type as a column refers to it.
type typeRef struct {
	oid    uint32
	typmod int32
}

// typeRow is one row of pg_type.
type typeRow struct {
	pgType
	baseOID, elemOID uint32
	baseTypmod       int32
}

// typesQuery reads the types of an array of OIDs, with their domains' bases and their elements. The server takes a recursive query for a large one and an
// array for a short one: joined to the recursion, the statement looks so dear that it is compiled (jit), which takes a thousand times as long as
// the statement.
const typesQuery = `
	WITH RECURSIVE need(oid) AS (
		SELECT unnest($1::oid[])
		UNION SELECT x.oid FROM need JOIN pg_type t ON t.oid = need.oid, unnest(ARRAY[t.typbasetype, t.typelem]) x(oid) WHERE x.oid <> 0)
	SELECT t.oid, t.typbasetype, t.typtypmod, CASE WHEN s.prosrc = 'array_send' THEN t.typelem ELSE 0 END,
		CASE WHEN t.typtype = 'd' THEN format('%I.%I', n.nspname, t.typname) ELSE format_type(t.oid, -1) END,
		coalesce(s.prosrc, ''), t.typreceive <> 0,
		EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod WHERE o.opcdefault AND m.amname = 'btree' AND o.opcintype = t.oid),
		EXISTS (SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod WHERE o.opcdefault AND m.amname = 'hash' AND o.opcintype = t.oid),
		t.typtype::text,
		coalesce('a composite of ' || (SELECT string_agg(CASE WHEN f.oid < 16384 THEN format_type(f.oid, a.atttypmod) ELSE f.typname END, ', ' ORDER BY a.attnum)
			FROM pg_attribute a JOIN pg_type f ON f.oid = a.atttypid WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
			'a range of ' || (SELECT CASE WHEN f.oid < 16384 THEN format_type(f.oid, NULL) ELSE f.typname END
			FROM pg_range r JOIN pg_type f ON f.oid = r.rngsubtype WHERE t.oid::text IN (r.rngtypid::text, to_jsonb(r)->>'rngmultitypid')), '')
	FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_proc s ON s.oid = t.typsend
	WHERE t.oid = ANY (ARRAY(SELECT oid FROM need))`

// readTypes resolves types with their domains' bases and their elements, in the order of refs.
func readTypes(ctx context.Context, conn *pgx.Conn, refs []typeRef) ([]*pgType, error) {
	oids := make([]string, len(refs))
	for i, r := range refs {
		oids[i] = fmt.Sprint(r.oid)
	}
	rows, err := conn.Query(ctx, typesQuery, "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return nil, fmt.Errorf("look up types: %w", err)
	}
	found := map[uint32]*typeRow{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var t typeRow
		var hashed bool
		var class string
		err := row.Scan(&t.oid, &t.baseOID, &t.baseTypmod, &t.elemOID, &t.name, &t.send, &t.receives, &t.ordered, &hashed, &class, &t.made)
		if t.send == "varcharsend" || class == "e" || class == "r" || class == "c" || t.elemOID != 0 {
			t.ordered = true // by an operator class of text, or of a pseudo-type
		}
		t.equal = t.ordered || hashed
		t.pseudo = class == "p"
		t.wire = wires[t.send]
		found[t.oid] = &t
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up types: %w", err)
	}
	types := make([]*pgType, len(refs))
	for i, r := range refs {
		if types[i], err = resolve(found, r); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// resolve builds the type of one reference.
func resolve(found map[uint32]*typeRow, r typeRef) (*pgType, error) {
	row, ok := found[r.oid]
	if !ok {
		return nil, fmt.Errorf("type %d is not in the catalog", r.oid)
	}
	t := row.pgType
	t.typmod = r.typmod
	t.base = &t
	if row.baseOID != 0 {
		base, err := resolve(found, typeRef{row.baseOID, row.baseTypmod})
		if err != nil {
			return nil, err
		}
		t.base, t.equal, t.ordered, t.made = base.base, base.equal, base.ordered, base.made
		if t.made == "" && base.oid < firstUserOID { // others' names depend on the search path
			t.made = base.name
		}
		return &t, nil
	}
	if row.elemOID != 0 {
		elem, err := resolve(found, typeRef{row.elemOID, -1})
		if err != nil {
			return nil, err
		}
		t.elem, t.made = elem, elem.made
		t.equal, t.ordered = elem.equal, elem.ordered
	}
	return &t, nil
}

// decodeNames reads an index's columns. One that is an expression ends the part that names columns: it cannot be a key.
func decodeNames(names string, x *index) error {
	if err := json.Unmarshal([]byte(names), &x.columns); err != nil {
		return fmt.Errorf("read the columns of index %s: %w", x.name, err)
	}
	for i, n := range x.columns {
		if n == "" {
			x.columns, x.unique, x.primary = x.columns[:i], false, false
			break
		}
	}
	return nil
}
