package postgres

// typeSQL makes what the types below need. The order differs by database, so that OIDs do.
const typeSQL = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'with space');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN zip AS varchar(10) CHECK (length(value) > 0);
CREATE DOMAIN zip2 AS zip;
CREATE DOMAIN amount AS numeric(12,2);
`

// typeCases are the built-in types with their extremes, as SQL expressions. A type that DuckDB cannot carry has no decoded route.
var typeCases = []struct {
	typ    string
	values []string
}{
	{"boolean", []string{"true", "false"}},
	{"smallint", []string{"-32768", "32767", "0"}},
	{"integer", []string{"-2147483648", "2147483647", "0"}},
	{"bigint", []string{"-9223372036854775808", "9223372036854775807", "9007199254740993"}},
	{"real", []string{"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "1.1"}},
	{"double precision", []string{"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1"}},
	{"numeric(4,0)", []string{"9999", "-9999", "0"}},
	{"numeric(9,2)", []string{"1234567.89", "-0.01", "0"}},
	{"numeric(12,2)", []string{"9999999999.99", "-9999999999.99", "0.10", "10000"}},
	{"numeric(18,6)", []string{"999999999999.999999", "0.000001", "-1"}},
	{"numeric(38,10)", []string{"9999999999999999999999999999.9999999999", "-0.0000000001", "100000000"}},
	{"numeric(38,38)", []string{"0.99999999999999999999999999999999999999", "-0.00000000000000000000000000000000000001"}},
	{"numeric(3,5)", []string{"0.00999", "-0.00001"}},
	{"numeric(5,-2)", []string{"1234500", "-9999900"}},
	{"numeric(38,0)", []string{"99999999999999999999999999999999999999", "-1", "10000000000000000"}},
	{"numeric(50,10)", []string{"1234567890123456789012345678901234567890.0123456789"}},
	{"amount", []string{"12.34", "-9999999999.99"}},
	{"text", []string{"''", "'a'", "'twelve bytes'", "'thirteen byte'", "repeat('long ', 5000)", "E'tab\\tquote\\'\"nl\\n'", "'Grüße 🚀'"}},
	{"varchar(10)", []string{"'abc'", "''", "'trail   '"}},
	{"char(6)", []string{"'ab'", "''"}},
	{"name", []string{"'a_name'"}},
	{`"char"`, []string{"'x'", "''", `'\200'`}},
	{"bytea", []string{"''", `'\x00ff10'`, `decode(repeat('ab', 100), 'hex')`}},
	{"date", []string{"'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'2000-01-01'", "'1999-12-31'", "'1970-01-01'"}},
	{"time", []string{"'00:00'", "'24:00'", "'23:59:59.999999'"}},
	{"timetz", []string{"'00:00+00'", "'12:34:56.789+15:59:59'", "'23:59:59.999999-15:59:59'", "'24:00+05:30'"}},
	{"timestamp", []string{"'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'294246-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'", "'2000-01-01'"}},
	{"timestamptz", []string{"'infinity'", "'-infinity'", "'4713-01-02 00:00:00+00 BC'", "'294246-12-31 23:59:59.999999+00'", "'2024-02-29 12:00+05:30'"}},
	{"interval", []string{"'1 mon'", "'-1 year 2 days -3.000001 sec'", "'178000000 years'", "'0'", "'30 days'", "'720 hours'"}},
	{"uuid", []string{"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'80000000-0000-4000-8000-000000000001'"}},
	{"json", []string{`'{"b": 1, "a":  [1,2], "a": null}'`, `'null'`, `'""'`}},
	{"jsonb", []string{`'{"b": 1, "a": [1.50, 1e400]}'`, `'null'`, `'"x"'`}},
	{"oid", []string{"0", "4294967295"}},
	{"xid", []string{"'4294967295'"}},
	{"xid8", []string{"'18446744073709551615'"}},
	{"xml", []string{"'<a>x</a>'"}},
	{"mood", []string{"'sad'", "'with space'"}},
	{"zip2", []string{"'00501'"}},
	{"integer[]", []string{"'{}'", "'{1,NULL,-3}'", "'{NULL}'"}},
	{"text[]", []string{`'{"",a,"a long text of more than twelve",NULL}'`, "'{}'"}},
	{"numeric(12,2)[]", []string{"'{1.10,NULL,-9999999999.99}'"}},
	{"timestamptz[]", []string{"'{infinity,2024-01-01 00:00+00}'"}},
	{"mood[]", []string{"'{sad,NULL,happy}'", "'{}'"}},
	{"zip[]", []string{"'{00501,x}'"}},
	{"uuid[]", []string{"'{80000000-0000-4000-8000-000000000001}'"}},
	{"jsonb[]", []string{`ARRAY['{"a":1}', NULL]::jsonb[]`}},
	{"boolean[]", []string{"'{t,f,NULL}'"}},
	{"bytea[]", []string{`ARRAY['\x00','\x']::bytea[]`}},
	// moved, never read
	{"inet", []string{"'10.0.0.1/8'", "'::1'"}},
	{"cidr", []string{"'10.0.0.0/8'"}},
	{"macaddr", []string{"'08:00:2b:01:02:03'"}},
	{"macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}},
	{"money", []string{"'-92233720368547758.08'"}},
	{"bit(5)", []string{"B'10101'"}},
	{"varbit", []string{"B'1'", "B''"}},
	{"tsvector", []string{"'a:1 b:2'"}},
	{"tsquery", []string{"'a & b'"}},
	{"pg_lsn", []string{"'16/B374D848'"}},
	{"point", []string{"'(1,2)'"}},
	{"polygon", []string{"'((0,0),(1,1),(1,0))'"}},
	{"box", []string{"'(1,1),(0,0)'"}},
	{"circle", []string{"'<(0,0),1>'"}},
	{"int4range", []string{"'[1,5)'", "'empty'", "'(,)'"}},
	{"tstzrange", []string{"'[2024-01-01 00:00+00,)'"}},
	{"int4multirange", []string{"'{[1,2),[5,6)}'"}},
	{"pair", []string{"'(1,x)'", "'(,)'"}},
	{"inet[]", []string{"'{10.0.0.1,NULL}'"}},
	{"int2vector", []string{"'1 2 3'"}},
	{"jsonpath", []string{"'$.a'"}},
	{"tid", []string{"'(1,2)'"}},
}
