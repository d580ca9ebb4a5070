package postgres

import (
	"testing"

	"github.com/droverdata/drover/internal/step"
)

// What Postgres reads otherwise than DuckDB, or not at all, stays with the program.
func TestLiteralsThatAreNotReadAlikeAreNotPushedDown(t *testing.T) {
	form := func(w wire, oid uint32) *pgType {
		p := &pgType{wire: w, oid: oid}
		p.base = p
		return p
	}
	r := &relation{utf8: true, columns: []column{
		{name: "d", typ: form(wireDate, 0)},
		{name: "ts", typ: form(wireTimestamp, 0)},
		{name: "tz", typ: form(wireTimestamptz, 0)},
		{name: "i", typ: form(wireInt4, 0)},
		{name: "u", typ: form(wireUUID, 0)},
		{name: "f", typ: form(wireFloat8, 0)},
		{name: "t", typ: form(wireText, oidText), bytewise: true},
		{name: "c", typ: form(wireText, oidText), bytewise: true, ordered: true},
		{name: "n", typ: form(wireText, oidText)},
		{name: "x", typ: form(wireText, 9999), bytewise: true},
	}}
	for _, c := range []struct {
		column, op, typ, text string
		want                  bool
	}{
		{"d", "=", "DATE", "2024-02-29", true},
		{"d", "=", "DATE", "2024-02-30", false},
		{"d", "=", "DATE", "infinity", false},
		{"d", "=", "DATE", "0000-01-01", false},
		{"d", "=", "TIMESTAMP", "2024-02-29", false},
		{"ts", "<", "TIMESTAMP", "2024-02-29T12:00:00.5", true},
		{"ts", "<", "TIMESTAMP", "2024-02-29 24:00:00", false},
		{"ts", "<", "TIMESTAMP", "2024-02-29 12:00:00+01", false},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00", false},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00+01", true},
		{"tz", "<", "TIMESTAMP WITH TIME ZONE", "2024-03-31 02:30:00+99", false},
		{"i", "<", "BIGINT", "9223372036854775807", true},
		{"i", "<", "BIGINT", "9223372036854775808", false},
		{"u", "=", "UUID", "00000000-0000-0000-0000-00000000000F", true},
		{"u", "<", "UUID", "00000000-0000-0000-0000-00000000000F", false},
		{"u", "=", "UUID", "0", false},
		{"f", "<", "DOUBLE", "0", false},
		{"t", "=", "VARCHAR", "it's", true},
		{"t", "=", "VARCHAR", "a\x00b", false},
		{"t", "<", "VARCHAR", "a", false}, // exactness.md 31
		{"c", "<", "VARCHAR", "a", true},
		{"n", "=", "VARCHAR", "a", false}, // a collation that calls different texts equal
		{"x", "=", "VARCHAR", "a", false}, // an extension's type, such as citext
	} {
		sql, ok := r.condition(step.Condition{Op: c.op, Column: c.column, Values: []step.Value{{Type: c.typ, Text: c.text}}})
		if ok != c.want {
			t.Errorf("%+v: %v %s", c, ok, sql)
		}
	}
}
