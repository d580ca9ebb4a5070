package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// withinTable is the keys that rows of the left must have to be compared, as k0, k1, ...
const withinTable = "drover_within"

// withinForms bring the left's keys and those of Options.Within together, which may be of other types than the right's.
func (c *comparison) withinForms() (left, keys []string, err error) {
	for _, p := range c.pairs[:c.keys] {
		i := c.within.schema.Index(p.left.Name)
		if i < 0 {
			return nil, nil, fmt.Errorf("the keys of the sample have no column %s", p.left.Name)
		}
		k := c.within.schema[i]
		lf, kf, ok := forms(c.l.kind(p.left), c.within.kind(k), c.l.untyped[p.left.Name], false)
		if !ok {
			return nil, nil, drover.Errorf(drover.Invalid, "key column %s is %s in the truth and %s in the source: no two rows could belong together", p.left.Name, typeOf(p.left), typeOf(k))
		}
		left = append(left, lf("q."+duck.Ident(p.left.Name)))
		keys = append(keys, kf(duck.Ident(k.Name)))
	}
	return left, keys, nil
}

// limit reads the keys that the left is limited to.
func (c *comparison) limit(ctx context.Context) error {
	if c.within == nil {
		return nil
	}
	_, keys, err := c.withinForms()
	if err != nil {
		return err
	}
	for i := range keys {
		keys[i] += fmt.Sprintf(" AS k%d", i)
	}
	rows, err := c.within.rows(ctx, c.s, c.within.schema.Names(), nil)
	if err == nil {
		err = c.s.Exec(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT DISTINCT %s FROM %s", withinTable, strings.Join(keys, ", "), rows))
	}
	if err != nil {
		return fmt.Errorf("read the keys of the sample: %w", err)
	}
	return nil
}

// limited is the rows of the left whose keys are within.
func (c *comparison) limited(rows string) string {
	left, _, err := c.withinForms()
	if err != nil {
		return rows // limit has refused it
	}
	on := make([]string, len(left))
	for i, l := range left {
		on[i] = fmt.Sprintf("%s IS NOT DISTINCT FROM w.k%d", l, i)
	}
	return fmt.Sprintf("(SELECT q.* FROM %s AS q SEMI JOIN %s AS w ON %s)", rows, withinTable, strings.Join(on, " AND "))
}
