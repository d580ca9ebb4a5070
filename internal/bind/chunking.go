package bind

import (
	"strings"

	"github.com/droverdata/drover"
)

// checkChunking refuses clauses of chunk: that contradict each other. Go programs do not pass through the job file's own checks.
func checkChunking(c drover.Chunking) error {
	bad := func(field, format string, args ...any) *drover.Error {
		return drover.Errorf(drover.Invalid, format, args...).WithField(field)
	}
	ways := 0
	for _, set := range []bool{c.By != "", c.Rows != 0, c.Files != 0} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return bad("chunk", "by, rows and files exclude each other").WithHint("keep one of them")
	case c.Rows < 0:
		return bad("chunk.rows", "a chunk needs at least one row")
	case c.Files < 0:
		return bad("chunk.files", "a chunk needs at least one file")
	case c.Keys != "" && c.By == "":
		return bad("chunk.keys", "keys lists the values of a column").WithHint("add by: COLUMN")
	case c.Spool && c.By == "":
		return bad("chunk.spool", "spool groups the rows by a column").WithHint("add by: COLUMN")
	case c.Others != "" && c.Others != "ignore":
		return bad("chunk.others", "%q is not a choice", c.Others).WithHint("write ignore, or leave it out for one more chunk of all other rows")
	case c.Others != "" && c.Keys == "":
		return bad("chunk.others", "without keys there are no other rows").WithHint("add keys: SELECT ..., or remove others")
	}
	return nil
}

// checkKey refuses a chunk.by that is not a column of the source.
func checkKey(by string, schema drover.Schema) error {
	if by == "" {
		return nil
	}
	i := schema.Index(by)
	switch {
	case i < 0:
		return drover.Errorf(drover.Invalid, "column %q does not exist in the source", by).WithField("chunk.by").
			WithHint("its columns are %s", strings.Join(schema.Names(), ", "))
	case schema[i].Name != by:
		return drover.Errorf(drover.Invalid, "column %q does not exist in the source", by).WithField("chunk.by").
			WithHint("Did you mean %q?", schema[i].Name)
	}
	return nil
}
