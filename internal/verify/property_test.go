package verify_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/droverdata/drover"
)

// row is a row of the property test: two parts of a key, which need not be unique, and values, as SQL literals that every system reads alike.
type row struct{ k1, k2, n, amount, f, city string }

func (r row) key() string { return r.k1 + "|" + r.k2 }

// rows makes random rows with some NULLs and some keys in common.
func rows(rng *rand.Rand, n int) []row {
	list := make([]row, n)
	for i := range list {
		list[i] = row{
			k1: maybe(rng, fmt.Sprint(rng.IntN(n))), k2: fmt.Sprintf("'%c'", 'a'+rng.IntN(2)),
			n: maybe(rng, fmt.Sprint(rng.IntN(3)-1)), amount: maybe(rng, fmt.Sprintf("%d.%02d", rng.IntN(3), rng.IntN(2)*50)),
			f: maybe(rng, fmt.Sprintf("%d.5", rng.IntN(3))), city: maybe(rng, fmt.Sprintf("'%s'", []string{"", "a", "ü x", "NULL"}[rng.IntN(4)])),
		}
	}
	return list
}

func maybe(rng *rand.Rand, value string) string {
	if rng.IntN(8) == 0 {
		return "NULL"
	}
	return value
}

// mutate removes, adds and changes a few rows.
func mutate(rng *rand.Rand, list []row) []row {
	list = append([]row(nil), list...)
	for range rng.IntN(6) {
		i := rng.IntN(len(list))
		switch rng.IntN(4) {
		case 0:
			list = append(list[:i], list[i+1:]...)
		case 1:
			list = append(list, list[i])
		case 2:
			list = append(list, rows(rng, len(list))[i])
		default:
			fresh := rows(rng, 1)[0]
			switch rng.IntN(3) {
			case 0:
				list[i].city = fresh.city
			case 1:
				list[i].n, list[i].f = fresh.n, fresh.f
			default:
				list[i].amount = fresh.amount
			}
		}
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// model is what a comparison must find.
func model(left, right []row) (missing, extra, changed int64) {
	count := map[string]map[row]int{}
	for sign, list := range map[int][]row{1: left, -1: right} {
		for _, r := range list {
			if count[r.key()] == nil {
				count[r.key()] = map[row]int{}
			}
			count[r.key()][r] += sign
		}
	}
	for _, rows := range count {
		l, r := int64(0), int64(0)
		for _, n := range rows {
			l, r = l+int64(max(n, 0)), r+int64(max(-n, 0))
		}
		both := min(l, r)
		missing, extra, changed = missing+l-both, extra+r-both, changed+both
	}
	return missing, extra, changed
}

// selected is rows as a SELECT with these types.
func selected(list []row, types [6]string) string {
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + strings.Join([]string{r.k1, r.k2, r.n, r.amount, r.f, r.city}, ", ") + ")")
	}
	names := [6]string{"k1", "k2", "n", "amount", "f", "city"}
	cast := make([]string, len(names))
	for i, n := range names {
		cast[i] = "CAST(" + n + " AS " + types[i] + ") AS " + n
	}
	return "SELECT " + strings.Join(cast, ", ") + " FROM (VALUES " + b.String() + ") AS t(" + strings.Join(names[:], ", ") + ")"
}

func TestDiffFindsExactlyTheMutations(t *testing.T) {
	db := newDatabase(t)
	systems := []struct {
		name string
		make func(*testing.T, string) drover.Source
		// types are sets to choose from: equal values of all of them are equal.
		types [][6]string
	}{
		{"parquet", parquet, [][6]string{
			{"INTEGER", "VARCHAR", "TINYINT", "DECIMAL(9,2)", "DOUBLE", "VARCHAR"},
			{"BIGINT", "VARCHAR", "DOUBLE", "DOUBLE", "FLOAT", "VARCHAR"},
		}},
		{"postgres", db.table, [][6]string{
			{"bigint", "text", "integer", "numeric", "real", "varchar(10)"},
			{"numeric(20,3)", "varchar(3)", "smallint", "numeric(12,4)", "double precision", "text"},
		}},
		{"csv", csv, [][6]string{{"INTEGER", "VARCHAR", "TINYINT", "DECIMAL(9,2)", "DOUBLE", "VARCHAR"}}},
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for try := range 24 {
		left := rows(rng, 5+rng.IntN(40))
		right := mutate(rng, left)
		if len(right) == 0 {
			continue
		}
		missing, extra, changed := model(left, right)
		ls, rs := systems[try%3], systems[try/3%3]
		l := ls.make(t, selected(left, ls.types[rng.IntN(len(ls.types))]))
		r := rs.make(t, selected(right, rs.types[rng.IntN(len(rs.types))]))
		o := options(t, l, r, "k1", "k2")
		if rng.IntN(3) == 0 {
			o.Tolerance = 1e-9
		}
		found := diffWith(t, o)
		want(t, found, missing, extra, changed)
		if found.Equal != (missing+extra+changed == 0) || len(found.Samples) != int(missing+extra+changed) || len(found.Types) > 0 {
			t.Errorf("equal %v, %d samples, types %v", found.Equal, len(found.Samples), found.Types)
		}
		if found.Left.Rows != int64(len(left)) || found.Right.Rows != int64(len(right)) {
			t.Errorf("%d and %d rows", found.Left.Rows, found.Right.Rows)
		}
		if t.Failed() {
			t.Fatalf("seed %d, try %d: %s and %s, tolerance %v", seed, try, ls.name, rs.name, o.Tolerance)
		}
	}
}
