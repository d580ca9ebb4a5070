package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestCheckRefusals(t *testing.T) {
	u, _ := database(t, `
		CREATE TABLE plain (id bigint, name text);
		CREATE TABLE filled (id bigint); INSERT INTO filled VALUES (1);
		CREATE TABLE strict (id bigint, owner text NOT NULL);
		CREATE TABLE generated (id bigint, double bigint GENERATED ALWAYS AS (id * 2) STORED);
		CREATE TABLE always (id bigint GENERATED ALWAYS AS IDENTITY);
		CREATE UNLOGGED TABLE fleeting (id bigint);
		CREATE VIEW v AS SELECT * FROM plain;
		CREATE MATERIALIZED VIEW m AS SELECT * FROM plain;
		CREATE SEQUENCE q;
		CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE far (id bigint) SERVER srv;
		CREATE TABLE ruled (id bigint); CREATE RULE r AS ON INSERT TO ruled DO ALSO NOTHING;
		CREATE TABLE parent (id bigint PRIMARY KEY); CREATE TABLE child (id bigint REFERENCES parent ON DELETE CASCADE);
		CREATE TABLE elder (id bigint); CREATE TABLE heir () INHERITS (elder);
		CREATE TABLE unkeyed (id bigint); CREATE PUBLICATION p FOR TABLE unkeyed;
		CREATE UNIQUE INDEX ON plain (id) WHERE id > 0; CREATE UNIQUE INDEX ON plain ((id + 1));`)
	id := "SELECT 1::BIGINT AS id"
	for name, c := range map[string]struct {
		spec   Sink
		output string
		texts  []string
	}{
		"bad name":                  {Sink{Table: "a.b.c.d"}, id, []string{"4 parts"}},
		"no name":                   {Sink{Table: "a b"}, id, []string{"not a table's name"}},
		"no schema":                 {Sink{Table: "nowhere.t"}, id, []string{"schema nowhere does not exist", `CREATE SCHEMA "nowhere"`}},
		"system table":              {Sink{Table: "pg_class", Mode: Append}, "SELECT 'x' AS relname", []string{"system schema"}},
		"new system table":          {Sink{Table: "pg_catalog.mine", Mode: Append}, id, []string{"system schema"}},
		"mode error with rows":      {Sink{Table: "filled"}, id, []string{"has rows already", "mode: append"}},
		"missing columns":           {Sink{Table: "plain", Mode: Append}, "SELECT 1::BIGINT AS id, 'x' AS nmae, 2 AS zzz", []string{"no column nmae, zzz", "nmae is near to name"}},
		"unfilled NOT NULL":         {Sink{Table: "strict", Mode: Append}, id, []string{"column owner", "NOT NULL without a default"}},
		"generated":                 {Sink{Table: "generated", Mode: Append}, "SELECT 1::BIGINT AS id, 2::BIGINT AS double", []string{"column double", "drop: [double]"}},
		"identity always":           {Sink{Table: "always", Mode: Append}, id, []string{"GENERATED ALWAYS AS IDENTITY", "BY DEFAULT"}},
		"unlogged":                  {Sink{Table: "fleeting", Mode: Append}, id, []string{"unlogged", "SET LOGGED"}},
		"view":                      {Sink{Table: "v", Mode: Append}, id, []string{"is a view"}},
		"materialized view":         {Sink{Table: "m", Mode: Append}, id, []string{"materialized view"}},
		"sequence":                  {Sink{Table: "q", Mode: Append}, id, []string{"not a table"}},
		"foreign table":             {Sink{Table: "far", Mode: Append}, id, []string{"foreign table"}},
		"rules":                     {Sink{Table: "ruled", Mode: Append}, id, []string{"rewrite rules"}},
		"no assignment cast":        {Sink{Table: "plain", Mode: Append}, "SELECT 'x' AS id", []string{"column id", "computed as text", "bigint"}},
		"struct":                    {Sink{Table: "fresh"}, "SELECT {'a': 1} AS s", []string{"column s", "to_json"}},
		"nanoseconds":               {Sink{Table: "fresh"}, "SELECT now()::TIMESTAMP_NS AS at", []string{"column at", "microseconds"}},
		"lists in lists":            {Sink{Table: "fresh"}, "SELECT [[1]] AS l", []string{"column l"}},
		"long name":                 {Sink{Table: "fresh"}, "SELECT 1 AS " + strings.Repeat("x", 64), []string{"64 bytes"}},
		"system column":             {Sink{Table: "fresh"}, "SELECT 1 AS ctid", []string{"system column"}},
		"long table":                {Sink{Table: strings.Repeat("t", 64)}, id, []string{"64 bytes"}},
		"key not in output":         {Sink{Table: "plain", Mode: Upsert, Key: []string{"ix"}}, id, []string{"names column ix", "Did you mean"}},
		"no unique index":           {Sink{Table: "plain", Mode: Upsert, Key: []string{"id"}}, id, []string{"no unique index on (id)", `CREATE UNIQUE INDEX ON "public"."plain" ("id")`}},
		"latest and ignore":         {Sink{Table: "plain", Mode: Upsert, Key: []string{"id"}, Latest: "id", OnConflict: "ignore"}, id, []string{"latest"}},
		"latest without order":      {Sink{Table: "fresh", Mode: Upsert, Key: []string{"id"}, Latest: "j"}, id + ", '{}'::JSON AS j", []string{"column j", "no order"}},
		"cascading foreign key":     {Sink{Table: "parent", Mode: Replace}, id, []string{"child_id_fkey of child", "DEFERRABLE"}},
		"inheritance":               {Sink{Table: "elder", Mode: Replace}, id, []string{"heir"}},
		"no replica identity":       {Sink{Table: "unkeyed", Mode: Replace}, id, []string{"publication p", "REPLICA IDENTITY"}},
		"objects of one database":   {Sink{Table: "fresh"}, "regclass[]", []string{"column id", "regclass[]", `"id"::text`}},
		"pseudo-type":               {Sink{Table: "fresh"}, "record", []string{"column id", "pseudo-type record", "no table"}},
		"array of a pseudo-type":    {Sink{Table: "fresh"}, "record[]", []string{"column id", "record[]"}},
		"void":                      {Sink{Table: "fresh"}, "void", []string{"column id", "void"}},
		"type of another database":  {Sink{Table: "fresh"}, "mood", []string{"column id", "of type mood", "does not have"}},
		"collation of another one":  {Sink{Table: "fresh"}, "text COLLATE", []string{"column id", "collation"}},
		"untouched type":            {Sink{Table: "plain", Mode: Append}, "integer", []string{"column id is integer in the source and bigint in public.plain"}},
		"untouched type's modifier": {Sink{Table: "plain", Mode: Append}, "numeric(12,2)", []string{"numeric(12,2)", "bigint"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.URL = u
			var j *job
			if strings.HasPrefix(c.output, "SELECT") {
				j = newJob(t, &c.spec, c.output)
			} else {
				j = newJob(t, &c.spec, id)
				j.output = untouchedColumns("id", c.output)
				if typ, ok := strings.CutSuffix(c.output, " COLLATE"); ok {
					j.output[0].Native, j.output[0].Collation = typ, `public."de"`
				}
			}
			_, err := j.check()
			kind := drover.Refused
			if k := drover.KindOf(err); k == drover.Invalid {
				kind = k // what the job alone shows to be wrong
			}
			fails(t, err, kind, c.texts...)
		})
	}
}

