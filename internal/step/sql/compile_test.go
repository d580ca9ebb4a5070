package sqlstep

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

func session(t testing.TB) *duck.Session {
	t.Helper()
	s, err := duck.Open(t.Context(), duck.Options{Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// companies is an input with a column of every sort that matters here.
var companies = drover.Schema{
	{Name: "id", Type: "BIGINT", Native: "bigint", NotNull: true},
	{Name: "name", Type: "VARCHAR", Native: "text"},
	{Name: "state", Type: "VARCHAR", Native: "character varying(2)"},
	{Name: "revenue", Type: "DECIMAL(14,2)", Native: "numeric(14,2)"},
	{Name: "employees", Type: "INTEGER", Native: "integer"},
	{Name: "is_active", Type: "BOOLEAN", Native: "boolean", NotNull: true},
	{Name: "founded", Type: "DATE", Native: "date"},
	{Name: "tags", Type: "VARCHAR[]", Native: "text[]"},
	{Name: "raw", Type: "VARCHAR", Native: "text"},
	{Name: "address", Native: "inet"},
}

func filter(e string) drover.Step           { return drover.Step{Filter: e} }
func sql(q string) drover.Step              { return drover.Step{SQL: q} }
func set(pairs ...drover.Pair) drover.Step  { return drover.Step{Set: pairs} }
func cast(pairs ...drover.Pair) drover.Step { return drover.Step{Cast: pairs} }
func rename(p ...drover.Pair) drover.Step   { return drover.Step{Rename: p} }
func drop(names ...string) drover.Step      { return drover.Step{Drop: names} }
func pick(names ...string) drover.Step      { return drover.Step{Select: names} }

// brief spells a schema as "name TYPE=from!" with "!" for NOT NULL.
func brief(s drover.Schema) string {
	out := make([]string, len(s))
	for i, c := range s {
		out[i] = c.Name + " " + c.Type
		if c.From != "" {
			out[i] += "=" + c.From
		}
		if c.NotNull {
			out[i] += "!"
		}
	}
	return strings.Join(out, ", ")
}

func TestRule24RowWiseProofAndLineage(t *testing.T) {
	s := session(t)
	for name, tc := range map[string]struct {
		steps  []drover.Step
		output string
		reads  string
		why    string
	}{
		"no steps": {nil, "id BIGINT=id!, name VARCHAR=name, state VARCHAR=state, revenue DECIMAL(14,2)=revenue, employees INTEGER=employees, is_active BOOLEAN=is_active!, founded DATE=founded, tags VARCHAR[]=tags, raw VARCHAR=raw, address =address", "", ""},
		"select orders and takes case from the source": {[]drover.Step{pick("STATE", "id")}, "state VARCHAR=state, id BIGINT=id!", "", ""},
		"drop":         {[]drover.Step{pick("id", "name", "raw"), drop("NAME")}, "id BIGINT=id!, raw VARCHAR=raw", "", ""},
		"rename swap":  {[]drover.Step{pick("id", "name", "raw"), rename(drover.Pair{Key: "name", Value: "raw"}, drover.Pair{Key: "raw", Value: "name"})}, "id BIGINT=id!, raw VARCHAR=name, name VARCHAR=raw", "", ""},
		"rename case":  {[]drover.Step{pick("id"), rename(drover.Pair{Key: "id", Value: "ID"})}, "ID BIGINT=id!", "", ""},
		"filter reads": {[]drover.Step{filter("is_active AND revenue > 5"), pick("id")}, "id BIGINT=id!", "revenue is_active", ""},
		"set sees the step's input": {
			[]drover.Step{pick("id", "state", "revenue", "employees"), set(drover.Pair{Key: "state", Value: "upper(state)"}, drover.Pair{Key: "per", Value: "revenue / nullif(employees, 0)"}, drover.Pair{Key: "old", Value: "state"}, drover.Pair{Key: "employees", Value: "employees + 1"})},
			"id BIGINT=id!, state VARCHAR, revenue DECIMAL(14,2)=revenue, employees INTEGER, per DOUBLE, old VARCHAR=state", "state revenue employees", "",
		},
		"a computed column that is dropped is not read": {[]drover.Step{set(drover.Pair{Key: "x", Value: "length(raw)"}), pick("id")}, "id BIGINT=id!", "", ""},
		"reads go through computed columns":             {[]drover.Step{set(drover.Pair{Key: "x", Value: "length(raw)"}), filter("x > 1"), pick("id")}, "id BIGINT=id!", "raw", ""},
		"cast":                                          {[]drover.Step{pick("id", "revenue"), cast(drover.Pair{Key: "revenue", Value: "double"}, drover.Pair{Key: "ID", Value: "int8"})}, "id BIGINT=id!, revenue DOUBLE", "revenue", ""},
		"set renames an untyped":                        {[]drover.Step{pick("address"), set(drover.Pair{Key: "ip", Value: "address"})}, "address =address, ip =address", "", ""},
		"set by a qualified name":                       {[]drover.Step{pick("id", "address"), set(drover.Pair{Key: "ip", Value: "chunk.address"}, drover.Pair{Key: "ID", Value: "chunk.id + 1"})}, "id BIGINT, address =address, ip =address", "id", ""},
		"sql star":                                      {[]drover.Step{pick("id", "name", "raw", "address"), sql("SELECT * REPLACE (lower(name) AS name) FROM chunk")}, "id BIGINT=id!, name VARCHAR, raw VARCHAR=raw, address =address", "name", ""},
		"sql exclude and rename":                        {[]drover.Step{pick("id", "name", "raw"), sql("select chunk.* exclude (raw) rename (name as title) from Chunk;")}, "id BIGINT=id!, title VARCHAR=name", "", ""},
		"sql list":                                      {[]drover.Step{sql("SELECT c.id AS key, upper(name) AS n, n || '!' AS m, revenue FROM chunk AS c WHERE is_active -- active\n")}, "key BIGINT=id!, n VARCHAR, m VARCHAR, revenue DECIMAL(14,2)=revenue", "id name revenue is_active", ""},
		"sql FROM first":                                {[]drover.Step{pick("id"), sql("FROM chunk WHERE id > 1")}, "id BIGINT=id!", "id", ""},
		"sql aggregate":                                 {[]drover.Step{pick("id", "state"), sql("SELECT state, sum(id)::BIGINT AS s FROM chunk GROUP BY state")}, "state VARCHAR, s BIGINT", "id state", "it groups rows"},
		"sql aggregate, no group":                       {[]drover.Step{pick("id", "state"), sql("SELECT sum(id)::BIGINT AS s FROM chunk")}, "s BIGINT", "id state", "sum() is an aggregate"},
		"sql window":                                    {[]drover.Step{pick("id"), sql("SELECT id, row_number() OVER () AS n FROM chunk")}, "id BIGINT, n BIGINT", "id", "row_number() OVER is a window function"},
		"sql order":                                     {[]drover.Step{pick("id"), sql("SELECT id FROM chunk ORDER BY id LIMIT 3")}, "id BIGINT", "id", "ORDER BY, DISTINCT and LIMIT look at all rows"},
		"sql distinct":                                  {[]drover.Step{pick("id"), sql("SELECT DISTINCT id FROM chunk")}, "id BIGINT", "id", "ORDER BY, DISTINCT and LIMIT look at all rows"},
		"sql join":                                      {[]drover.Step{pick("id"), sql("SELECT a.id FROM chunk a JOIN chunk b USING (id)")}, "id BIGINT", "id", "it reads more than the rows of chunk"},
		"sql subquery":                                  {[]drover.Step{pick("id"), sql("SELECT id FROM chunk WHERE id = (SELECT max(id) FROM chunk)")}, "id BIGINT", "id", "a subquery sees other rows"},
		"sql with":                                      {[]drover.Step{pick("id"), sql("WITH t AS (SELECT id FROM chunk) SELECT * FROM t")}, "id BIGINT", "id", "it has a WITH clause"},
		"sql union":                                     {[]drover.Step{pick("id"), sql("SELECT id FROM chunk UNION ALL SELECT id FROM chunk")}, "id BIGINT", "id", "it combines several SELECTs"},
		"sql qualify":                                   {[]drover.Step{pick("id"), sql("SELECT id FROM chunk QUALIFY row_number() OVER (ORDER BY id) = 1")}, "id BIGINT", "id", "QUALIFY compares rows"},
		"sql random":                                    {[]drover.Step{pick("id"), sql("SELECT random() AS r FROM chunk")}, "r DOUBLE", "id", "random() is volatile: it gives another answer each time"},
		"sql unnest":                                    {[]drover.Step{pick("id", "tags"), sql("SELECT unnest(tags) AS t FROM chunk")}, "t VARCHAR", "id tags", "unnest() makes several rows of one"},
		"sql COLUMNS":                                   {[]drover.Step{pick("id"), sql("SELECT COLUMNS(*)::VARCHAR FROM chunk")}, "id VARCHAR", "id", "COLUMNS() stands for several expressions"},
		"sql row":                                       {[]drover.Step{pick("id"), sql("SELECT chunk FROM chunk")}, "chunk STRUCT(id BIGINT)", "id", "chunk is not a column"},
		"sql sample":                                    {[]drover.Step{pick("id"), sql("SELECT id FROM chunk USING SAMPLE 10%")}, "id BIGINT", "id", "it takes a sample"},
		"sql system clock":                              {[]drover.Step{pick("id"), sql("SELECT system.main.now() AS n FROM chunk")}, "n TIMESTAMP WITH TIME ZONE", "id", "now() is named with its catalog"},
		"sql in parentheses":                            {[]drover.Step{pick("id"), sql("(SELECT id FROM chunk)")}, "id BIGINT", "id", "its SELECT cannot be taken apart"},
		"sql values":                                    {[]drover.Step{pick("id"), sql("SELECT id, r FROM chunk, range(3) t(r)")}, "id BIGINT, r BIGINT", "id", "it reads more than the rows of chunk"},
		"sql aggregating macro":                         {[]drover.Step{pick("id"), sql("SELECT json_group_array(id) AS j FROM chunk")}, "j JSON", "id", "json_group_array(): string_agg() is an aggregate"},
		"now, lambdas and more are row-wise": {
			[]drover.Step{pick("id", "tags"), set(drover.Pair{Key: "n", Value: "now()"}, drover.Pair{Key: "d", Value: "current_date - 1"}, drover.Pair{Key: "t", Value: "list_transform(tags, lambda x: upper(x))"}, drover.Pair{Key: "l", Value: "[x || '!' FOR x IN tags IF x <> '']"}, drover.Pair{Key: "s", Value: "list_sum([1, 2])"}, drover.Pair{Key: "c", Value: "CASE WHEN id IN (1, 2) THEN 'a' ELSE {'k': id}.k::VARCHAR END"}, drover.Pair{Key: "g", Value: "age(DATE '2020-01-01')"})},
			"id BIGINT=id!, tags VARCHAR[]=tags, n TIMESTAMP WITH TIME ZONE, d DATE, t VARCHAR[], l VARCHAR[], s HUGEINT, c VARCHAR, g INTERVAL", "id tags", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Compile(t.Context(), s, tc.steps, 0, companies)
			if err != nil {
				t.Fatal(err)
			}
			if got := brief(c.Output); got != tc.output {
				t.Errorf("output %s\n  want %s", got, tc.output)
			}
			if got := strings.Join(c.Reads, " "); got != tc.reads {
				t.Errorf("reads %q, want %q", got, tc.reads)
			}
			if tc.why != "" {
				tc.why = fmt.Sprintf("step %d (sql): %s", len(tc.steps), tc.why)
			}
			if c.Program.Why != tc.why || c.Program.RowWise != (tc.why == "") {
				t.Errorf("row-wise %v: %q, want %q", c.Program.RowWise, c.Program.Why, tc.why)
			}
			// The program must bind, with the columns promised.
			in := "(SELECT *, 3::BIGINT AS " + step.Tag + " FROM (" + placeholder(companies) + "))"
			query := c.Program.Over(in)
			if !c.Program.RowWise {
				query = c.Program.Chunk(in, 3)
			}
			got, err := s.Describe(t.Context(), query)
			if err != nil {
				t.Fatalf("%v in\n%s", err, query)
			}
			want := append(drover.Schema(nil), c.Output...)
			for i := range want {
				want[i] = drover.Column{Name: want[i].Name, Type: want[i].Type}
				if want[i].Type == "" {
					want[i].Type = "BLOB"
				}
			}
			want = append(want, drover.Column{Name: step.Tag, Type: "BIGINT"})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the program yields %v, want %v", got, want)
			}
		})
	}
}

// TestRule24RefusalsAtPlanTime covers rule 24 and the unknown names, types and tables around it: what is refused, where, and with which words.
func TestRule24RefusalsAtPlanTime(t *testing.T) {
	s := session(t)
	p := func(k, v string) drover.Pair { return drover.Pair{Key: k, Value: v} }
	for name, tc := range map[string]struct {
		steps  []drover.Step
		field  string
		offset int
		msg    string
		hint   string
	}{
		"unknown column in filter":    {[]drover.Step{pick("id", "revenue"), filter("id > 1 and revenu > 5")}, "steps[1].filter", 12, `column "revenu" does not exist`, `Did you mean "revenue"?`},
		"unknown column in set":       {[]drover.Step{set(p("x", "upper(stat)"))}, "steps[0].set.x", 7, `column "stat" does not exist`, `Did you mean "state"?`},
		"TRY":                         {[]drover.Step{filter("TRY(coalesce(name::INT, 1)) > 0")}, "steps[0].filter", 0, "TRY(...) is unsafe", "TRY_CAST"},
		"TRY in sql":                  {[]drover.Step{sql("SELECT max(TRY(name::INT)) AS m FROM chunk")}, "steps[0].sql", 0, "TRY(...) is unsafe", "TRY_CAST"},
		"unknown column in select":    {[]drover.Step{pick("ids")}, "steps[0].select[0]", 0, `column "ids" does not exist`, `Did you mean "id"?`},
		"unknown column in drop":      {[]drover.Step{drop("fax_number")}, "steps[0].drop[0]", 0, `column "fax_number" does not exist`, "the columns here are id, name, state"},
		"unknown column in rename":    {[]drover.Step{rename(p("nam", "x"))}, "steps[0].rename.nam#key", 0, `column "nam" does not exist`, `Did you mean "name"?`},
		"unknown column in cast":      {[]drover.Step{cast(p("nam", "INT"))}, "steps[0].cast.nam#key", 0, `column "nam" does not exist`, `Did you mean "name"?`},
		"unknown column in sql":       {[]drover.Step{sql("SELECT revenu FROM chunk")}, "steps[0].sql", 8, `Binder Error: Referenced column "revenu" not found`, `"revenue"`},
		"a dropped column":            {[]drover.Step{drop("name"), filter("name = 'x'")}, "steps[1].filter", 1, `column "name" does not exist`, ""},
		"set does not see itself":     {[]drover.Step{set(p("x", "id + 1"), p("y", "x + 1"))}, "steps[0].set.y", 1, `column "x" does not exist`, ""},
		"select twice":                {[]drover.Step{pick("id", "ID")}, "steps[0].select[1]", 0, `two columns are called "id"`, "rename or drop one"},
		"drop twice":                  {[]drover.Step{drop("id", "ID")}, "steps[0].drop[1]", 0, `column "ID" is dropped twice`, ""},
		"drop all":                    {[]drover.Step{pick("id"), drop("id")}, "steps[1].drop", 0, "every column is dropped", ""},
		"rename onto another":         {[]drover.Step{rename(p("id", "Name"))}, "steps[0].rename.id", 0, `columns "name" and "Name" differ only in case`, ""},
		"rename two to one":           {[]drover.Step{rename(p("id", "x"), p("name", "x"))}, "steps[0].rename.id", 0, `two columns are called "x"`, ""},
		"rename twice":                {[]drover.Step{rename(p("id", "x"), p("ID", "y"))}, "steps[0].rename.ID#key", 0, `column "ID" is renamed twice`, ""},
		"rename to nothing":           {[]drover.Step{rename(p("id", ""))}, "steps[0].rename.id", 0, `column "id" needs a new name`, ""},
		"rename to the tag":           {[]drover.Step{rename(p("id", step.Tag))}, "steps[0].rename.id", 0, "is drover's own", ""},
		"set twice":                   {[]drover.Step{set(p("x", "1"), p("X", "2"))}, "steps[0].set.X#key", 0, `column "X" is set twice`, "second set step"},
		"set the tag":                 {[]drover.Step{set(p(step.Tag, "1"))}, "steps[0].set." + step.Tag + "#key", 0, "is drover's own", ""},
		"read the tag":                {[]drover.Step{filter(step.Tag + " > 1")}, "steps[0].filter", 1, `column "__drover_tag" does not exist`, ""},
		"read the tag in sql":         {[]drover.Step{sql("SELECT " + step.Tag + " FROM chunk")}, "steps[0].sql", 8, "not found", ""},
		"name the tag in sql":         {[]drover.Step{sql("SELECT id AS " + step.Tag + " FROM chunk")}, "steps[0].sql", 0, "is drover's own", ""},
		"filter is not boolean":       {[]drover.Step{filter("employees")}, "steps[0].filter", 0, "a filter must be BOOLEAN; this is INTEGER", "employees IS NOT NULL"},
		"filter text":                 {[]drover.Step{filter("'true'")}, "steps[0].filter", 0, "a filter must be BOOLEAN; this is VARCHAR", ""},
		"aggregate in filter":         {[]drover.Step{filter("id = max(id)")}, "steps[0].filter", 6, "max() is an aggregate", "SELECT ... FROM chunk"},
		"aggregate in set":            {[]drover.Step{set(p("x", "revenue / sum(revenue)"))}, "steps[0].set.x", 11, "sum() is an aggregate", "SELECT ... FROM chunk"},
		"count star":                  {[]drover.Step{set(p("x", "count(*)"))}, "steps[0].set.x", 1, "count_star() is an aggregate", ""},
		"window in set":               {[]drover.Step{set(p("x", "row_number() OVER ()"))}, "steps[0].set.x", 1, "row_number() OVER is a window function", ""},
		"subquery in set":             {[]drover.Step{set(p("x", "(SELECT 1)"))}, "steps[0].set.x", 1, "a subquery sees other rows", ""},
		"exists in filter":            {[]drover.Step{filter("EXISTS (FROM 'x.parquet')")}, "steps[0].filter", 1, "a subquery sees other rows", ""},
		"random in set":               {[]drover.Step{set(p("x", "random()"))}, "steps[0].set.x", 1, "random() is volatile", "hash()"},
		"uuid in set":                 {[]drover.Step{set(p("x", "uuid()"))}, "steps[0].set.x", 1, "uuid() is volatile", ""},
		"nextval in set":              {[]drover.Step{set(p("x", "nextval('s')"))}, "steps[0].set.x", 1, "nextval() is volatile", ""},
		"setting in set":              {[]drover.Step{set(p("x", "current_setting('threads')"))}, "steps[0].set.x", 1, "current_setting() depends on the session", "the run's start"},
		"system clock in set":         {[]drover.Step{set(p("x", "system.main.now()"))}, "steps[0].set.x", 1, "now() is named with its catalog", ""},
		"unnest in set":               {[]drover.Step{set(p("x", "unnest(tags)"))}, "steps[0].set.x", 1, "unnest() makes several rows", ""},
		"star in set":                 {[]drover.Step{set(p("x", "*"))}, "steps[0].set.x", 1, "* stands for several expressions", ""},
		"COLUMNS in set":              {[]drover.Step{set(p("x", "COLUMNS('i.*')"))}, "steps[0].set.x", 1, "COLUMNS() stands for several", ""},
		"unknown function":            {[]drover.Step{set(p("x", "uper(name)"))}, "steps[0].set.x", 1, "there is no scalar function uper()", `Did you mean "upper"?`},
		"wrong argument":              {[]drover.Step{set(p("x", "1 + upper(employees)"))}, "steps[0].set.x", 5, "Binder Error: No function matches", "Candidate functions"},
		"impossible constant":         {[]drover.Step{set(p("x", "is_active OR 'x'"))}, "steps[0].set.x", 0, "Could not convert string 'x' to BOOL", ""},
		"smuggled FROM":               {[]drover.Step{filter("1) FROM x; --")}, "steps[0].filter", 2, "syntax error", ""},
		"second expression":           {[]drover.Step{set(p("x", "1, 2"))}, "steps[0].set.x", 0, "is not one expression", ""},
		"alias":                       {[]drover.Step{set(p("x", "id AS y"))}, "steps[0].set.x", 0, "is not one expression", ""},
		"its own FROM":                {[]drover.Step{set(p("x", "a FROM 'f.parquet'"))}, "steps[0].set.x", 0, "is not one expression", ""},
		"second statement":            {[]drover.Step{set(p("x", "1; SELECT 2"))}, "steps[0].set.x", 0, "is not one expression", ""},
		"closes and reopens":          {[]drover.Step{set(p("x", "1) AS x, (2"))}, "steps[0].set.x", 2, "syntax error", ""},
		"union":                       {[]drover.Step{set(p("x", "1 UNION SELECT 2"))}, "steps[0].set.x", 0, "is not one expression", ""},
		"open comment":                {[]drover.Step{set(p("x", "1 /* "))}, "steps[0].set.x", 3, "unterminated", ""},
		"placeholder":                 {[]drover.Step{filter("'" + step.Input() + "' = name")}, "steps[0].filter", 0, "/*drover: is reserved", ""},
		"parameter":                   {[]drover.Step{filter("id = ?")}, "steps[0].filter", 0, "have no value here", "${NAME}"},
		"position":                    {[]drover.Step{filter("#1 = 1")}, "steps[0].filter", 1, "#1 and its like", ""},
		"empty":                       {[]drover.Step{set(p("x", " "))}, "steps[0].set.x", 0, "the expression is empty", ""},
		"unknown type":                {[]drover.Step{cast(p("id", "strng"))}, "steps[0].cast.id", 1, "Type with name strng does not exist", `Did you mean "string"?`},
		"type with more":              {[]drover.Step{cast(p("id", "INT), (1"))}, "steps[0].cast.id", 0, "is not a type", ""},
		"type with a default":         {[]drover.Step{cast(p("id", "INT) + CAST(1 AS INT"))}, "steps[0].cast.id", 0, "is not a type", ""},
		"impossible cast":             {[]drover.Step{cast(p("employees", "DATE"))}, "steps[0].cast.employees", 0, "INTEGER cannot be cast to DATE", ""},
		"impossible cast in set":      {[]drover.Step{set(p("x", "1 + employees::DATE"))}, "steps[0].set.x", 14, "INTEGER cannot be cast to DATE", ""},
		"cast twice":                  {[]drover.Step{cast(p("id", "INT"), p("ID", "TEXT"))}, "steps[0].cast.ID#key", 0, "is cast twice", ""},
		"untyped in filter":           {[]drover.Step{filter("address IS NOT NULL")}, "steps[0].filter", 0, `column "address" cannot be read by a step: inet has no exact counterpart`, `cast it in source.postgres.query, for example "address"::text`},
		"untyped in set":              {[]drover.Step{set(p("x", "address::VARCHAR"))}, "steps[0].set.x", 0, `column "address" cannot be read`, "source.postgres.query"},
		"untyped, qualified":          {[]drover.Step{set(p("x", "chunk.address.a"))}, "steps[0].set.x", 0, `column "address" cannot be read`, "source.postgres.query"},
		"untyped in cast":             {[]drover.Step{cast(p("address", "VARCHAR"))}, "steps[0].cast.address", 0, `column "address" cannot be read`, "source.postgres.query"},
		"untyped in sql":              {[]drover.Step{sql("SELECT hex(address) AS h FROM chunk")}, "steps[0].sql", 0, `column "address" cannot be read`, "source.postgres.query"},
		"untyped in an opaque step":   {[]drover.Step{sql("SELECT * FROM chunk ORDER BY id")}, "steps[0].sql", 0, `column "address" cannot pass a step that sees whole chunks`, "drop it in an earlier step"},
		"sql that is no SELECT":       {[]drover.Step{sql("CREATE TABLE x AS FROM chunk")}, "steps[0].sql", 0, "this is not a SELECT", ""},
		"sql that writes":             {[]drover.Step{sql("COPY chunk TO 'x.csv'")}, "steps[0].sql", 0, "this is not a SELECT", ""},
		"two statements":              {[]drover.Step{sql("SELECT * FROM chunk; SELECT 1 FROM chunk")}, "steps[0].sql", 0, "here are 2 statements", ""},
		"another table":               {[]drover.Step{sql("SELECT * FROM orders")}, "steps[0].sql", 15, `a sql step cannot read "orders"`, "the relation chunk alone"},
		"a system table":              {[]drover.Step{sql("SELECT id FROM chunk, duckdb_settings")}, "steps[0].sql", 23, `cannot read "duckdb_settings"`, ""},
		"a qualified chunk":           {[]drover.Step{sql("SELECT * FROM temp.chunk")}, "steps[0].sql", 15, `cannot read "chunk"`, ""},
		"a file":                      {[]drover.Step{sql("SELECT * FROM chunk JOIN 'x.parquet' USING (id)")}, "steps[0].sql", 26, `cannot read "x.parquet"`, ""},
		"read_csv":                    {[]drover.Step{sql("SELECT * FROM chunk, read_csv('/etc/passwd')")}, "steps[0].sql", 22, "cannot call the table function read_csv()", ""},
		"glob in a subquery":          {[]drover.Step{sql("SELECT (SELECT count(*) FROM glob('*')) AS n FROM chunk")}, "steps[0].sql", 30, "cannot call the table function glob()", ""},
		"a file in a CTE":             {[]drover.Step{sql("WITH t AS (FROM 'x.csv') SELECT * FROM chunk, t")}, "steps[0].sql", 17, `cannot read "x.csv"`, ""},
		"a CTE that hides a file":     {[]drover.Step{sql(`SELECT * FROM chunk, (WITH "x.csv" AS (SELECT 1) SELECT 2), 'x.csv'`)}, "steps[0].sql", 0, `a WITH clause cannot define "x.csv"`, ""},
		"a CTE called chunk":          {[]drover.Step{sql("WITH chunk AS (SELECT 1 AS a) SELECT * FROM chunk")}, "steps[0].sql", 0, `a WITH clause cannot define "chunk"`, ""},
		"describe":                    {[]drover.Step{sql("DESCRIBE chunk")}, "steps[0].sql", 0, "DESCRIBE, SHOW and SUMMARIZE", ""},
		"no chunk":                    {[]drover.Step{sql("SELECT 1 AS a")}, "steps[0].sql", 0, "does not read chunk", ""},
		"duplicate columns":           {[]drover.Step{sql("SELECT id, name AS ID FROM chunk")}, "steps[0].sql", 0, `columns "id" and "ID" differ only in case`, ""},
		"sql syntax":                  {[]drover.Step{sql("SELECT * FORM chunk")}, "steps[0].sql", 15, "syntax error", ""},
		"sql unknown after multibyte": {[]drover.Step{sql("SELECT 'éé' AS x,\n nope FROM chunk")}, "steps[0].sql", 22, `Referenced column "nope"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(t.Context(), s, tc.steps, 0, companies)
			if err == nil {
				t.Fatal("accepted")
			}
			var e *drover.Error
			if !errors.As(err, &e) || e.Kind != drover.Invalid {
				t.Fatalf("not an Invalid error: %v", err)
			}
			if e.Field != tc.field || e.Offset != tc.offset {
				t.Errorf("at %s:%d, want %s:%d", e.Field, e.Offset, tc.field, tc.offset)
			}
			if !strings.Contains(e.Message, tc.msg) || !strings.Contains(e.Hint, tc.hint) {
				t.Errorf("got  %q (%q)\nwant %q (%q)", e.Message, e.Hint, tc.msg, tc.hint)
			}
		})
	}
}
