package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// column is one column of a table or query, from the catalogs.
type column struct {
	name string
	// native is the type as SQL declares it: "numeric(12,2)", "mood[]".
	native string
	typ    *pgType
	// collation is the column's collation, quoted and qualified; "" for the type's default.
	collation string
	// bytewise says that equal texts of the column are equal bytes, and ordered that their bytes also decide which comes first.
	bytewise, ordered bool
	notNull           bool
	// generated columns are computed by the server. Identity "a" is always, "d" by default, "" none.
	generated  bool
	identity   string
	hasDefault bool
}

// table is one relation, from the catalogs.
type table struct {
	oid          uint32
	schema, name string
	// kind is pg_class.relkind: r table, p partitioned, v view, m materialised view, f foreign table.
	kind    string
	columns []column
	// bytes is the size on disk, TOAST included, without indexes; rows the planner's estimate, -1 where it was never analysed.
	bytes, rows int64
	// pages is the number of heap pages of the largest leaf.
	pages   int64
	indexes []index
	// rowSecurity says that policies hide rows from this role.
	rowSecurity bool
	// inherits says that other tables' rows belong to it without partitioning.
	inherits bool
}

// sql returns the table's name, qualified and quoted.
func (t *table) sql() string { return quote(t.schema) + "." + quote(t.name) }

// index is a valid index over plain columns.
type index struct {
	name            string
	columns         []string
	unique, primary bool
	// partial indexes leave rows out.
	partial bool
	// natural is an order of the first column that is its own: by its collation, and its type's operators.
	natural bool
	method  string
}

// key returns the columns of the primary key, else of a unique index over columns that are never NULL, else nil.
func (t *table) key() []string {
	if keys := t.keys(); len(keys) > 0 {
		return keys[0]
	}
	return nil
}

// keys returns the columns of every unique index over columns that are never NULL, the primary key's first.
func (t *table) keys() [][]string {
	var found [][]string
	for _, x := range t.indexes {
		if x.partial || !x.unique || x.method != "btree" {
			continue
		}
		if x.primary {
			found = slices.Insert(found, 0, x.columns)
			continue
		}
		notNull := true
		for _, name := range x.columns {
			c := find(t.columns, name)
			notNull = notNull && c != nil && c.notNull
		}
		if notNull {
			found = append(found, x.columns)
		}
	}
	return found
}

// ledBy returns whether an index can find the rows of one value of the column.
func (t *table) ledBy(name string) bool {
	for _, x := range t.indexes {
		if !x.partial && len(x.columns) > 0 && x.columns[0] == name && (x.method == "btree" || x.method == "hash") {
			return true
		}
	}
	return false
}

// find returns the column called name exactly, or nil.
func find(columns []column, name string) *column {
	for i := range columns {
		if columns[i].name == name {
			return &columns[i]
		}
	}
	return nil
}

// findTable reads a table's description from the catalogs. name is "name" or "schema.name", quoted where SQL needs it.
// A table that does not exist gives nil.
func findTable(ctx context.Context, conn *pgx.Conn, name string) (*table, error) {
	doing := "look up " + name
	t := &table{}
	err := conn.QueryRow(ctx, `
		SELECT c.oid, n.nspname, c.relname, c.relkind::text, row_security_active(c.oid), c.relkind <> 'p' AND c.relhassubclass
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, name).
		Scan(&t.oid, &t.schema, &t.name, &t.kind, &t.rowSecurity, &t.inherits)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap(err, doing)
	}
	if err := t.readSize(ctx, conn); err != nil {
		return nil, wrap(err, "size "+name)
	}
	if err := t.readColumns(ctx, conn); err != nil {
		return nil, wrap(err, doing)
	}
	if err := t.readIndexes(ctx, conn); err != nil {
		return nil, wrap(err, "look up the indexes of "+name)
	}
	return t, nil
}

// missingTable is the error for a table that is not there; it names one that differs in case alone.
func missingTable(ctx context.Context, conn *pgx.Conn, name string) error {
	e := drover.Errorf(drover.Refused, "table %s does not exist, or is not visible to this role", name).WithField("table").
		WithHint("name it as schema.table, with quotes around mixed case")
	bare := strings.ToLower(strings.ReplaceAll(name[strings.LastIndex(name, ".")+1:], `"`, ""))
	var other string
	err := conn.QueryRow(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE lower(c.relname) = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		ORDER BY n.nspname IN ('pg_catalog', 'information_schema'), 1 LIMIT 1`, bare).Scan(&other)
	if err == nil {
		e.Hint = "Did you mean " + other + "?"
	}
	return e
}

func (t *table) readSize(ctx context.Context, conn *pgx.Conn) error {
	// A partitioned table's rows are in its leaves, an inheritance parent's in its children too.
	return conn.QueryRow(ctx, `
		WITH RECURSIVE leaf(oid) AS (
			SELECT $1::oid UNION SELECT i.inhrelid FROM leaf JOIN pg_inherits i ON i.inhparent = leaf.oid)
		SELECT coalesce(sum(CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) END), 0)::int8,
			CASE WHEN bool_or(c.relkind IN ('r', 'm') AND c.reltuples < 0) THEN -1
				ELSE coalesce(sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm')), 0) END::int8,
			coalesce(max(CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) END), 0)::int8 / current_setting('block_size')::int8
		FROM leaf JOIN pg_class c ON c.oid = leaf.oid`, t.oid).Scan(&t.bytes, &t.rows, &t.pages)
}

func (t *table) readColumns(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text <> '',
			a.attidentity::text, a.atthasdef,
			CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation THEN format('%I.%I', n.nspname, l.collname) ELSE '' END,
			coalesce(l.collisdeterministic, false),
			coalesce(n.nspname = 'pg_catalog' AND (l.collname IN ('C', 'POSIX') OR l.collname = 'default' AND
				d.datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c'), false) -- the provider since 15
		FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid JOIN pg_database d ON d.datname = current_database()
			LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY a.attnum`, t.oid)
	if err != nil {
		return err
	}
	var refs []typeRef
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (column, error) {
		var c column
		var ref typeRef
		err := row.Scan(&c.name, &ref.oid, &ref.typmod, &c.native, &c.notNull, &c.generated, &c.identity, &c.hasDefault, &c.collation, &c.bytewise, &c.ordered)
		refs = append(refs, ref)
		return c, err
	})
	if err != nil {
		return err
	}
	types, err := readTypes(ctx, conn, refs)
	for i := range types {
		t.columns[i].typ = types[i]
	}
	return err
}

