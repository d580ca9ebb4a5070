package postgres

import (
	"errors"
	"testing"

	"github.com/droverdata/drover/connector"
)

// A try says which row the server refused, where it looks at one after the other: not behind a cast of all rows, and not in a table with a trigger.
func TestATryNamesTheRowThatTheServerRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		sql, rows string
		want      int64
	}{
		"check":    {"CREATE TABLE t (id bigint CHECK (id NOT IN (7000, 7001)))", "SELECT range AS id FROM range(9000)", 7000},
		"null":     {"CREATE TABLE t (id bigint NOT NULL)", "SELECT nullif(range, 1234) AS id FROM range(9000)", 1234},
		"varchar":  {"CREATE TABLE t (id bigint, v varchar(3))", "SELECT range AS id, CASE range WHEN 40 THEN 'long' ELSE 'ok' END AS v FROM range(50)", 40},
		"the last": {"CREATE TABLE t (id bigint CHECK (id < 8999))", "SELECT range AS id FROM range(9000)", 8999},
		"good":     {"CREATE TABLE t (id bigint)", "SELECT range AS id FROM range(9000)", -1},
		"a cast":   {"CREATE TABLE t (id smallint)", "SELECT 32000 + range AS id FROM range(9000)", -1},
		"a trigger": {`CREATE TABLE t (id bigint); CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 40 THEN RAISE ''no''; END IF; RETURN NEW; END';
			CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()`, "SELECT range AS id FROM range(90)", -1},
	} {
		t.Run(name, func(t *testing.T) {
			u, conn := database(t, tc.sql)
			j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, tc.rows).begin()
			trial, err := j.sink.Try(t.Context(), j.run)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				err := trial.Rows(t.Context(), j.input([]connector.Chunk{{}}), 1)
				var told *connector.RowError
				if _, data := connector.Rejectable(err); data == (name == "good") {
					t.Fatal(err)
				}
				if errors.As(err, &told) != (tc.want >= 0) || told != nil && told.Row != tc.want {
					t.Errorf("%v: %+v, want row %d", err, told, tc.want)
				}
			}
			if err := trial.Close(); err != nil {
				t.Fatal(err)
			}
			want(t, conn, "(SELECT count(*) FROM t)", "(0)")
		})
	}
}
