package files

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// union returns a parenthesised SELECT over parts of files: the bound columns, each of its bound type, and the tag. Files of one shape and one
// set of partition columns are read by one scan, which tells them apart by their number.
func (r *relation) union(parts []part) string {
	type group struct {
		kind  int
		parts []part
	}
	var order []string
	groups := map[string]*group{}
	for i, p := range parts {
		kind := r.kind[p.path(r.sv.Roots)]
		id := strconv.Itoa(kind)
		for _, h := range parseHive(p.Rel) {
			id += "\x00" + h.Column
		}
		if r.sv.Format == formatCSV && p.Size > sampleAll {
			id += "\x00" // no column's name is empty
		}
		if p.To > 0 || r.arrow != nil || shadowed(r.shapes[kind]) {
			id = "alone" + strconv.Itoa(i)
		}
		g, ok := groups[id]
		if !ok {
			g = &group{kind: kind}
			groups[id] = g
			order = append(order, id)
		}
		g.parts = append(g.parts, p)
	}
	selects := make([]string, len(order))
	for i, id := range order {
		selects[i] = r.group(groups[id].kind, groups[id].parts)
	}
	if len(selects) == 0 {
		selects = []string{r.none()}
	}
	return "(" + strings.Join(selects, "\nUNION ALL\n") + ")"
}

// none is a SELECT of no rows.
func (r *relation) none() string {
	var cols []string
	for _, c := range r.schema {
		cols = append(cols, fmt.Sprintf("NULL::%s AS %s", c.Type, duck.Ident(c.Name)))
	}
	return "SELECT " + strings.Join(append(cols, "0::BIGINT AS "+tagIdent()), ", ") + " WHERE false"
}

// group is the SELECT over files of one shape.
func (r *relation) group(kind int, parts []part) string {
	sh := drover.Schema(r.shapes[kind])
	hive := parseHive(parts[0].Rel)
	var cols []string
	for _, c := range r.schema {
		name := duck.Ident(c.Name)
		expr := "NULL::" + c.Type
		if h := lastHive(hive, c.Name); h >= 0 {
			expr = r.hiveValue(c, parts, h)
			if i := sh.Index(c.Name); i >= 0 {
				expr = r.sameAsFolder(c, expr, duck.Ident(sh[i].Name), parts)
			}
		} else if i := sh.Index(c.Name); i >= 0 {
			expr = duck.Ident(sh[i].Name)
			if r.checks(parts[0].piece, c.Name) {
				expr = checkedCSV(c.Name, expr, c.Type, r.fileName(parts))
			} else if r.sv.Format == formatCSV || r.sv.Format == formatJSON || sh[i].Type != c.Type {
				expr = "CAST(" + expr + " AS " + c.Type + ")"
			}
		}
		cols = append(cols, expr+" AS "+name)
	}
	tags := make([]string, len(parts))
	same := true
	for i, p := range parts {
		tags[i] = strconv.Itoa(p.tag)
		same = same && p.tag == parts[0].tag
	}
	tag := tags[0] + "::BIGINT"
	if !same {
		tag = pick("[" + strings.Join(tags, ",") + "]::BIGINT[]")
	}
	sql := "SELECT " + strings.Join(append(cols, tag+" AS "+tagIdent()), ", ") + " FROM " + r.reader(sh, parts)
	if p := parts[0]; p.To > 0 {
		// DuckDB skips the row groups that this excludes.
		sql += fmt.Sprintf(" WHERE file_row_number >= %d AND file_row_number < %d", p.From, p.To)
	}
	return sql
}

// pick takes the current file's element of a list.
func pick(list string) string { return "(" + list + ")[file_index::BIGINT + 1]" }

// lastHive returns the innermost partition folder of a column, or -1.
func lastHive(hive []hivePart, column string) int {
	for i := len(hive) - 1; i >= 0; i-- {
		if strings.EqualFold(hive[i].Column, column) {
			return i
		}
	}
	return -1
}

// hiveValue is a partition column's value, from the files' paths.
func (r *relation) hiveValue(c drover.Column, parts []part, h int) string {
	values := make([]string, len(parts))
	same := true
	for i, p := range parts {
		v := parseHive(p.Rel)[h]
		values[i] = "NULL"
		if !v.Null {
			values[i] = duck.Literal(v.Value)
		}
		same = same && values[i] == values[0]
	}
	expr := values[0]
	if !same {
		expr = pick("[" + strings.Join(values, ",") + "]::VARCHAR[]")
	}
	return "CAST(" + expr + " AS " + c.Type + ")"
}

// sameAsFolder is a folder's value where the file's own column of that name has it too, and else an error.
func (r *relation) sameAsFolder(c drover.Column, folder, column string, parts []part) string {
	message := duck.Literal("column " + c.Name + " is in a file and in its folder's name, with different values: ")
	absent := "" // a record of JSON may lack any key
	if r.sv.Format == formatJSON {
		absent = column + " IS NULL OR "
	}
	return "CASE WHEN " + absent + "CAST(" + column + " AS " + c.Type + ") IS NOT DISTINCT FROM " + folder + " THEN " + folder +
		" ELSE CAST(error(" + message + " || coalesce(CAST(" + column + " AS VARCHAR), 'NULL') || ' and ' || coalesce(CAST(" + folder + " AS VARCHAR), 'NULL') || ' in ' || " + r.fileName(parts) + ") AS " + c.Type + ") END"
}