func (t *table) readIndexes(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT c.relname, x.indisunique AND x.indimmediate, x.indisprimary, x.indpred IS NOT NULL, m.amname,
			coalesce((SELECT f.attcollation = x.indcollation[0] AND o.opcdefault FROM pg_attribute f, pg_opclass o
				WHERE f.attrelid = x.indrelid AND f.attnum = x.indkey[0] AND f.attnum > 0 AND o.oid = x.indclass[0]), false),
			array_to_json(ARRAY(SELECT coalesce(a.attname::text, '') FROM unnest(x.indkey[0:x.indnkeyatts - 1]) WITH ORDINALITY k(attnum, i)
				LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum AND k.attnum > 0 ORDER BY k.i))::text
		FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am m ON m.oid = c.relam
		WHERE x.indrelid = $1 AND x.indisvalid AND x.indisready
		ORDER BY x.indisprimary DESC, c.relname`, t.oid)
	if err != nil {
		return err
	}
	t.indexes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (index, error) {
		var x index
		var names string
		if err := row.Scan(&x.name, &x.unique, &x.primary, &x.partial, &x.method, &x.natural, &names); err != nil {
			return x, err
		}
		return x, decodeNames(names, &x)
	})
	return err
}

// describeQuery returns the columns of a query. Nothing is known of their nullability.
func describeQuery(ctx context.Context, conn *pgx.Conn, query string) ([]column, error) {
	stmt, err := conn.PgConn().Prepare(ctx, "", "SELECT * FROM ("+query+"\n) AS q", nil)
	if err != nil {
		return nil, wrap(err, "prepare the query")
	}
	if len(stmt.ParamOIDs) > 0 {
		return nil, drover.Errorf(drover.Invalid, "the query has %d parameters ($1 ...) and nothing to fill them with", len(stmt.ParamOIDs))
	}
	return describeFields(ctx, conn, stmt.Fields)
}

func describeFields(ctx context.Context, conn *pgx.Conn, fields []pgconn.FieldDescription) ([]column, error) {
	columns := make([]column, len(fields))
	refs := make([]typeRef, len(fields))
	seen := map[string]bool{}
	for i, f := range fields {
		name := f.Name
		if name == "" || seen[strings.ToLower(name)] {
			return nil, drover.Errorf(drover.Invalid, "the query has two columns called %q", name).WithHint("give one of them another name: ... AS other_name")
		}
		seen[strings.ToLower(name)] = true
		columns[i].name = name
		refs[i] = typeRef{f.DataTypeOID, f.TypeModifier}
	}
	types, err := readTypes(ctx, conn, refs)
	if err != nil {
		return nil, wrap(err, "look up the types of the query")
	}
	oids, typmods := make([]uint32, len(refs)), make([]int32, len(refs))
	for i, r := range refs {
		oids[i], typmods[i] = r.oid, r.typmod
	}
	rows, err := conn.Query(ctx, "SELECT format_type(o, m) FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS t(o, m, i) ORDER BY i", oids, typmods)
	if err != nil {
		return nil, wrap(err, "name the types of the query")
	}
	natives, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, wrap(err, "name the types of the query")
	}
	for i, typ := range types {
		columns[i].typ, columns[i].native = typ, natives[i]
	}
	return columns, nil
}
