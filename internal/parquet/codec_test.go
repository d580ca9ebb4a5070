package parquet

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/snappy"
)

func TestStoredPagesAreSnappy(t *testing.T) {
	for _, n := range []int{0, 1, 60, 61, 1<<16 - 1, 1 << 16, 1<<16 + 1, 200_000} {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(i*i>>3 + i)
		}
		var stored []byte
		storeSnappy(func(b []byte) { stored = append(stored, b...) }, src)
		if len(stored) != storedSnappy(src) {
			t.Errorf("%d bytes take %d, not %d", n, len(stored), storedSnappy(src))
		}
		got, err := snappy.Decode(nil, stored)
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes became %d: %v", n, len(got), err)
		}
	}
}

// A column of noise is stored but for a trial now and then; one that repeats is compressed throughout.
func TestPagesThatCompressAreCompressed(t *testing.T) {
	size := func(value, compression string) int64 {
		files := write(t, "SELECT "+value+" AS v FROM range(200000) t(i)", 0, Options{Dir: t.TempDir(), Compression: compression})
		var total int64
		for _, f := range files {
			total += fileSize(t, f.Path)
		}
		return total
	}
	if plain, snappy := size("hash(i)", "uncompressed"), size("hash(i)", ""); snappy > plain+plain/500 {
		t.Errorf("noise of %d bytes takes %d", plain, snappy)
	}
	if plain, snappy := size("i * 1000", "uncompressed"), size("i * 1000", ""); snappy > plain*2/3 {
		t.Errorf("a sequence of %d bytes takes %d", plain, snappy)
	}
	// Noise at first: the trials find what comes after it.
	const turn = "CASE WHEN i < 100000 THEN hash(i) ELSE (i * 1000)::UBIGINT END"
	if plain, snappy := size(turn, "uncompressed"), size(turn, ""); snappy > plain*11/12 {
		t.Errorf("noise and then a sequence of %d bytes take %d", plain, snappy)
	}
}
