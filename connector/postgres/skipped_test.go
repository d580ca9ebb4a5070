package postgres

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

const skippingTrigger = `CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END$$;
	CREATE TRIGGER skips BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION skip();`

func TestRowsThatATriggerSkipsAreAnErrorAndNoRetry(t *testing.T) {
	const rows = "SELECT unnest([1, 2, 3])::BIGINT AS id, 'a' AS v"
	for name, c := range map[string]struct {
		sql  string
		spec Sink
	}{
		"copy":                 {"CREATE TABLE t (id bigint, v text);" + skippingTrigger, Sink{Mode: Append}},
		"assign":               {"CREATE TABLE t (id bigint, v char(1));" + skippingTrigger, Sink{Mode: Append}},
		"upsert":               {"CREATE TABLE t (id bigint PRIMARY KEY, v text);" + skippingTrigger, Sink{Mode: Upsert, Key: []string{"id"}}},
		"upsert of the latest": {"CREATE TABLE t (id bigint PRIMARY KEY, v text);" + skippingTrigger, Sink{Mode: Upsert, Key: []string{"id"}, Latest: "v"}},
		"upsert that ignores":  {"CREATE TABLE t (id bigint PRIMARY KEY, v text);" + skippingTrigger, Sink{Mode: Upsert, Key: []string{"id"}, OnConflict: "ignore"}},
		"upsert in a partition": {`CREATE TABLE t (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF t DEFAULT;` +
			strings.Replace(skippingTrigger, "ON t", "ON p", 1), Sink{Mode: Upsert, Key: []string{"id"}, Latest: "v"}},
		"update to the latest": {`CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (2, NULL);
			CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
			CREATE TRIGGER keeps BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep()`, Sink{Mode: Upsert, Key: []string{"id"}, Latest: "v"}},
		"update": {`CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'old');
			CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
			CREATE TRIGGER keeps BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep()`, Sink{Mode: Upsert, Key: []string{"id"}}},
	} {
		t.Run(name, func(t *testing.T) {
			u, conn := database(t, c.sql)
			before := column1(t, conn, "SELECT t::text FROM t")
			c.spec.URL, c.spec.Table = u, "t"
			j := newJob(t, &c.spec, rows).begin()
			_, err := j.try(0)
			fails(t, err, drover.Data, "trigger", "skipped 1 of 3 rows", "filter")
			want(t, conn, "t", before...)
		})
	}
}

func TestUpsertMayIgnoreRowsAndLeaveEqualOnes(t *testing.T) {
	const rows = "SELECT unnest([1, 2, 3])::BIGINT AS id, 'a' AS v"
	u, conn := database(t, "CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (2, 'old')")
	newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}, OnConflict: "ignore"}, rows).complete()
	want(t, conn, "t", "(1,a)", "(2,old)", "(3,a)")
	execSQL(t, conn, "CREATE TRIGGER z BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()")
	newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}}, rows).complete()
	want(t, conn, "t", "(1,a)", "(2,a)", "(3,a)")
}

func TestUpsertOfTheLatestMayLeaveOlderRowsAndHaveATriggerChangeThem(t *testing.T) {
	const rows = "SELECT unnest([1, 2, 3, 3])::BIGINT AS id, unnest(['b', 'b', 'b', 'a']) AS v"
	u, conn := database(t, `CREATE TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'z'), (2, 'a');
		CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END$$;
		CREATE TRIGGER louder BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION louder()`)
	newJob(t, &Sink{URL: u, Table: "t", Mode: Upsert, Key: []string{"id"}, Latest: "v"}, rows).complete()
	want(t, conn, "t", "(1,z)", "(2,b!!)", "(3,b!)") // the trigger sees row 2 as an insert, and then as an update
}

func TestARefillThatATriggerThinsIsNotPublished(t *testing.T) {
	for name, sql := range map[string]string{
		"skipped 1 of 3 rows": skippingTrigger,
		"kept old rows": `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
			CREATE TRIGGER keeps BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep()`,
	} {
		u, conn := database(t, "CREATE TABLE t (id bigint); INSERT INTO t VALUES (9);"+sql)
		j := newJob(t, &Sink{URL: u, Table: "t", Mode: Replace}, "SELECT unnest([1, 2, 3])::BIGINT AS id").begin()
		j.write(0)
		_, err := j.sink.Publish(t.Context(), j.run, j.output, nil)
		fails(t, err, drover.Data, "trigger", name)
		want(t, conn, "t", "(9)")
	}
}
