// Command check compares the dataset that the taxi job wrote with its input, without drover: DuckDB counts and adds up both, partition by
// partition.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/droverdata/drover/internal/duck"
)

// compare counts both sides. Partition values are read from the folders' names, as any Hive reader does.
const compare = `
WITH input AS (
	SELECT passenger_count::VARCHAR AS passengers, payment_type AS payment, count(*) AS rows, sum(total_amount::DECIMAL(18,2)) AS amount
	FROM read_parquet(%[1]s) WHERE trip_distance > 1 GROUP BY ALL
),
output AS (
	SELECT passenger_count AS passengers, payment_type AS payment, count(*) AS rows, sum(total_amount::DECIMAL(18,2)) AS amount
	FROM read_parquet(%[2]s, hive_partitioning = true, hive_types = {'passenger_count': VARCHAR, 'payment_type': VARCHAR}) GROUP BY ALL
)
SELECT
	lpad(CASE WHEN grouping(p) = 1 THEN 'all' ELSE coalesce(p, 'NULL') END, 15, ' '),
	lpad(CASE WHEN grouping(p) = 1 THEN count(*)::VARCHAR || ' parts' ELSE coalesce(t, 'NULL') END, 12, ' '),
	lpad(sum(ir)::VARCHAR, 12, ' '), lpad(sum(outr)::VARCHAR, 12, ' '), lpad(sum(ia)::VARCHAR, 16, ' '), lpad(sum(oa)::VARCHAR, 16, ' '),
	CASE WHEN bool_and(ir = outr AND ia = oa) THEN 'same' ELSE 'DIFFERENT' END
FROM (
	SELECT
		coalesce(i.passengers, o.passengers) AS p, coalesce(i.payment, o.payment) AS t, coalesce(i.rows, 0) AS ir, coalesce(o.rows, 0) AS outr,
		coalesce(i.amount, 0) AS ia, coalesce(o.amount, 0) AS oa
	FROM input i FULL JOIN output o ON i.passengers IS NOT DISTINCT FROM o.passengers AND i.payment IS NOT DISTINCT FROM o.payment
)
GROUP BY GROUPING SETS ((p, t), ()) ORDER BY grouping(p), 1, 2`

func main() {
	in := flag.String("in", "examples/taxi/data", "the job's input `folder`")
	out := flag.String("out", "examples/taxi/out", "the job's output `folder`")
	flag.Parse()
	same, err := check(context.Background(), *in, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	if !same {
		fmt.Println("input and output DIFFER")
		os.Exit(1)
	}
}

// check prints both sides and says whether they are the same.
func check(ctx context.Context, in, out string) (same bool, err error) {
	session, err := duck.Open(ctx, duck.Options{Threads: 2})
	if err != nil {
		return false, err
	}
	defer session.Close()
	query := fmt.Sprintf(compare, duck.Literal(filepath.Join(in, "*.parquet")), duck.Literal(filepath.Join(out, "**", "*.parquet")))
	rows, err := session.Query(ctx, query)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	same = true
	fmt.Println("passenger_count payment_type rows in input  and output  amount in input  and output")
	for {
		c, err := rows.Next()
		if err != nil {
			return false, err
		}
		if c.Rows() == 0 {
			return same, nil
		}
		cells := make([][]duck.String, c.Columns())
		for col := range cells {
			cells[col] = duck.Data[duck.String](c.Vector(col))
		}
		for i := range c.Rows() {
			for col := range cells {
				text := string(cells[col][i].Bytes())
				same = same && text != "DIFFERENT"
				fmt.Print(text, " ")
			}
			fmt.Println()
		}
	}
}
