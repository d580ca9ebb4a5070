package python

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover"
)

// answers is the schema that the answers of this file are fitted to.
var answers = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "small", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
	{Name: "price", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
	{Name: "rate", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "exact", Type: arrow.PrimitiveTypes.Float64},
	{Name: "name", Type: text, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
	{Name: "seen", Type: zoned, Nullable: true},
	{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "tags", Type: arrow.ListOf(int32s), Nullable: true},
}, nil)

const two = `[
	{"id": 1, "small": 2, "price": "12.50", "rate": 0.5, "exact": 1, "name": "Ada", "day": "2026-11-21", "at": "2026-11-21T10:00:00", "seen": "2026-11-21T10:00:00Z", "flag": true, "tags": [1]},
	{"id": 2, "small": null, "price": null, "rate": null, "exact": 2, "name": null, "day": null, "at": null, "seen": null, "flag": null, "tags": null}
]`

// answer is one thing that a function does to df, and what comes of it: the cells of a column, or an error with these parts.
type answer struct {
	code   string
	column string
	cells  string
	wrong  []string
}

func testAnswers(t *testing.T, frame, imports string, cases map[string]answer) {
	t.Helper()
	var code strings.Builder
	code.WriteString(imports + "\n")
	for key, c := range cases {
		fmt.Fprintf(&code, "def f%x(df):\n    %s\n    return df\n", key, strings.ReplaceAll(c.code, "\n", "\n    "))
	}
	code.WriteString("def clean(df, chunk): return globals()['f' + chunk.key.encode().hex()](df)\n")
	child, l := start(t, code.String(), func(o *Options) { o.Input, o.Output, o.Spec.Frame = answers, answers, frame })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := call(t, child, name, rowsOf(t, answers, two))
			if len(c.wrong) == 0 {
				if err != nil {
					t.Fatal(kindAndText(err), l.text())
				}
				var cells []string
				for line := range strings.Lines(got) {
					_, cell, _ := strings.Cut(line, `"`+c.column+`":`)
					cells = append(cells, strings.TrimRight(strings.SplitN(cell, `,"`, 2)[0], "}\n"))
				}
				if strings.Join(cells, " ") != c.cells {
					t.Errorf("got %s, want %s", strings.Join(cells, " "), c.cells)
				}
				return
			}
			for _, want := range c.wrong {
				if drover.KindOf(err) != drover.Data || !strings.Contains(kindAndText(err), want) {
					t.Errorf("got %s, want %s", kindAndText(err), want)
				}
			}
		})
	}
}

