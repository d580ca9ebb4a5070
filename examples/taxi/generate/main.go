// Command generate writes a year of made-up taxi trips as Parquet files: the columns of New York's yellow taxis of 2017, with the
// NULLs and the dirt that real ones have. The same seed makes the same trips.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/droverdata/drover/internal/duck"
	"golang.org/x/sync/errgroup"
)

//go:embed trips.sql
var trips string

func main() {
	out := flag.String("out", "examples/taxi/data", "the `folder` to write to")
	rows := flag.Int64("rows", 3_000_000, "how many trips in all")
	files := flag.Int64("files", 12, "how many files")
	seed := flag.Int64("seed", 2017, "which trips: the same seed makes the same ones")
	flag.Parse()
	start := time.Now()
	size, err := generate(context.Background(), *out, *rows, *files, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d trips in %d files, %d MB, in %.1fs\n", *out, *rows, *files, size/1e6, time.Since(start).Seconds())
}

// generate writes the files side by side and returns their size in bytes.
func generate(ctx context.Context, out string, rows, files, seed int64) (size int64, err error) {
	if rows < 0 || files < 1 {
		return 0, fmt.Errorf("%d rows in %d files cannot be made", rows, files)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	names := make([]string, files)
	for i := range files {
		names[i] = filepath.Join(out, fmt.Sprintf("yellow_tripdata_2017-%02d.parquet", i+1))
		first, end := rows*i/files, rows*(i+1)/files
		group.Go(func() error { return write(ctx, names[i], first, end-first, max(rows, 1), seed) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, nil
}

// write makes one file, whole or not at all.
func write(ctx context.Context, name string, first, rows, total, seed int64) (err error) {
	session, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return err
	}
	defer session.Close()
	temp := name + ".part"
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(temp))
		}
	}()
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	sql := strings.NewReplacer("{{first}}", number(first), "{{rows}}", number(rows), "{{total}}", number(total),
		"{{seed}}", number(seed), "{{file}}", duck.Literal(temp)).Replace(trips)
	if err := session.Exec(ctx, sql); err != nil {
		return err
	}
	return os.Rename(temp, name)
}
