package postgres

import (
	"testing"

	"github.com/droverdata/drover"
)

func TestTimetzThatAStepMakesFitsTimetz(t *testing.T) {
	for _, sql := range []string{"", "CREATE TABLE t (id bigint, v timetz, l timetz[])"} {
		u, conn := database(t, sql)
		newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, "SELECT 1::BIGINT AS id, '12:34:56.5+02'::TIMETZ AS v, ['01:00:00-03'::TIMETZ] AS l").complete()
		want(t, conn, "t", "(1,12:34:56.5+02,{01:00:00-03})")
	}
}

func TestAMismatchAdvisesTheTargetsType(t *testing.T) {
	u, _ := database(t, "CREATE TABLE t (id bigint)")
	j := newJob(t, &Sink{URL: u, Table: "t", Mode: Append}, "SELECT 1::INTEGER AS id")
	j.output = drover.Schema{{Name: "id", From: "id", Native: "integer", Type: "INTEGER"}}
	_, err := j.check()
	fails(t, err, drover.Refused, "cast: {id: BIGINT}")
}

func TestConstraintErrorsNameTheTargetAndShowTheRow(t *testing.T) {
	for name, sql := range map[string]string{"v > 0": "v integer CHECK (v > 0)", "null": "v integer, w integer NOT NULL DEFAULT 1, x integer GENERATED ALWAYS AS (v) STORED NOT NULL"} {
		u, _ := database(t, "CREATE TABLE target_t (id bigint, "+sql+")")
		row := "SELECT 1::BIGINT AS id, -5::INTEGER AS v"
		if name == "null" {
			row = "SELECT 1::BIGINT AS id, NULL::INTEGER AS v"
		}
		j := newJob(t, &Sink{URL: u, Table: "target_t", Mode: Replace}, row).begin()
		_, err := j.try(0)
		texts := []string{"target_t"}
		if name != "null" {
			texts = append(texts, "1, -5")
		}
		fails(t, err, drover.Data, texts...)
	}
}

func TestOverflowOfACastNamesTheColumn(t *testing.T) {
	for _, mode := range []Mode{Append, Upsert, Replace} {
		u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY, a numeric(5,2), b numeric(5,2))")
		spec := &Sink{URL: u, Table: "t", Mode: mode}
		if mode == Upsert {
			spec.Key = []string{"id"}
		}
		j := newJob(t, spec, "SELECT 1::BIGINT AS id, 1.5::DOUBLE AS a, 123456.5::DECIMAL(12,1) AS b").begin()
		_, err := j.try(0)
		fails(t, err, drover.Data, "22003", "| b |", "123456.5")
	}
}

func TestOverflowOfAnAssignmentNamesTheColumn(t *testing.T) {
	for _, mode := range []Mode{Append, Upsert, Replace} {
		u, _ := database(t, "CREATE TABLE t (id bigint PRIMARY KEY, a numeric(5,2), b numeric(5,2))")
		spec := &Sink{URL: u, Table: "t", Mode: mode}
		if mode == Upsert {
			spec.Key = []string{"id"}
		}
		j := newJob(t, spec, "SELECT 1::BIGINT AS id, 1.5::DOUBLE AS a, 123456.5::DOUBLE AS b").begin()
		_, err := j.try(0)
		fails(t, err, drover.Data, "22003", "| b |", "123456.5")
	}
}