func TestAnAnswerIsFittedToTheSchemaOnlyWhereNothingIsLost(t *testing.T) {
	testAnswers(t, "pandas", "import datetime, decimal\nimport numpy as np, pandas as pd, polars, pyarrow as pa\nD = decimal.Decimal", map[string]answer{
		"any order of columns":        {`df = df[df.columns[::-1]]`, "id", "1 2", nil},
		"any order of rows":           {`df = df[::-1]`, "id", "2 1", nil},
		"an unnamed index":            {`df.index = [7, 7]`, "id", "1 2", nil},
		"fewer rows":                  {`df = df[df["id"] > 1]`, "id", "2", nil},
		"no row":                      {`df = df[df["id"] > 5]`, "id", "", nil},
		"int64 into smallint":         {`df["small"] = [32767, -32768]`, "small", "32767 -32768", nil},
		"whole floats into integers":  {`df["small"] = [1.0, np.nan]`, "small", "1 null", nil},
		"objects into integers":       {`df["small"] = pd.Series([1, None], dtype=object)`, "small", "1 null", nil},
		"all NULL":                    {`df["small"] = None`, "small", "null null", nil},
		"NaN is NULL in NumPy":        {`df["rate"] = [np.nan, 1.0]`, "rate", "null 1", nil},
		"NaN is NaN where NOT NULL":   {`df["exact"] = [np.nan, 1.0]`, "exact", `"NaN" 1`, nil},
		"NaN is NaN in Arrow":         {`df["rate"] = pd.array(pa.array([float("nan"), None]), dtype=pd.ArrowDtype(pa.float64()))`, "rate", `"NaN" null`, nil},
		"decimals of another scale":   {`df["price"] = [D("1.5"), D("2.500")]`, "price", `"1.5" "2.5"`, nil},
		"floats of two digits":        {`df["price"] = [0.1, 1234567890.12]`, "price", `"0.1" "1234567890.12"`, nil},
		"short floats of two digits":  {`df["price"] = np.array([0.1, 1234.56], dtype="float32")`, "price", `"0.1" "1234.56"`, nil},
		"integers into decimals":      {`df["price"] = [1, 9999999999]`, "price", `"1" "9999999999"`, nil},
		"decimals into floats":        {`df["rate"] = [D("0.5"), None]`, "rate", "0.5 null", nil},
		"categories":                  {`df["name"] = df["name"].astype("category")`, "name", `"Ada" null`, nil},
		"dates as objects":            {`df["day"] = [datetime.date(2026, 1, 2), None]`, "day", `"2026-01-02" null`, nil},
		"midnights into dates":        {`df["day"] = pd.to_datetime(["2026-01-02", None])`, "day", `"2026-01-02" null`, nil},
		"dates into timestamps":       {`df["at"] = df["day"]`, "at", `"2026-11-21T00:00:00" null`, nil},
		"nanoseconds without a digit": {`df["at"] = df["at"].astype("datetime64[ns]")`, "at", `"2026-11-21T10:00:00" null`, nil},
		"another time zone":           {`df["seen"] = df["seen"].dt.tz_convert("Asia/Tokyo")`, "seen", `"2026-11-21T10:00:00Z" null`, nil},
		"lists of int64":              {`df["tags"] = pd.Series([[1, None], []])`, "tags", `[1,null] []`, nil},
		"lists of NumPy":              {`df["tags"] = pd.Series([np.array([1, 2]), None])`, "tags", `[1,2] null`, nil},
		"a frame of polars":           {`df = polars.from_pandas(df)`, "id", "1 2", nil},
		"a table of pyarrow":          {`df = pa.Table.from_pandas(df, preserve_index=False)`, "id", "1 2", nil},

		"nothing":                       {"return", "", "", []string{"clean.py:clean returned None", "inplace=True"}},
		"a series":                      {`df = df["id"]`, "", "", []string{"returned a pandas.Series, not a pandas.DataFrame", ".to_frame()"}},
		"a number":                      {`df = 3`, "", "", []string{"returned a int, not a pandas.DataFrame"}},
		"a lazy frame":                  {`df = polars.from_pandas(df).lazy()`, "", "", []string{"LazyFrame, not a pandas.DataFrame", ".collect()"}},
		"a missing column":              {`del df["rate"]`, "", "", []string{"returned a frame without the column rate |", "expected are id, small"}},
		"two missing columns":           {`df = df.drop(columns=["rate", "id"])`, "", "", []string{"without the columns id, rate"}},
		"an extra column":               {`df["x"] = 1`, "", "", []string{"with the column x, which is not expected"}},
		"another case":                  {`df = df.rename(columns={"id": "ID"})`, "", "", []string{"without the column id and with the column ID", "upper and lower case count"}},
		"a column in the index":         {`df = df.set_index("id")`, "", "", []string{"without the column id", "id is the frame's index: return df.reset_index()"}},
		"a column twice":                {`df = df[["id", *df.columns]]`, "", "", []string{"two columns named id"}},
		"a column named by a number":    {`df[0] = 1`, "", "", []string{"a column named 0, which is a int and not text"}},
		"a column without a name":       {`df[""] = 1`, "", "", []string{"clean.py:clean returned a column without a name"}},
		"columns of two levels":         {`df.columns = pd.MultiIndex.from_product([["a"], df.columns])`, "", "", []string{"a column named ('a', 'id'), which is a tuple and not text"}},
		"NULL where NOT NULL":           {`df["id"] = [None, 3]`, "", "", []string{"column id of the answer is NULL in 1 row, the first at position 0"}},
		"text into integers":            {`df["small"] = ["1", "2"]`, "", "", []string{"column small of the answer has dtype str, expected int16"}},
		"integers into text":            {`df["name"] = [1, 2]`, "", "", []string{"column name of the answer has dtype int64, expected string"}},
		"too large":                     {`df["small"] = [32768, 1]`, "", "", []string{"column small of the answer has dtype int64, expected int16: ", "32768"}},
		"fractions into integers":       {`df["small"] = [1.5, 2]`, "", "", []string{"column small", "float64, expected int16"}},
		"fractions in objects":          {`df["small"] = pd.Series([1.5, 2], dtype=object)`, "", "", []string{"column small", "object (double), expected int16"}},
		"decimals in integers":          {`df["small"] = [D("1.5"), D(2)]`, "", "", []string{"column small", "expected int16"}},
		"more digits than the scale":    {`df["price"] = [D("1.005"), None]`, "", "", []string{"column price", "expected decimal128(12, 2)"}},
		"a float of more digits":        {`df["price"] = [1.005, 2]`, "", "", []string{"column price of the answer has dtype float64, expected decimal128(12, 2), which does not hold 1.005 exactly", "round"}},
		"a decimal too large":           {`df["price"] = [D("10000000000"), None]`, "", "", []string{"column price", "expected decimal128(12, 2)"}},
		"an integer too large":          {`df["price"] = [10000000000, 1]`, "", "", []string{"column price", "expected decimal128(12, 2)"}},
		"an integer no float holds":     {`df["rate"] = [9007199254740993, 1]`, "", "", []string{"column rate", "int64, expected double"}},
		"a decimal no float holds":      {`df["rate"] = [D("9007199254740993.1"), None]`, "", "", []string{"column rate", "expected double, which does not hold 9007199254740993.1 exactly"}},
		"booleans into integers":        {`df["small"] = [True, False]`, "", "", []string{"column small of the answer has dtype bool, expected int16"}},
		"integers into booleans":        {`df["flag"] = [1, 0]`, "", "", []string{"column flag of the answer has dtype int64, expected bool"}},
		"a time of day in a date":       {`df["day"] = pd.to_datetime(["2026-01-02 10:00", None])`, "", "", []string{"column day", "which does not hold 2026-01-02 10:00:00 exactly", "normalize"}},
		"a datetime object in a date":   {`df["day"] = pd.Series([datetime.datetime(2026, 1, 2, 10), None], dtype=object)`, "", "", []string{"column day", "expected date32[day]"}},
		"nanoseconds":                   {`df["at"] = pd.to_datetime(["2026-01-02 10:00:00.000000001", None])`, "", "", []string{"column at", "expected timestamp[us]"}},
		"no zone where one is expected": {`df["seen"] = df["at"]`, "", "", []string{"column seen of the answer has dtype datetime64[us], expected timestamp[us, tz=UTC]", "tz_localize('UTC')"}},
		"a zone where none is expected": {`df["at"] = df["seen"]`, "", "", []string{"column at of the answer has dtype datetime64[us, UTC], expected timestamp[us]", "tz_localize(None)"}},
		"mixed objects":                 {`df["name"] = pd.Series(["a", 1], dtype=object)`, "", "", []string{"column name of the answer, dtype object, expected string"}},
		"lists of fractions":            {`df["tags"] = pd.Series([[1.5], None])`, "", "", []string{"column tags", "expected list<"}},
		"periods":                       {`df["at"] = pd.period_range("2026", periods=2, freq="M")`, "", "", []string{"column at of the answer has dtype period[M]"}},
		"complex numbers":               {`df["rate"] = [1j, 2]`, "", "", []string{"column rate of the answer, complex128, has no Arrow type"}},
	})
}

