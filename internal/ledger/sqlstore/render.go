package sqlstore

import (
	"regexp"
	"strings"
	"sync"
)

// Renderer turns templates into one dialect. The macros:
//
//	@table(run)            the qualified name of a table of the ledger
//	@after($3)             the time so many microseconds from now
//	@micros(started_at)    a time as microseconds since 1970
//	key @any($2)           the value is in the list $2
//	@rows($2, id bigint, bounds json)   a JSON array of objects as relation r
//	@token                 a statement that yields the next token
//	@indexed(chunk_claimable)           SQLite would walk all chunks of the run without this advice
//	@lock, @skiplocked     row locks
type Renderer struct {
	Table      func(name string) string
	After      func(micros string) string
	Micros     func(column string) string
	Any        func(param string) string
	Rows       func(param string, columns [][2]string) string
	Token      string
	Indexed    func(index string) string
	Lock       string
	SkipLocked string

	rendered sync.Map // template -> SQL
}

var macro = regexp.MustCompile(`@(table|after|micros|any|rows|indexed)\(([^)]*)\)|@(token|lock|skiplocked)\b`)

// Render returns the template in the dialect. Templates are constants, so each is rendered once.
func (r *Renderer) Render(template string) string {
	if sql, ok := r.rendered.Load(template); ok {
		return sql.(string) //nolint:forcetypeassert // nothing else is stored
	}
	sql := macro.ReplaceAllStringFunc(template, func(text string) string {
		m := macro.FindStringSubmatch(text)
		arg := m[2]
		switch m[1] + m[3] {
		case "table":
			return r.Table(arg)
		case "after":
			return r.After(arg)
		case "micros":
			return r.Micros(arg)
		case "any":
			return r.Any(arg)
		case "indexed":
			return r.Indexed(arg)
		case "token":
			return r.Token
		case "lock":
			return r.Lock
		case "skiplocked":
			return r.SkipLocked
		}
		param, list, _ := strings.Cut(arg, ", ")
		var columns [][2]string
		for column := range strings.SplitSeq(list, ", ") {
			name, typ, _ := strings.Cut(column, " ")
			columns = append(columns, [2]string{name, typ})
		}
		return r.Rows(param, columns)
	})
	r.rendered.Store(template, sql)
	return sql
}
