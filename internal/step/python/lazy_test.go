package python

import (
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// A function of polars may be lazy on either side: its annotation says what it takes, and what it returns is collected.
func TestAFunctionOfPolarsMayTakeAndReturnLazyFrames(t *testing.T) {
	const check = "    assert isinstance(df, pl.LazyFrame), type(df)\n"
	for name, code := range map[string]string{
		"lazy to lazy":  "import polars as pl\ndef clean(df: pl.LazyFrame) -> pl.LazyFrame:\n" + check + "    return df.filter(pl.col('id') > 1)",
		"lazy to eager": "import polars as pl\ndef clean(df: pl.LazyFrame) -> pl.DataFrame:\n" + check + "    return df.filter(pl.col('id') > 1).collect()",
		"eager to lazy": "import polars as pl\ndef clean(df: pl.DataFrame):\n    assert isinstance(df, pl.DataFrame)\n    return df.lazy().filter(pl.col('id') > 1)",
		"text":          "from __future__ import annotations\nimport polars as pl\ndef clean(df: pl.LazyFrame, chunk):\n" + check + "    return df.filter(pl.col('id') > 1)",
		"imported name": "from __future__ import annotations\nimport polars as pl\nfrom polars import LazyFrame as L\ndef clean(df: L):\n" + check + "    return df.filter(pl.col('id') > 1)",
		"a subclass":    "import polars as pl\nclass L(pl.LazyFrame): pass\ndef clean(df: L):\n    return df.filter(pl.col('id') > 1)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := Spec{Function: "clean.py:clean"}
			if name == "a subclass" { // its module is not polars'
				spec.Frame = "polars"
			}
			c, _ := start(t, code, func(o *Options) { o.Input, o.Output, o.Spec = answers, answers, spec })
			got, err := call(t, c, "a", rowsOf(t, answers, two))
			if err != nil {
				t.Fatal(kindAndText(err))
			}
			if strings.Count(got, `"id":`) != 1 || !strings.Contains(got, `"id":2`) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// What a lazy answer fails on shows when it is collected, and is the function's.
func TestALazyAnswerThatFailsIsTheFunctionsError(t *testing.T) {
	c, _ := start(t, "import polars as pl\ndef clean(df: pl.LazyFrame): return df.select(pl.col('nme'))", func(o *Options) { o.Input, o.Output = answers, answers })
	_, err := call(t, c, "a", rowsOf(t, answers, two))
	if drover.KindOf(err) != drover.Data || !strings.Contains(kindAndText(err), "clean.py:clean raised ColumnNotFoundError") || !strings.Contains(kindAndText(err), "nme") {
		t.Error(kindAndText(err))
	}
}