func TestAnswersOfPolarsAndPyarrowAreFittedToo(t *testing.T) {
	testAnswers(t, "polars", "import polars as pl", map[string]answer{
		"another width":    {`df = df.with_columns(small=pl.col("id").cast(pl.Int64))`, "small", "1 2", nil},
		"categories":       {`df = df.with_columns(name=pl.col("name").cast(pl.Categorical))`, "name", `"Ada" null`, nil},
		"text in integers": {`df = df.with_columns(small=pl.lit("1"))`, "", "", []string{"column small of the answer has dtype String, expected int16"}},
		"a missing column": {`df = df.drop("id")`, "", "", []string{"without the column id"}},
		"a series":         {`df = df["id"]`, "", "", []string{"returned a polars.series.series.Series, not a polars.DataFrame"}},
		"NULL":             {`df = df.with_columns(id=pl.lit(None, pl.Int64))`, "", "", []string{"column id of the answer is NULL in 2 rows, the first at position 0"}},
	})
	testAnswers(t, "pyarrow", "import pyarrow as pa, pyarrow.compute as pc", map[string]answer{
		"another width":  {`df = df.set_column(1, "small", df["id"])`, "small", "1 2", nil},
		"large text":     {`df = df.set_column(5, "name", df["name"].cast(pa.large_string()))`, "name", `"Ada" null`, nil},
		"two chunks":     {`df = pa.concat_tables([df, df])`, "id", "1 2 1 2", nil},
		"too large":      {`df = df.set_column(1, "small", pc.add(df["id"], 40000))`, "", "", []string{"column small", "int64, expected int16"}},
		"a record batch": {`df = df.to_batches()[0]`, "", "", []string{"returned a pyarrow.lib.RecordBatch, not a pyarrow.Table"}},
	})
}

