package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// codec compresses pages. It is not safe for concurrent use.
type codec struct {
	id       int32 // parquet.thrift, CompressionCodec
	compress func(dst, src []byte) ([]byte, error)
	// store writes src in the codec's format as it is, and storedSize is how many bytes that takes; nil where it would save little.
	store      func(write func([]byte), src []byte)
	storedSize func(src []byte) int
}

// Compresses reports whether this package has a codec of that name; "" is snappy.
func Compresses(name string) bool {
	return slices.Contains([]string{"", "snappy", "zstd", "gzip", "uncompressed"}, name)
}

func newCodec(name string) (codec, error) {
	switch name {
	case "", "snappy":
		return codec{id: 1, store: storeSnappy, storedSize: storedSnappy, compress: func(dst, src []byte) ([]byte, error) {
			if n := s2.MaxEncodedLen(len(src)); n < 0 {
				return nil, fmt.Errorf("a page of %d bytes is too large for snappy", len(src))
			} else if cap(dst) < n {
				dst = make([]byte, n+n/4)
			}
			return s2.EncodeSnappy(dst[:cap(dst)], src), nil
		}}, nil
	case "zstd":
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
		if err != nil {
			return codec{}, fmt.Errorf("make a zstd encoder: %w", err)
		}
		return codec{id: 6, compress: func(dst, src []byte) ([]byte, error) { return e.EncodeAll(src, dst[:0]), nil }}, nil
	case "gzip":
		w := gzip.NewWriter(nil)
		return codec{id: 2, compress: func(dst, src []byte) ([]byte, error) {
			buf := bytes.NewBuffer(dst[:0])
			w.Reset(buf)
			if _, err := w.Write(src); err != nil {
				return nil, fmt.Errorf("compress a page: %w", err)
			}
			if err := w.Close(); err != nil {
				return nil, fmt.Errorf("compress a page: %w", err)
			}
			return buf.Bytes(), nil
		}}, nil
	case "uncompressed":
		return codec{compress: func(_, src []byte) ([]byte, error) { return src, nil }}, nil
	}
	return codec{}, fmt.Errorf("no codec %q", name)
}

// literalBytes is the most bytes of a literal where Snappy's own encoder cuts them.
const literalBytes = 1 << 16

// storeSnappy writes src as literals alone (google/snappy, format_description.txt, section 2.1).
func storeSnappy(write func([]byte), src []byte) {
	var head [binary.MaxVarintLen64]byte
	write(head[:binary.PutUvarint(head[:], uint64(len(src)))])
	for len(src) > 0 {
		n := min(len(src), literalBytes)
		write(append(head[:0], 61<<2, byte(n-1), byte((n-1)>>8)))
		write(src[:n])
		src = src[n:]
	}
}

func storedSnappy(src []byte) int {
	var head [binary.MaxVarintLen64]byte
	return binary.PutUvarint(head[:], uint64(len(src))) + (len(src)+literalBytes-1)/literalBytes*3 + len(src)
}
