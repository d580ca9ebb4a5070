package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/droverdata/drover"
	"github.com/jackc/pgx/v5"
)

// tableName is a table's schema and name, unquoted.
type tableName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// sql returns the quoted name.
func (n tableName) sql() string { return pgx.Identifier{n.Schema, n.Name}.Sanitize() }

func (n tableName) String() string { return n.Schema + "." + n.Name }

// quote quotes an identifier.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a text, for statements that take no parameters.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// quoteAll quotes identifiers and joins them with commas.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

// target is a sink's table as the catalog describes it.
type target struct {
	Name tableName
	// OID is 0 where the table does not exist.
	OID         uint32
	Kind        string // pg_class.relkind
	Persistence string // pg_class.relpersistence
	Secured     bool   // row-level security applies to this role
	Rules       bool   // has rewrite rules
	System      bool   // lives in a system schema
	Owned       bool   // this role has the owner's rights
	CanSelect, CanDelete, CanCreate,
	OwnerCanCreate bool // the last two: in the table's schema
	Role    string
	Columns []targetColumn
}

// targetColumn is one column of an existing target.
type targetColumn struct {
	column
	hasValue             bool // it gets a value by itself: from a default, an identity or its domain
	canInsert, canUpdate bool
}

// findTarget looks up the table that the job names. An absent table has OID 0 and the name that it would get.
func findTarget(ctx context.Context, conn *pgx.Conn, text string) (*target, error) {
	name, err := resolveName(ctx, conn, text)
	if err != nil {
		return nil, err
	}
	return describeTarget(ctx, conn, name)
}

// resolveName finds the schema and name that text means here.
func resolveName(ctx context.Context, conn *pgx.Conn, text string) (tableName, error) {
	var parts []string
	if err := conn.QueryRow(ctx, `SELECT parse_ident($1)`, text).Scan(&parts); err != nil {
		if hasState(err, "22023") {
			return tableName{}, drover.Errorf(drover.Invalid, "%q is not a table's name", text).WithField("table").
				WithHint(`write name or schema.name, with "quotes" around a part where SQL needs them`)
		}
		return tableName{}, wrap(err, "read the table's name")
	}
	switch len(parts) {
	case 2:
		return tableName{parts[0], parts[1]}, nil
	case 1:
	default:
		return tableName{}, drover.Errorf(drover.Invalid, "%q has %d parts; a table has a schema and a name", text, len(parts)).WithField("table")
	}
	// The first table of that name on the search path, or else the place where CREATE TABLE would put it.
	var schema *string
	err := conn.QueryRow(ctx, `SELECT coalesce((SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass(quote_ident($1))), current_schema()::text)`, parts[0]).Scan(&schema)
	if err != nil {
		return tableName{}, wrap(err, "look for table "+parts[0])
	}
	if schema == nil {
		return tableName{}, refuse("no schema of the search path exists, so there is no place for table %s", parts[0]).
			WithField("table").WithHint("name the schema: table: SCHEMA.%s", parts[0])
	}
	return tableName{*schema, parts[0]}, nil
}

const describeTargetSQL = `
SELECT coalesce(c.oid, 0)::int8, coalesce(c.relkind::text, ''), coalesce(c.relpersistence::text, ''),
	c.oid IS NOT NULL AND row_security_active(c.oid),
	EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
	n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') OR n.nspname LIKE 'pg\_temp\_%' OR n.nspname LIKE 'pg\_toast\_temp\_%',
	coalesce(pg_has_role(c.relowner, 'USAGE'), false),
	coalesce(has_table_privilege(c.oid, 'SELECT'), false),
	coalesce(has_table_privilege(c.oid, 'DELETE'), false),
	has_schema_privilege(n.oid, 'CREATE'),
	coalesce(has_schema_privilege(c.relowner, n.oid, 'CREATE'), false),
	current_user::text
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2
WHERE n.nspname = $1`

const columnRightsSQL = `
SELECT a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
	has_column_privilege(a.attrelid, a.attnum, 'INSERT'), has_column_privilege(a.attrelid, a.attnum, 'UPDATE')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum`

func describeTarget(ctx context.Context, conn *pgx.Conn, name tableName) (*target, error) {
	t := &target{Name: name}
	var oid int64
	err := conn.QueryRow(ctx, describeTargetSQL, name.Schema, name.Name).Scan(&oid, &t.Kind, &t.Persistence, &t.Secured, &t.Rules, &t.System,
		&t.Owned, &t.CanSelect, &t.CanDelete, &t.CanCreate, &t.OwnerCanCreate, &t.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, refuse("schema %s does not exist in the target database", name.Schema).WithField("table").
			WithHint("CREATE SCHEMA %s", quote(name.Schema))
	}
	if err != nil {
		return nil, wrap(err, "look up table "+name.String())
	}
	t.OID = uint32(oid)
	if t.OID == 0 {
		return t, nil
	}
	doing := "read the columns of " + name.String()
	tb := table{oid: t.OID}
	if err := tb.readColumns(ctx, conn); err != nil {
		return nil, wrap(err, doing)
	}
	rows, err := conn.Query(ctx, columnRightsSQL, oid)
	if err != nil {
		return nil, wrap(err, doing)
	}
	i := 0
	t.Columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (targetColumn, error) {
		c := targetColumn{column: tb.columns[i]}
		i++
		err := row.Scan(&c.notNull, &c.hasValue, &c.canInsert, &c.canUpdate)
		return c, err
	})
	return t, wrap(err, doing)
}

// column finds the column that an output column called name goes to: the one of that very name, else the only one that
// differs in case alone.
func (t *target) column(name string) *targetColumn {
	var folded *targetColumn
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.name == name {
			return c
		}
		if strings.EqualFold(c.name, name) {
			if folded != nil {
				return nil
			}
			folded = c
		}
	}
	return folded
}

// admissible refuses tables that no mode can write exactly once.
func (t *target) admissible() error {
	what := ""
	switch t.Kind {
	case "", "r", "p":
	case "v":
		what = "a view"
	case "m":
		what = "a materialized view"
	case "f":
		what = "a foreign table, whose rows cannot commit together with drover's receipts"
	default:
		what = "not a table"
	}
	switch {
	case what != "":
		return refuse("%s is %s", t.Name, what).WithField("table").WithHint("write a table")
	case t.System:
		return refuse("%s is in a system schema", t.Name).WithField("table").WithHint("name a table of your own: table: SCHEMA.NAME")
	case t.Persistence == "u":
		return refuse("%s is an unlogged table: it loses its rows in a crash, while the receipts say that they are there", t.Name).
			WithField("table").WithHint("ALTER TABLE %s SET LOGGED", t.Name.sql())
	case t.Secured:
		return refuse("row-level security applies to role %s on %s, and COPY cannot write under it", t.Role, t.Name).
			WithField("table").WithHint("use the table's owner, or a role with BYPASSRLS")
	case t.Rules:
		return refuse("%s has rewrite rules, which COPY does not apply", t.Name).WithField("table").
			WithHint("replace the rules by triggers, or write another table")
	}
	return nil
}