// Where the schema is learned, the answer's types are taken as they come.
func TestAnAnswerWithoutASchemaKeepsItsTypes(t *testing.T) {
	c, _ := start(t, `
import pandas as pd
def clean(df, chunk):
    if chunk.key == "index": return df.set_index("id")
    if chunk.key == "case": return df.assign(ID=1)
    return pd.DataFrame({"n": [1, 2], "f": [0.5, None], "t": ["a", None], "c": pd.Categorical(["x", "y"]), "at": pd.to_datetime(["2026-01-01", None]), "none": None})
`, func(o *Options) { o.Input = people })
	got, err := call(t, c, "types", rowsOf(t, people, ada))
	want := `{"at":"2026-01-01T00:00:00","c":"x","f":0.5,"n":1,"none":null,"t":"a"}` + "\n" + `{"at":null,"c":"y","f":null,"n":2,"none":null,"t":null}`
	if err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := call(t, c, "index", rowsOf(t, people, ada)); !strings.Contains(kindAndText(err), "has an index named id, which is no column | return df.reset_index()") {
		t.Errorf("got %v", err)
	}
	if _, err := call(t, c, "case", rowsOf(t, people, ada)); !strings.Contains(kindAndText(err), "the columns id and ID, which differ only in case") {
		t.Errorf("got %v", err)
	}
}

// Where the job has rejects, the sink rejects the rows that are NULL where they must not be, one by one.
func TestNullsPassNotNullWhereTheSinkRejectsRows(t *testing.T) {
	c, _ := start(t, `
import pandas as pd
def clean(df): return df.assign(id=pd.array([None, 2], "Int64"))
`, func(o *Options) { o.Input, o.Output, o.Rejects = answers, answers, true })
	got, err := call(t, c, "nulls", rowsOf(t, answers, two))
	if err != nil || strings.Count(got, `"id":null`) != 1 || !strings.Contains(got, `"id":2`) {
		t.Errorf("got %s, %v", got, err)
	}
}
