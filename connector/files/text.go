package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/droverdata/drover/internal/storage"
)

// text is the content of a text file: decompressed as its name says, and without a byte order mark.
type text struct {
	*bufio.Reader
	close func() error
}

func (t *text) Close() error { return t.close() }

// errEncoding is about files that are not UTF-8.
var errEncoding = errors.New("it is UTF-16 or UTF-32, and text files are read as UTF-8: convert it, for example with iconv -f UTF-16 -t UTF-8")

// openText opens a text file.
func openText(ctx context.Context, store storage.Store, path string) (_ *text, err error) {
	f, err := store.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	out := &text{close: f.Close}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	var in io.Reader = bufio.NewReaderSize(io.NewSectionReader(f, 0, f.Size()), 1<<18)
	switch name := strings.ToLower(path); {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("decompress it: %w", err)
		}
		in, out.close = z, func() error { return errors.Join(z.Close(), f.Close()) }
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("decompress it: %w", err)
		}
		in, out.close = z, func() error { z.Close(); return f.Close() }
	}
	out.Reader = bufio.NewReaderSize(in, 1<<18)
	head, err := out.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		_, err := out.Discard(3)
		return out, err
	}
	if len(head) >= 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff || head[0] == 0 || head[1] == 0) {
		return nil, errEncoding
	}
	return out, nil
}
