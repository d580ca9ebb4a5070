package verify

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// buckets is into how many parts the keys are hashed: 3 changed rows of 10 million leave some 500 to compare, and the counts of both sides take a
// few MiB.
const buckets = 1 << 16

// The names of what a comparison keeps in its session.
const (
	hashes  = "drover_hashes_" // and the side's name: bucket, rows, hash
	differs = "drover_differs" // the buckets whose rows are not the same
	kept    = "drover_kept_"   // and the side's name: the rows of those buckets, in columns c0, c1, ...
)

// formed returns the forms of a side's columns over a relation that has them by their names, as k0, k1, ...
func (c *comparison) formed(s *side, relation string) string {
	list := make([]string, len(c.pairs))
	for i, p := range c.pairs {
		list[i] = s.form(p)(duck.Ident(s.columnOf(p).Name)) + fmt.Sprintf(" AS k%d", i)
	}
	return "(SELECT " + strings.Join(list, ", ") + " FROM " + relation + ")"
}

// names returns prefix0, prefix1, ... up to n.
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = prefix + strconv.Itoa(i)
	}
	return list
}

// bucket is the bucket of a row of formed.
func (c *comparison) bucket() string {
	return fmt.Sprintf("(hash(%s) %% %d)::INTEGER", strings.Join(names("k", c.keys), ", "), buckets)
}

// rowHash is the hash of a whole row of formed. It is hashed again, so that sums of the hashes of columns do not cancel out in sums of rows.
func (c *comparison) rowHash() string {
	list := names("k", len(c.pairs))
	for i, p := range c.pairs {
		if nested(c.l.kind(p.left)) {
			list = append(list, fmt.Sprintf("CAST(k%d AS VARCHAR)", i)) // DuckDB has one hash for an empty list and NULL
		}
	}
	return "hash(hash(" + strings.Join(list, ", ") + "))"
}

// columns returns the source columns that a side is read with.
func (c *comparison) columns(s *side) []string {
	list := make([]string, len(c.pairs))
	for i, p := range c.pairs {
		list[i] = s.columnOf(p).Name
	}
	return list
}

// scan runs a statement over all rows of a side. The side may leave out rows that do not meet where.
func (c *comparison) scan(ctx context.Context, s *side, where []step.Condition, statement func(relation string) string) error {
	rows, err := s.rows(ctx, c.s, c.columns(s), where)
	if err == nil && c.within != nil && s == c.l {
		rows = c.limited(rows)
	}
	if err == nil {
		err = c.s.Exec(ctx, statement(rows))
	}
	if err != nil {
		return &sideError{side: s, name: s.name(c.o), err: err}
	}
	return nil
}

// hash counts and hashes the rows of both sides by bucket, and finds the buckets that differ.
func (c *comparison) hash(ctx context.Context) error {
	c.span = c.findSpan(ctx)
	block, sets := "NULL::INTEGER", "(b, g)"
	if c.span != nil {
		block, sets = c.span.block(), "(b), (g)"
	}
	for _, s := range []*side{c.l, c.r} {
		err := c.scan(ctx, s, nil, func(rows string) string {
			return fmt.Sprintf("CREATE TABLE %s%s AS SELECT b, g, count(*) AS n, sum(h) AS h FROM (SELECT %s AS b, %s AS g, %s AS h FROM %s) GROUP BY GROUPING SETS (%s)",
				hashes, s.which, c.bucket(), block, c.rowHash(), c.formed(s, rows), sets)
		})
		if err != nil {
			return err
		}
	}
	err := c.s.Exec(ctx, fmt.Sprintf(`CREATE TABLE %[1]s AS SELECT coalesce(l.b, r.b) AS b, coalesce(l.g, r.g) AS g
		FROM %[2]sleft AS l FULL JOIN %[2]sright AS r ON coalesce(l.b, -9) = coalesce(r.b, -9) AND coalesce(l.g, -9) = coalesce(r.g, -9)
		WHERE l.n IS DISTINCT FROM r.n OR l.h IS DISTINCT FROM r.h`, differs, hashes))
	if err != nil {
		return fmt.Errorf("compare the hashes: %w", err)
	}
	counts, err := c.numbers(ctx, fmt.Sprintf("SELECT (SELECT coalesce(sum(n), 0) FROM %[1]sleft WHERE b IS NOT NULL), (SELECT coalesce(sum(n), 0) FROM %[1]sright WHERE b IS NOT NULL), (SELECT count(b) FROM %[2]s)", hashes, differs))
	if err != nil {
		return err
	}
	c.found.Left.Rows, c.found.Right.Rows, c.found.buckets = counts[0], counts[1], counts[2]
	if c.span == nil {
		return nil
	}
	list, err := c.s.Texts(ctx, fmt.Sprintf("SELECT g FROM %s WHERE g IS NOT NULL ORDER BY g LIMIT %d", differs, mostRanges+1))
	if err != nil {
		return fmt.Errorf("compare the hashes: %w", err)
	}
	return c.span.choose(list)
}

// numbers reads one row of integers.
func (c *comparison) numbers(ctx context.Context, query string) ([]int64, error) {
	rows, err := c.s.Texts(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("count the differences: %w", err)
	}
	list := make([]int64, len(rows[0]))
	for i, t := range rows[0] {
		if t == nil {
			return nil, drover.Errorf(drover.Refused, "count the differences: a count is missing")
		}
		if list[i], err = strconv.ParseInt(*t, 10, 64); err != nil {
			return nil, fmt.Errorf("count the differences: %w", err)
		}
	}
	return list, nil
}
