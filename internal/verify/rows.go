package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover/internal/duck"
)

const (
	// pairedRows is the rows that have no equal on the other side: lr and rr are their numbers in the kept tables, NULL where there is no row to
	// compare with; d0, d1, ... say which columns differ, and k0, k1, ... are the key.
	pairedRows = "drover_paired"
	// alone is, with a side's name, the numbers of rows without an equal on the other side.
	alone = "drover_alone_"
)

// compareRows compares the rows of the buckets that differ. Equal rows are taken away first, each with one of the other side; what is left of a key is
// paired in the order of its values. So of two rows on the left and three on the right with one key, two are changed and one is extra.
func (c *comparison) compareRows(ctx context.Context) error {
	for _, s := range []*side{c.l, c.r} {
		if err := c.keep(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range [][2]string{{"left", "right"}, {"right", "left"}} {
		if err := c.s.Exec(ctx, fmt.Sprintf("CREATE TABLE %s%s AS WITH a AS %s, o AS %s SELECT a.r FROM a ANTI JOIN o ON a.h = o.h AND a.d = o.d",
			alone, s[0], c.numbered(s[0]), c.numbered(s[1]))); err != nil {
			return fmt.Errorf("look for equal rows: %w", err)
		}
	}
	if err := c.s.Exec(ctx, c.pairing()); err != nil {
		return fmt.Errorf("compare rows: %w", err)
	}
	if err := c.count(ctx); err != nil {
		return err
	}
	return c.samples(ctx)
}

// keep stores the rows of the buckets that differ as they were read. What does not fit in memory spills.
func (c *comparison) keep(ctx context.Context, s *side) error {
	list := make([]string, len(c.pairs))
	for i, p := range c.pairs {
		name := duck.Ident(s.columnOf(p).Name)
		list[i] = name + fmt.Sprintf(" AS c%d", i)
	}
	key := make([]string, c.keys)
	for i, p := range c.pairs[:c.keys] {
		key[i] = s.form(p)(duck.Ident(s.columnOf(p).Name))
	}
	first := s.columnOf(c.pairs[0]).Name
	return c.scan(ctx, s, c.span.conditions(first), func(rows string) string {
		return fmt.Sprintf("CREATE TABLE %s%s AS SELECT %s FROM %s WHERE %s AND (hash(%s) %% %d)::INTEGER IN (SELECT b FROM %s WHERE b IS NOT NULL)",
			kept, s.which, strings.Join(list, ", "), rows, c.span.where(first), strings.Join(key, ", "), buckets, differs)
	})
}

// keptForms returns a SELECT of r, the number of a kept row, its forms, and its floats as f0, f1, ... where the tolerance needs them.
func (c *comparison) keptForms(which string) string {
	list := []string{"rowid AS r"}
	for i, p := range c.pairs {
		f := p.lf
		if which == "right" {
			f = p.rf
		}
		list = append(list, f(fmt.Sprintf("c%d", i))+fmt.Sprintf(" AS k%d", i))
		if c.tolerant(p) {
			list = append(list, fmt.Sprintf("TRY_CAST(CAST(c%d AS VARCHAR) AS DOUBLE) AS f%[1]d", i))
		}
	}
	return "(SELECT " + strings.Join(list, ", ") + " FROM " + kept + which + ")"
}

func (c *comparison) tolerant(p pair) bool { return p.float && !p.key && c.o.Tolerance > 0 }

// numbered returns a SELECT of r, the row's hash h, and d: the how manieth row with this hash it is.
func (c *comparison) numbered(which string) string {
	return fmt.Sprintf("(SELECT r, h, row_number() OVER (PARTITION BY h) AS d FROM (SELECT r, %s AS h FROM %s))", c.rowHash(), c.keptForms(which))
}

// pairing makes the table pairedRows.
func (c *comparison) pairing() string {
	keys := names("k", c.keys)
	var order, floats, on, out []string
	for i, p := range c.pairs[c.keys:] {
		k := fmt.Sprintf("k%d", c.keys+i)
		if c.tolerant(p) {
			floats = append(floats, k) // last: they may differ a little between rows that belong together
		} else {
			order = append(order, k)
		}
	}
	order = append(append(order, floats...), "r")
	for _, k := range keys {
		on = append(on, "l."+k+" IS NOT DISTINCT FROM r."+k)
		out = append(out, "coalesce(l."+k+", r."+k+") AS "+k)
	}
	for i, p := range c.pairs[c.keys:] {
		n := c.keys + i
		differ := fmt.Sprintf("l.k%d IS DISTINCT FROM r.k%[1]d", n)
		if c.tolerant(p) {
			lf, rf := fmt.Sprintf("l.f%d", n), fmt.Sprintf("r.f%d", n)
			differ = fmt.Sprintf("CASE WHEN isfinite(%[1]s) AND isfinite(%[2]s) THEN abs(%[1]s - %[2]s) > CAST(%[3]v AS DOUBLE) * greatest(1, abs(%[1]s), abs(%[2]s)) ELSE %[4]s END",
				lf, rf, c.o.Tolerance, differ)
		}
		out = append(out, fmt.Sprintf("%s AS d%d", differ, n))
	}
	one := func(which string) string {
		return fmt.Sprintf("(SELECT *, row_number() OVER (PARTITION BY %s ORDER BY %s) AS p FROM %s SEMI JOIN %s%s USING (r))",
			strings.Join(keys, ", "), strings.Join(order, ", "), c.keptForms(which), alone, which)
	}
	return fmt.Sprintf("CREATE TABLE %s AS SELECT l.r AS lr, r.r AS rr, %s FROM %s AS l FULL JOIN %s AS r ON %s AND l.p = r.p",
		pairedRows, strings.Join(out, ", "), one("left"), one("right"), strings.Join(on, " AND "))
}

// The conditions that tell the rows of pairedRows apart.
const (
	isMissing = "rr IS NULL"
	isExtra   = "lr IS NULL"
)

func (c *comparison) isChanged() string {
	any := []string{"false"}
	for i := range c.pairs[c.keys:] {
		any = append(any, fmt.Sprintf("d%d", c.keys+i))
	}
	return "(lr IS NOT NULL AND rr IS NOT NULL AND (" + strings.Join(any, " OR ") + "))"
}

// count counts the differences by kind and by column.
func (c *comparison) count(ctx context.Context) error {
	list := []string{isMissing, isExtra, c.isChanged()}
	for i := range c.pairs[c.keys:] {
		list = append(list, fmt.Sprintf("lr IS NOT NULL AND rr IS NOT NULL AND d%d", c.keys+i))
	}
	for i, condition := range list {
		list[i] = "count(*) FILTER (WHERE " + condition + ")"
	}
	n, err := c.numbers(ctx, "SELECT "+strings.Join(list, ", ")+" FROM "+pairedRows)
	if err != nil {
		return err
	}
	c.found.Missing, c.found.Extra, c.found.Changed = n[0], n[1], n[2]
	for i, p := range c.pairs[c.keys:] {
		if k := n[3+i]; k > 0 {
			c.found.Columns = append(c.found.Columns, ColumnChanges{Column: p.left.Name, Changed: k})
		}
	}
	return nil
}

// samples reads a few rows of each kind, in the order of the key.
func (c *comparison) samples(ctx context.Context) error {
	for _, k := range []struct{ kind, condition string }{{Changed, c.isChanged()}, {Missing, isMissing}, {Extra, isExtra}} {
		list := []string{}
		for i := range c.pairs {
			list = append(list, fmt.Sprintf("l.c%d::VARCHAR AS l%[1]d", i), fmt.Sprintf("r.c%d::VARCHAR AS r%[1]d", i))
			if i >= c.keys {
				list = append(list, fmt.Sprintf("coalesce(p.d%d, false)::VARCHAR AS d%[1]d", i))
			}
		}
		query := fmt.Sprintf("SELECT %s FROM (SELECT * FROM %s WHERE %s ORDER BY %s, lr, rr LIMIT %d) AS p LEFT JOIN %[6]sleft AS l ON l.rowid = p.lr LEFT JOIN %[6]sright AS r ON r.rowid = p.rr ORDER BY %[7]s, p.lr, p.rr",
			strings.Join(list, ", "), pairedRows, k.condition, strings.Join(names("k", c.keys), ", "), max(c.o.Samples, 0), kept, strings.Join(names("p.k", c.keys), ", "))
		rows, err := c.s.Texts(ctx, query)
		if err != nil {
			return fmt.Errorf("read samples of the differences: %w", err)
		}
		for _, row := range rows {
			c.found.Samples = append(c.found.Samples, c.sample(k.kind, row))
		}
	}
	return nil
}

// sample makes one of a row of texts: left and right of each column, and behind those that are no key whether they differ.
func (c *comparison) sample(kind string, row []*string) Sample {
	s := Sample{Kind: kind}
	at := 0
	for i, p := range c.pairs {
		v := Value{Column: p.left.Name, Left: row[at], Right: row[at+1]}
		at += 2
		if p.key {
			text := v.Left
			if kind == Extra {
				text = v.Right
			}
			s.Key = append(s.Key, Field{p.left.Name, text})
			continue
		}
		if differs := row[at]; kind != Changed || i >= c.keys && *differs == "true" {
			s.Values = append(s.Values, v)
		}
		at++
	}
	return s
}
