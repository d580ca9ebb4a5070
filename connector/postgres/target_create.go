package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
)

// longestName is how many bytes of an identifier Postgres keeps.
const longestName = 63

// newColumns returns the columns of a table that will be created for output.
func newColumns(ctx context.Context, conn *pgx.Conn, output drover.Schema) ([]sinkColumn, error) {
	columns := make([]sinkColumn, 0, len(output))
	known := map[[2]string]foundType{} // many columns have few types
	for _, out := range output {
		if err := creatable(out.Name); err != nil {
			return nil, err
		}
		typ, collation, err := wireType(out)
		if err != nil {
			return nil, err
		}
		if untouched(out) {
			key := [2]string{typ, collation}
			found, ok := known[key]
			if !ok {
				if found, err = findType(ctx, conn, typ, collation); err != nil {
					return nil, err
				}
				known[key] = found
			}
			if err := found.serves(out, typ, collation); err != nil {
				return nil, err
			}
		}
		columns = append(columns, sinkColumn{Name: out.Name, Type: typ, Collation: collation, NotNull: out.NotNull, Wire: typ})
	}
	return columns, nil
}

func creatable(name string) error {
	switch {
	case name == "":
		return columnError(name, "a column has no name").WithHint("rename it")
	case len(name) > longestName:
		return columnError(name, "column %s has %d bytes in its name; Postgres keeps %d", name, len(name), longestName).WithHint("rename: {%s: ...}", name)
	case slices.Contains([]string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}, name):
		return columnError(name, "column %s has the name of a Postgres system column", name).WithHint("rename: {%s: ...}", name)
	}
	return nil
}

// foundType is what the target database has under the name of a source's type; nil where it has none.
type foundType struct {
	*pgType
	// collates says that the collation is there too.
	collates bool
}

// findType looks up a type and a collation by their names.
func findType(ctx context.Context, conn *pgx.Conn, typ, collation string) (f foundType, err error) {
	var oid uint32
	err = conn.QueryRow(ctx, `SELECT coalesce(to_regtype($1)::oid, 0), $2 = '' OR EXISTS (SELECT FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
		WHERE $2 IN (quote_ident(c.collname), quote_ident(n.nspname) || '.' || quote_ident(c.collname)))`, typ, collation).Scan(&oid, &f.collates)
	if hasState(err, "42601") { // it cannot be the name of one here
		return f, nil
	}
	if err != nil {
		return f, wrap(err, "look up type "+typ)
	}
	if oid == 0 {
		return f, nil
	}
	types, err := readTypes(ctx, conn, []typeRef{{oid, -1}})
	if err != nil {
		return f, wrap(err, "look up type "+typ)
	}
	f.pgType = types[0]
	return f, nil
}

// serves refuses a source column of a type that the target database does not have, or has as another one.
func (f foundType) serves(out drover.Column, typ, collation string) error {
	convert := fmt.Sprintf("cast: {%s: VARCHAR}", out.Name)
	if out.Type == "" { // no step can read it
		convert = fmt.Sprintf("cast it in source.postgres.query: %s::text", quote(out.Name))
	}
	switch {
	case f.pgType == nil:
		return columnError(out.Name, "column %s is of type %s, which the target database does not have", out.Name, typ).
			WithHint("create the type or its extension there, or %s", convert)
	case !f.collates:
		return columnError(out.Name, "column %s has the collation %s, which the target database does not have", out.Name, collation).
			WithHint("create the collation there, or %s", convert)
	case f.pseudo:
		return columnError(out.Name, "column %s is of the pseudo-type %s, which no table's column can have", out.Name, typ).
			WithHint("leave it out, or %s", convert)
	}
	return sameMeaning(f.pgType, out, typ)
}

// createTable returns the statement that creates a table of columns.
func createTable(name string, columns []sinkColumn, key []string) string {
	defs := make([]string, 0, len(columns)+1)
	for _, c := range columns {
		d := quote(c.Name) + " " + c.Type
		if c.Collation != "" {
			d += " COLLATE " + c.Collation
		}
		if c.NotNull {
			d += " NOT NULL"
		}
		defs = append(defs, d)
	}
	if len(key) > 0 {
		defs = append(defs, "PRIMARY KEY ("+quoteAll(key)+")")
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)", name, strings.Join(defs, ", "))
}

// tempTable returns the statement that creates a transaction's own table, called pg_temp.NAME, of columns in the types that they arrive in
// (wire), or in the target's.
func tempTable(name string, columns []sinkColumn, wire bool) string {
	defs := make([]string, len(columns))
	for i, c := range columns {
		defs[i] = quote(c.Name) + " " + c.Type
		switch {
		case wire && c.Cast:
			defs[i] = quote(c.Name) + " " + c.Wire
		case c.Collation != "":
			defs[i] += " COLLATE " + c.Collation
		}
	}
	return fmt.Sprintf("CREATE TABLE %s (%s) ON COMMIT DROP", name, strings.Join(defs, ", "))
}
