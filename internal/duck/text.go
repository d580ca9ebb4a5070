package duck

import (
	"context"

	db "github.com/duckdb/duckdb-go-bindings"
)

// Texts runs a SELECT and returns its rows with every value as text; nil is NULL. It is for small answers.
func (s *Session) Texts(ctx context.Context, query string) ([][]*string, error) {
	rows, err := s.Query(ctx, "SELECT COLUMNS(*)::VARCHAR FROM (\n"+query+"\n)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]*string
	for {
		c, err := rows.Next()
		if err != nil {
			return nil, err
		}
		n := c.Rows()
		if n == 0 {
			return out, nil
		}
		at := len(out)
		for range n {
			out = append(out, make([]*string, c.Columns()))
		}
		for j := range c.Columns() {
			v := c.Vector(j)
			mask, data := v.Mask(), Data[String](v)
			for i := range n {
				if Valid(mask, i) {
					text := string(data[i].Bytes())
					out[at+i][j] = &text
				}
			}
		}
	}
}

// Names returns the names of the statement's columns as they were written: unlike Describe's they may repeat.
func (st *Stmt) Names() []string {
	names := make([]string, db.PreparedStatementColumnCount(st.st))
	for i := range names {
		names[i] = db.PreparedStatementColumnName(st.st, db.IdxT(i))
	}
	return names
}