func TestRule29UntouchedTypesMatchAndStepResultsAreAssigned(t *testing.T) {
	u, _ := database(t, `CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (a numeric(12,2), b mood, c numeric(14,2), d smallint, e jsonb, f varchar(3), g integer[], h mood)`)
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append},
		"SELECT 0 AS a, 0 AS b, 1.5::DOUBLE AS c, 2::BIGINT AS d, '{}'::JSON AS e, 'x' AS f, [1::BIGINT] AS g, 'ok' AS h")
	copy(j.output, untouchedColumns("a", "numeric(12,2)", "b", "public.mood"))
	check, err := j.check()
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(check.Notes, "\n")
	for _, text := range []string{
		"column c: double precision is cast to numeric(14,2)", "column d: bigint is assigned to smallint", "column e: json is assigned to jsonb",
		"column f: text is assigned to character varying(3)", "column g: bigint[] is assigned to integer[]", "column h: text is assigned to mood",
	} {
		if !strings.Contains(notes, text) {
			t.Errorf("notes lack %q:\n%s", text, notes)
		}
	}
	if strings.Contains(notes, "column a") || strings.Contains(notes, "column b") {
		t.Errorf("untouched columns are noted:\n%s", notes)
	}
	if got := strings.Join(check.Types, ","); got != "numeric(12,2),mood,numeric(14,2),smallint,jsonb,character varying(3),integer[],mood" {
		t.Errorf("types %s", got)
	}
	j.output[1].Type = "INTEGER" // the source's mood is a domain over integer
	_, err = j.check()
	fails(t, err, drover.Refused, "type public.mood of column b holds INTEGER in the source and VARCHAR")
	j.output[0].Native = "numeric(12,3)"
	_, err = j.check()
	fails(t, err, drover.Refused, "column a is numeric(12,3) in the source and numeric(12,2)")
}

