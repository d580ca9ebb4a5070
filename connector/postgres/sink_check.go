package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/pgident"
	"github.com/jackc/pgx/v5"
)

// Check implements connector.Sink. Its identity is the database's and the table's name; that the table is still the same one,
// by OID and definition, is Begin's to say, because a run may itself create or swap it.
func (s *tableSink) Check(ctx context.Context, output drover.Schema) (connector.Check, error) {
	var check connector.Check
	conn, err := s.acquire(ctx)
	if err != nil {
		return check, err
	}
	defer s.release(conn)
	identity, err := pgident.Database(ctx, conn)
	if err != nil {
		return check, wrap(err, "look at the target")
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return check, wrap(err, "look at the target")
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it only read
	if err := s.writableServer(ctx, conn); err != nil {
		return check, err
	}
	d, err := s.design(ctx, conn, connector.Run{UID: strings.Repeat("0", 32)}, output)
	if err != nil {
		return check, err
	}
	if !s.env.Resume {
		if err := s.refuseRows(ctx, conn, d.state); err != nil {
			return check, err
		}
	}
	check.Identity = identity + "/" + d.state.Target.sql()
	check.Notes = d.notes
	if !s.env.Resume {
		lines, err := s.stray(ctx, conn, d.state.Target)
		if err != nil {
			return check, err
		}
		check.Notes = append(check.Notes, lines...)
	}
	for _, c := range d.state.Columns {
		check.Types = append(check.Types, c.Type)
	}
	return check, nil
}

// writableServer refuses servers that take no writes, and roles that cannot keep receipts.
func (s *tableSink) writableServer(ctx context.Context, conn *pgx.Conn) error {
	var standby, readOnly bool
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool`).Scan(&standby, &readOnly)
	switch {
	case err != nil:
		return wrap(err, "ask whether the server takes writes")
	case standby:
		return refuse("%s is a read-only replica", s.spec.URL).WithField("url").WithHint("connect to its primary")
	case readOnly:
		return refuse("transactions of this role on %s are read-only", s.spec.URL).WithField("url").
			WithHint("ALTER ROLE .. RESET default_transaction_read_only, or use another role")
	}
	o, err := s.lookUpOwn(ctx, conn)
	if err != nil {
		return err
	}
	return o.usable(s.schema)
}

// design is what a sink will do, decided from the catalog.
type design struct {
	state sinkState
	notes []string
}

func (d *design) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// design decides how the output goes into the target, and refuses what can be refused.
func (s *tableSink) design(ctx context.Context, conn *pgx.Conn, run connector.Run, output drover.Schema) (*design, error) {
	t, err := findTarget(ctx, conn, s.spec.Table)
	if err != nil {
		return nil, err
	}
	d := &design{state: sinkState{Mode: s.mode, Method: direct, Target: t.Name, Into: t.Name, OID: t.OID}}
	if t.OID == 0 {
		err = s.designNew(ctx, conn, d, t, run, output)
	} else {
		err = s.designExisting(ctx, conn, d, t, run, output)
	}
	if err != nil {
		return nil, err
	}
	if s.mode != Upsert && !casts(d.state.Columns) {
		return d, nil
	}
	var temporary bool
	if err := conn.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'TEMP')`).Scan(&temporary); err != nil {
		return nil, wrap(err, "look up privileges")
	}
	if !temporary {
		return nil, refuse("role %s may not create temporary tables, which casts and upsert need", t.Role).WithHint("GRANT TEMPORARY ON DATABASE .. TO %s", quote(t.Role))
	}
	return d, nil
}

func (s *tableSink) designNew(ctx context.Context, conn *pgx.Conn, d *design, t *target, run connector.Run, output drover.Schema) error {
	if !t.CanCreate {
		return refuse("%s does not exist, and role %s may not create tables in schema %s", t.Name, t.Role, t.Name.Schema).
			WithField("table").WithHint("GRANT CREATE ON SCHEMA %s TO %s", quote(t.Name.Schema), quote(t.Role))
	}
	if t.System {
		return t.admissible()
	}
	if len(t.Name.Name) > longestName {
		return refuse("table name %s has %d bytes; Postgres keeps %d", t.Name.Name, len(t.Name.Name), longestName).WithField("table")
	}
	var err error
	if d.state.Columns, err = newColumns(ctx, conn, output); err != nil {
		return err
	}
	if s.mode == Upsert {
		if err := s.designKey(ctx, conn, d, nil, output); err != nil {
			return err
		}
	}
	if s.mode == Replace {
		d.state.Method, d.state.Into.Name = rename, stagingName(run)
	}
	d.state.Created = s.mode != Replace
	d.state.Prepare = []string{createTable(d.state.Into.sql(), d.state.Columns, d.state.Key)}
	d.note("creates it: %s", createTable(t.Name.sql(), d.state.Columns, d.state.Key))
	return nil
}

func (s *tableSink) designExisting(ctx context.Context, conn *pgx.Conn, d *design, t *target, run connector.Run, output drover.Schema) error {
	if err := t.admissible(); err != nil {
		return err
	}
	updates := s.mode == Upsert && s.spec.OnConflict != "ignore"
	var err error
	if d.state.Columns, d.notes, err = matchTarget(ctx, conn, t, output, updates); err != nil {
		return err
	}
	if (s.mode == Error || s.mode == Upsert) && !t.CanSelect {
		return refuse("role %s may not read %s, which mode %s needs", t.Role, t.Name, s.mode).WithField("table").
			WithHint("GRANT SELECT ON %s TO %s", t.Name.sql(), quote(t.Role))
	}
	switch s.mode {
	case Upsert:
		if err := s.designKey(ctx, conn, d, t, output); err != nil || !updates {
			return err
		}
		key := quote(d.state.Key[0])
		return replicates(ctx, conn, t, "UPDATE "+t.Name.sql()+" SET "+key+" = "+key)
	case Replace:
		return s.designReplace(ctx, conn, d, t, run)
	}
	return s.notePublications(ctx, conn, d)
}

// refuseRows refuses a table that has rows, in mode error.
func (s *tableSink) refuseRows(ctx context.Context, conn *pgx.Conn, st sinkState) error {
	if st.Mode != Error || st.OID == 0 {
		return nil
	}
	var rows bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+st.Target.sql()+")").Scan(&rows); err != nil {
		return wrap(err, "look for rows in "+st.Target.String())
	}
	if !rows {
		return nil
	}
	return refuse("%s has rows already, and the mode is error", st.Target).WithField("mode").
		WithHint("add mode: append, replace or upsert, or name another table")
}

// notePublications warns that receipts are replicated too, where a publication covers all tables.
func (s *tableSink) notePublications(ctx context.Context, conn *pgx.Conn, d *design) error {
	names, err := broadPublications(ctx, conn, s.schema)
	if len(names) > 0 {
		slices.Sort(names)
		d.note("publication %s also sends drover's receipts: its subscribers need the tables receipt and gate in schema %s", strings.Join(names, ", "), s.schema)
	}
	return err
}
