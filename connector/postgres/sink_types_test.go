package postgres

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

func TestTargetChangedDuringTheRunIsRefused(t *testing.T) {
	for sql, text := range map[string]string{
		"ALTER TABLE t ALTER a TYPE integer USING 1":      "is integer now, and was bigint",
		"DROP TABLE t; CREATE TABLE t (a bigint, b text)": "dropped and made again",
		"DROP TABLE t": "has been dropped",
		"ALTER TABLE t ALTER b TYPE varchar(3); SELECT 'x'": "is character varying(3) now, and was text",
	} {
		u, conn := database(t, "CREATE TABLE t (a bigint, b text)")
		j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, "SELECT 1::BIGINT AS a, 'b' AS b").begin()
		execSQL(t, conn, sql)
		_, err := j.try(0)
		fails(t, err, drover.Refused, text)
	}
}

func TestCastErrorsNameColumnAndSample(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (id bigint, ratio numeric(4,2), small smallint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, "SELECT 1::BIGINT AS id, (CASE i WHEN 3 THEN 12345.5 ELSE 1 END)::DOUBLE AS ratio, 1::SMALLINT AS small FROM range(9) r(i)").begin()
	_, err := j.try(0)
	fails(t, err, drover.Data, "22003", "ratio", "12345.5")
	want(t, conn, "t")
	want(t, conn, "drover.receipt")
	direct := newJob(t, &Sink{URL: u, Table: "d", Mode: Append}, "SELECT (CASE i WHEN 3 THEN 12345.5 ELSE 1 END)::DECIMAL(12,2) AS ratio FROM range(9) r(i)")
	execSQL(t, conn, "CREATE TABLE d (ratio numeric(4,2))")
	_, err = direct.begin().try(0)
	fails(t, err, drover.Data, "22003", "ratio", "12345.5")
	null := newJob(t, &Sink{URL: u, Table: "n", Mode: Append}, "SELECT 1::BIGINT AS id")
	execSQL(t, conn, "CREATE TABLE n (id bigint NOT NULL)")
	null.chunks = []string{"SELECT NULL::BIGINT AS id"}
	_, err = null.begin().try(0)
	fails(t, err, drover.Data, "23502", "id")
}

func TestRounding(t *testing.T) {
	u, conn := database(t, "CREATE TABLE t (a numeric(14,2), b integer, c varchar(5), d timestamp(0), e jsonb)")
	newJob(t, &Sink{URL: u, Table: "t", Mode: Append},
		`SELECT 1.255::DOUBLE AS a, 2.5::DOUBLE AS b, 'abcde   ' AS c, TIMESTAMP '2020-01-01 00:00:00.6' AS d, '{"b":1, "a":2}'::JSON AS e`).complete()
	execSQL(t, conn, "CREATE TEMP TABLE x (LIKE t); INSERT INTO x SELECT 1.255::float8, 2.5::float8, 'abcde   '::text, timestamp '2020-01-01 00:00:00.6', '{\"b\":1, \"a\":2}'::json")
	want(t, conn, "t", column1(t, conn, "SELECT x::text FROM x")...) // as Postgres assigns them
}

func TestCreatedTable(t *testing.T) {
	u, conn := database(t, `CREATE TYPE mood AS ENUM ('ok')`)
	j := newJob(t, &Sink{URL: u, Table: `"My Table"`, Mode: Upsert, Key: []string{"k"}},
		`SELECT 1 AS k, true AS b, 1::UTINYINT AS u1, 1::UBIGINT AS u8, 1::HUGEINT AS h, 1.5::FLOAT AS f, 1.5::DECIMAL(9,3) AS d, 'x' AS v, 'x'::BLOB AS bl,
			DATE '2020-01-02' AS da, TIME '01:02:03' AS ti, TIMESTAMP '2020-01-02 03:04:05' AS ts, TIMESTAMPTZ '2020-01-02 03:04:05Z' AS tz,
			INTERVAL 1 DAY AS iv, 'c0ffee00-0000-0000-0000-000000000000'::UUID AS uu, '{}'::JSON AS js, [1, NULL] AS ar, 'a'::ENUM('a') AS en`)
	j.complete()
	got := column1(t, conn, `SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '"My Table"'::regclass AND attnum > 0 ORDER BY attnum`)
	wantTypes := "k integer,b boolean,u1 smallint,u8 numeric(20,0),h numeric(39,0),f real,d numeric(9,3),v text,bl bytea,da date,ti time without time zone," +
		"ts timestamp without time zone,tz timestamp with time zone,iv interval,uu uuid,js json,ar integer[],en text"
	if s := strings.Join(got, ","); s != wantTypes {
		t.Errorf("%s", s)
	}
	want(t, conn, `(SELECT k, u8, h, f, d, v, ar, en FROM "My Table")`, "(1,1,1,1.5,1.500,x,\"{1,NULL}\",a)")
	want(t, conn, `(SELECT contype FROM pg_constraint WHERE conrelid = '"My Table"'::regclass AND contype <> 'n')`, "(p)")
}

func TestCreatedTableKeepsTheSourcesTypes(t *testing.T) {
	u, conn := database(t, `CREATE TYPE mood AS ENUM ('ok')`)
	j := newJob(t, &Sink{URL: u, Table: "t"}, "SELECT 1 AS id")
	j.output = untouchedColumns("m", "mood", "n", "numeric(12,2)", "c", "character varying(9)", "i", "inet")
	j.output[2].Collation, j.output[3].NotNull = `pg_catalog."C"`, true
	j.begin()
	got := column1(t, conn, `SELECT attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attcollation::regcollation || ' ' || attnotnull FROM pg_attribute
		WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum`)
	if s := strings.Join(got, ","); s != `m mood - false,n numeric(12,2) - false,c character varying(9) "C" false,i inet - true` {
		t.Error(s)
	}
}