func TestRule29TypesOfOneNameAreMadeOfTheSame(t *testing.T) {
	const there = "CREATE TYPE span AS RANGE (subtype = float8); CREATE TYPE pair AS (a integer, b text); CREATE DOMAIN spot AS point; CREATE DOMAIN same AS inet;"
	from, _ := database(t, there+"CREATE TABLE t (a span, b span[], c pair, d spot, e same, f public.same[])")
	schema, err := openTestSource(t, &Source{URL: from, Table: "t"}).Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range schema {
		schema[i].From = schema[i].Name
	}
	equal, _ := database(t, there+"CREATE TABLE old (a span, b span[], c pair, d spot, e same, f same[])")
	other, _ := database(t, `CREATE TYPE span AS RANGE (subtype = int8); CREATE TYPE pair AS (a integer, b integer); CREATE DOMAIN spot AS lseg; CREATE DOMAIN same AS inet;
		CREATE TABLE old (a span, b span[], c pair, d spot, e same, f same[])`)
	for _, table := range []string{"old", "fresh"} {
		for i, text := range []string{
			"type span of column a holds a range of double precision in the source and a range of bigint in the target", "column b", "column c holds a composite of integer, text", "column d holds point", "", "",
		} {
			for u, refused := range map[URL]bool{equal: false, other: text != ""} {
				j := newJob(t, &Sink{URL: u, Table: table, Mode: Append}, "SELECT 1 AS x")
				j.output = schema[i : i+1]
				if _, err := j.check(); refused {
					fails(t, err, drover.Refused, text)
				} else if err != nil {
					t.Errorf("%s of %s: %v", schema[i].Native, table, err)
				}
			}
		}
	}
}

func TestCheckWritesNothing(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint PRIMARY KEY)")
	for _, mode := range []Mode{Error, Append, Replace, Upsert} {
		spec := &Sink{URL: u, Table: "t", Mode: mode}
		if mode == Upsert {
			spec.Key = []string{"id"}
		}
		if _, err := newJob(t, spec, "SELECT 1::BIGINT AS id").check(); err != nil {
			t.Error(mode, err)
		}
	}
	if got := column1(t, conn, "SELECT nspname::text FROM pg_namespace WHERE nspname = 'drover' UNION SELECT relname FROM pg_class WHERE relname LIKE 'drover%'"); len(got) > 0 {
		t.Error(got)
	}
}

func TestRolesWithFewRights(t *testing.T) {
	u, conn := database(t, `
		CREATE ROLE few LOGIN PASSWORD 'few';
		CREATE SCHEMA mine AUTHORIZATION few;
		CREATE SCHEMA closed; CREATE TABLE closed.t (id bigint);
		CREATE TABLE t (id bigint); GRANT INSERT ON t TO few;
		CREATE TABLE s (id bigint, other bigint); GRANT INSERT (other) ON s TO few;
		CREATE TABLE r (id bigint); GRANT ALL ON r TO few; ALTER TABLE r ENABLE ROW LEVEL SECURITY;
		CREATE TABLE d (id bigint); GRANT SELECT, INSERT, DELETE ON d TO few; INSERT INTO d VALUES (9);`)
	t.Cleanup(func() { execSQL(t, conn, "DROP OWNED BY few CASCADE; DROP ROLE few") })
	few := URL(strings.Replace(string(u), "postgres@", "few:few@", 1))
	own := few + "&drover_schema=mine"
	one := "SELECT 1::BIGINT AS id"
	for name, c := range map[string]struct {
		spec  Sink
		texts []string
	}{
		"no schema for receipts": {Sink{URL: few, Table: "t", Mode: Append}, []string{"schema drover", "drover_schema"}},
		"closed schema":          {Sink{URL: own, Table: "closed.t", Mode: Append}, []string{"may not insert"}},
		"closed schema, new":     {Sink{URL: own, Table: "closed.u"}, []string{"may not create tables in schema closed"}},
		"no insert":              {Sink{URL: own, Table: "s", Mode: Append}, []string{"may not insert into column id", "GRANT INSERT"}},
		"no select":              {Sink{URL: own, Table: "t"}, []string{"may not read public.t"}},
		"not the owner":          {Sink{URL: own, Table: "t", Mode: Replace}, []string{"neither its owner"}},
		"row-level security":     {Sink{URL: own, Table: "r", Mode: Append}, []string{"row-level security applies to role few"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newJob(t, &c.spec, one).check()
			fails(t, err, drover.Refused, c.texts...)
			if strings.Contains(fmt.Sprintf("%+v", err), "few:few") {
				t.Error("the password is in the message")
			}
		})
	}
	t.Run("its own schema is enough", func(t *testing.T) {
		newJob(t, &Sink{URL: own, Table: "mine.new"}, one).complete()
		want(t, conn, "mine.new", "(1)")
		newJob(t, &Sink{URL: own, Table: "t", Mode: Append}, one).complete()
		want(t, conn, "t", "(1)")
		want(t, conn, "(SELECT count(*) FROM mine.receipt)", "(2)")
	})
	t.Run("replace without ownership refills", func(t *testing.T) {
		newJob(t, &Sink{URL: own, Table: "d", Mode: Replace}, one).complete()
		want(t, conn, "d", "(1)")
	})
}

func TestReadOnlyServerIsRefused(t *testing.T) {
	u, conn := database(t, "")
	execSQL(t, conn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$")
	_, err := newJob(t, &Sink{URL: u, Table: "t"}, "SELECT 1 AS id").check()
	fails(t, err, drover.Refused, "read-only")
}