// fileName is the path of the file that a row is in.
func (r *relation) fileName(parts []part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = duck.Literal(p.path(r.sv.Roots))
	}
	if len(parts) == 1 {
		return names[0]
	}
	return pick("[" + strings.Join(names, ",") + "]::VARCHAR[]")
}

// reader is the call that reads the files.
func (r *relation) reader(sh drover.Schema, parts []part) string {
	paths := make([]string, len(parts))
	for i, p := range parts {
		name := p.path(r.sv.Roots)
		if r.arrow != nil {
			return r.arrow[name]
		}
		paths[i] = globEscape(name)
	}
	switch r.sv.Format {
	case formatCSV:
		return fmt.Sprintf("read_csv(%s, hive_partitioning=false, compression=%s, %s, columns=%s)",
			literals(paths), duck.Literal(cmp.Or(r.sv.staged, "auto")), r.sv.Dialect.options(), r.columns(sh, parts[0].piece))
	case formatJSON:
		return fmt.Sprintf("read_json(%s, format='auto', hive_partitioning=false, compression=%s, columns=%s)", literals(paths), duck.Literal(cmp.Or(r.sv.staged, "auto_detect")), r.columns(sh, parts[0].piece))
	}
	return fmt.Sprintf("read_parquet(%s, hive_partitioning=false, union_by_name=false)", literals(paths))
}

// columns is the names of text files' columns with the types that they were bound to.
func (r *relation) columns(sh drover.Schema, p piece) string {
	cols := make([]string, len(sh))
	for i, c := range sh {
		typ := "VARCHAR"
		if j := r.schema.Index(c.Name); j >= 0 && !r.checks(p, c.Name) && (r.sv.staged == "" || r.sv.Format != formatCSV) {
			typ = r.schema[j].Type
		}
		cols[i] = duck.Literal(c.Name) + ": " + duck.Literal(typ)
	}
	return "{" + strings.Join(cols, ", ") + "}"
}

// byKey returns the SELECTs of chunks by key: those of single values in one scan, and the rest.
func (r *relation) byKey(chunks []int) []string {
	all := r.union(r.foldersOf(chunks))
	columns := idents(r.schema.Names())
	var selects, values, tags []string
	var column drover.Column
	for _, i := range chunks {
		by := r.chunks[i].By
		column = r.schema[r.schema.Index(by.Column)]
		key := duck.Ident(column.Name)
		where := key + " IS NULL"
		switch {
		case by.Other:
			if len(by.Not) > 0 {
				where += " OR " + key + " NOT IN (" + typed(by.Not, column.Type) + ")"
			} else {
				where = "true"
			}
		case !by.Null:
			values = append(values, by.Value)
			tags = append(tags, strconv.Itoa(i))
			continue
		}
		selects = append(selects, fmt.Sprintf("SELECT %s, %d::BIGINT AS %s FROM %s WHERE %s", columns, i, tagIdent(), all, where))
	}
	if len(values) > 0 {
		key := duck.Ident(column.Name)
		tag := tags[0] + "::BIGINT"
		if len(values) > 1 {
			tag = fmt.Sprintf("([%s]::BIGINT[])[list_position([%s], %s)]", strings.Join(tags, ","), typed(values, column.Type), key)
		}
		selects = append(selects, fmt.Sprintf("SELECT %s, %s AS %s FROM %s WHERE %s IN (%s)", columns, tag, tagIdent(), all, key, typed(values, column.Type)))
	}
	return selects
}

// foldersOf returns the files that may hold rows of some chunks by key: where the key is a partition column, those in its values' folders. Only
// of texts and of integers that print back the same, the folder's name is the value.
func (r *relation) foldersOf(chunks []int) []part {
	all := r.everything()
	column := r.chunks[chunks[0]].By.Column
	i := r.schema.Index(column)
	if drover.Schema(r.sv.Hive).Index(column) < 0 || r.schema[i].Type != "VARCHAR" && r.schema[i].Type != "BIGINT" {
		return all
	}
	wanted := map[string]bool{}
	for _, c := range chunks {
		by := r.chunks[c].By
		if by.Other || by.Null || by.Column != column {
			return all
		}
		wanted[by.Value] = true
	}
	return slices.DeleteFunc(all, func(p part) bool {
		hive := parseHive(p.Rel)
		h := lastHive(hive, column)
		if h < 0 {
			return false
		}
		name := hive[h].Value
		return !hive[h].Null && !wanted[name] && (r.schema[i].Type == "VARCHAR" || printsAsInteger(name))
	})
}

// typed lists values as constants of a type, so that they are compared under it.
func typed(values []string, typ string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = "CAST(" + duck.Literal(v) + " AS " + typ + ")"
	}
	return strings.Join(out, ", ")
}
