package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover/connector"
	"github.com/jackc/pgx/v5"
)

// part is an index, constraint or statistics object of a target, with what builds its twin on the staging table. The twin has a
// name of drover's own until the old table is gone.
type part struct {
	schema, name, twin string
	build              []string // statements, in order
	rename             []string // statements for after the swap, comments included
}

// parts reads a target's parts from the catalog. Their order, and so their twins' names, is that of their names.
func parts(ctx context.Context, conn *pgx.Conn, run connector.Run, st sinkState) ([]part, error) {
	var all []part
	err := withCatalogPath(ctx, conn, func() error {
		for _, read := range []func(context.Context, *pgx.Conn, sinkState, func() string) ([]part, error){indexParts, exclusionParts, statisticsParts} {
			found, err := read(ctx, conn, st, func() string { return fmt.Sprintf("%s_%d", stagingName(run), len(all)) })
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		return nil
	})
	return all, wrap(err, "read the indexes and constraints of "+st.Target.String())
}

// indexPart is an index, and the primary key or unique constraint that it serves.
type indexPart struct {
	name, def, head, space, constraint        string
	clustered, identity, deferrable, deferred bool
	comment, constraintComment                *string
	targets                                   []string
}

const indexSQL = `
SELECT x.relname::text, pg_get_indexdef(x.oid), format('INDEX %I ON %I.%I', x.relname, n.nspname, c.relname), coalesce(s.spcname::text, ''),
	coalesce(k.contype::text, ''), coalesce(k.condeferrable, false), coalesce(k.condeferred, false), i.indisclustered, i.indisreplident,
	obj_description(x.oid, 'pg_class'), obj_description(k.oid, 'pg_constraint'),
	ARRAY(SELECT format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget) FROM pg_attribute a
		WHERE a.attrelid = x.oid AND a.attstattarget >= 0 ORDER BY a.attnum)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace
LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid AND k.contype IN ('p', 'u')
WHERE i.indrelid = $1 AND i.indisvalid AND NOT EXISTS (SELECT FROM pg_constraint e WHERE e.conindid = x.oid AND e.conrelid = c.oid AND e.contype = 'x')
ORDER BY 1`

func indexParts(ctx context.Context, conn *pgx.Conn, st sinkState, twin func() string) ([]part, error) {
	rows, err := conn.Query(ctx, indexSQL, st.OID)
	if err != nil {
		return nil, err
	}
	indexes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x indexPart, err error) {
		err = row.Scan(&x.name, &x.def, &x.head, &x.space, &x.constraint, &x.deferrable, &x.deferred, &x.clustered, &x.identity,
			&x.comment, &x.constraintComment, &x.targets)
		return x, err
	})
	if err != nil {
		return nil, err
	}
	base := twin()
	var out []part
	for i, x := range indexes {
		p, err := x.part(st, base+"_"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (x indexPart) part(st sinkState, twin string) (part, error) {
	p := part{schema: st.Target.Schema, name: x.name, twin: twin}
	// "CREATE [UNIQUE] INDEX name ON schema.table USING ...": ruleutils.c, pg_get_indexdef_worker.
	create, rest, ok := strings.Cut(x.def, x.head+" USING ")
	if !ok {
		return p, fmt.Errorf("cannot read the definition of index %s: %s", x.name, x.def)
	}
	table := st.Into.sql()
	name := pgx.Identifier{p.schema, twin}.Sanitize()
	p.build = append(p.build, "SET LOCAL default_tablespace = "+literal(x.space),
		create+"INDEX "+quote(twin)+" ON "+table+" USING "+rest)
	for _, t := range x.targets {
		p.build = append(p.build, "ALTER INDEX "+name+" "+t)
	}
	if x.constraint != "" {
		kind := map[string]string{"p": "PRIMARY KEY", "u": "UNIQUE"}[x.constraint]
		p.build = append(p.build, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", table, quote(twin), kind, quote(twin), deferral(x.deferrable, x.deferred)))
		p.rename = append(p.rename, renameConstraint(st, twin, x.name))
	} else {
		p.rename = append(p.rename, "ALTER INDEX "+name+" RENAME TO "+quote(x.name))
	}
	if x.clustered {
		p.build = append(p.build, "ALTER TABLE "+table+" CLUSTER ON "+quote(twin))
	}
	if x.identity {
		p.build = append(p.build, "ALTER TABLE "+table+" REPLICA IDENTITY USING INDEX "+quote(twin))
	}
	p.rename = appendComment(p.rename, "INDEX "+pgx.Identifier{p.schema, x.name}.Sanitize(), x.comment)
	p.rename = appendComment(p.rename, "CONSTRAINT "+quote(x.name)+" ON "+st.Target.sql(), x.constraintComment)
	return p, nil
}

func deferral(deferrable, deferred bool) string {
	switch {
	case deferred:
		return " DEFERRABLE INITIALLY DEFERRED"
	case deferrable:
		return " DEFERRABLE"
	}
	return ""
}

func renameConstraint(st sinkState, from, to string) string {
	return fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", st.Target.sql(), quote(from), quote(to))
}

func appendComment(sql []string, object string, comment *string) []string {
	if comment == nil {
		return sql
	}
	return append(sql, "COMMENT ON "+object+" IS "+literal(*comment))
}

// exclusionParts lists exclusion constraints: they are built with their index, in one statement.
func exclusionParts(ctx context.Context, conn *pgx.Conn, st sinkState, twin func() string) ([]part, error) {
	rows, err := conn.Query(ctx, `
		SELECT k.conname::text, pg_get_constraintdef(k.oid), coalesce(s.spcname::text, ''), obj_description(k.oid, 'pg_constraint')
		FROM pg_constraint k JOIN pg_class x ON x.oid = k.conindid LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace
		WHERE k.conrelid = $1 AND k.contype = 'x' ORDER BY 1`, st.OID)
	if err != nil {
		return nil, err
	}
	base, n := twin(), 0
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (part, error) {
		var name, def, space string
		var comment *string
		err := row.Scan(&name, &def, &space, &comment)
		p := part{schema: st.Target.Schema, name: name, twin: base + "_x" + strconv.Itoa(n)}
		n++
		p.build = []string{
			"SET LOCAL default_tablespace = " + literal(space),
			fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", st.Into.sql(), quote(p.twin), def),
		}
		p.rename = appendComment([]string{renameConstraint(st, p.twin, name)}, "CONSTRAINT "+quote(name)+" ON "+st.Target.sql(), comment)
		return p, err
	})
}

// statisticsParts lists extended statistics.
func statisticsParts(ctx context.Context, conn *pgx.Conn, st sinkState, twin func() string) ([]part, error) {
	rows, err := conn.Query(ctx, `
		SELECT n.nspname::text, x.stxname::text, pg_get_statisticsobjdef(x.oid), format('CREATE STATISTICS %I.%I', n.nspname, x.stxname),
			format(' FROM %I.%I', tn.nspname, c.relname), coalesce(x.stxstattarget::int, -1),
			quote_ident(pg_get_userbyid(x.stxowner)), obj_description(x.oid, 'pg_statistic_ext')
		FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace JOIN pg_class c ON c.oid = x.stxrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
		WHERE x.stxrelid = $1 ORDER BY 1, 2`, st.OID)
	if err != nil {
		return nil, err
	}
	base, n := twin(), 0
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (part, error) {
		var def, head, tail, owner string
		var target int
		var comment *string
		p := part{twin: base + "_s" + strconv.Itoa(n)}
		n++
		if err := row.Scan(&p.schema, &p.name, &def, &head, &tail, &target, &owner, &comment); err != nil {
			return p, err
		}
		// "CREATE STATISTICS schema.name (kinds) ON columns FROM schema.table": ruleutils.c, pg_get_statisticsobj_worker.
		middle, ok := strings.CutPrefix(def, head)
		middle, ok2 := strings.CutSuffix(middle, tail)
		if !ok || !ok2 {
			return p, fmt.Errorf("cannot read the definition of statistics %s: %s", p.name, def)
		}
		twin, name := pgx.Identifier{p.schema, p.twin}.Sanitize(), pgx.Identifier{p.schema, p.name}.Sanitize()
		p.build = []string{"CREATE STATISTICS " + twin + middle + " FROM " + st.Into.sql()}
		if target >= 0 {
			p.build = append(p.build, fmt.Sprintf("ALTER STATISTICS %s SET STATISTICS %d", twin, target))
		}
		p.rename = []string{"ALTER STATISTICS " + twin + " RENAME TO " + quote(p.name), "ALTER STATISTICS " + name + " OWNER TO " + owner}
		p.rename = appendComment(p.rename, "STATISTICS "+name, comment)
		return p, nil
	})
}
