package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/protocol"
)

func chunksOf(bytes ...int64) []connector.Chunk {
	all := make([]connector.Chunk, len(bytes))
	for i, b := range bytes {
		all[i] = connector.Chunk{ID: int64(i), Key: fmt.Sprint("k", i), Bytes: b}
	}
	return all
}

func keys(chunks []connector.Chunk) string {
	list := make([]string, len(chunks))
	for i, c := range chunks {
		list[i] = c.Key
	}
	return strings.Join(list, " ")
}

func TestPickSpreadsOverThePlanAndHasTheLargest(t *testing.T) {
	for _, c := range []struct {
		bytes []int64
		n     int
		want  string
	}{
		{nil, 5, ""},
		{[]int64{1}, 5, "k0"},
		{[]int64{1, 2, 3, 4, 5, 6, 70, 8, 9, 10, 11}, 1, "k6"},
		{[]int64{1, 2, 3, 4, 5, 6, 70, 8, 9, 10, 11}, 3, "k0 k6 k10"},
		{[]int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 5, "k0 k2 k4 k6 k10"},
	} {
		got, err := pick(chunksOf(c.bytes...), Options{Chunks: c.n})
		if err != nil || keys(got) != c.want {
			t.Errorf("%d of %v: %s, %v; want %s", c.n, c.bytes, keys(got), err, c.want)
		}
	}
	got, err := pick(chunksOf(1, 2, 3), Options{Only: []string{"zip=k2", "k0", "k2"}, Job: drover.Job{Frame: drover.Frame{Chunk: drover.Chunking{By: "zip"}}}})
	if err != nil || keys(got) != "k2 k0" {
		t.Errorf("by name: %s, %v", keys(got), err)
	}
	if _, err := pick(chunksOf(1), Options{Only: []string{"no"}}); drover.KindOf(err) != drover.Invalid {
		t.Errorf("an unknown key: %v", err)
	}
}

func TestBound(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		source, sink string
		m            protocol.Profile
		want         string
	}{
		{"postgres", "postgres", protocol.Profile{Read: s, Transform: s, Total: 2 * s, CPU: 2 * s}, "cpu"},
		{"postgres", "postgres", protocol.Profile{Read: 2 * s, Transform: 2 * s, Total: 3 * s, CPU: s, Server: 2 * s}, "server"},
		{"postgres", "files", protocol.Profile{Read: 2 * s, Transform: 2 * s, Total: 3 * s, CPU: s, Server: s / 10}, "network"},
		{"files", "postgres", protocol.Profile{Read: s, Transform: s, Total: 5 * s, CPU: s}, "server"},
		{"files", "files", protocol.Profile{Read: 3 * s, Transform: 3 * s, Total: 4 * s, CPU: s}, "disk"},
	} {
		if got, why := (ends{c.source, c.sink}).bound(c.m); got != c.want || why == "" {
			t.Errorf("%+v: %s (%s), want %s", c, got, why, c.want)
		}
	}
}

func TestWorkersFitTheBudget(t *testing.T) {
	for _, c := range []struct {
		memory, peak int64
		cores, want  int
		by           string
	}{
		{4 << 30, 100 << 20, 2, 2, "cores"},
		{1 << 30, 400 << 20, 8, 2, "memory"},
		{256 << 20, 400 << 20, 8, 1, "memory"},
	} {
		r := Report{PeakMemoryBytes: c.peak, TotalChunks: 100}
		r.workers(Options{Memory: c.memory, Cores: c.cores})
		if r.RecommendedWorkers != c.want || r.LimitedBy != c.by {
			t.Errorf("%+v: %d by %s", c, r.RecommendedWorkers, r.LimitedBy)
		}
	}
}

func TestChartIsXMLWhateverTheNames(t *testing.T) {
	r := Report{
		Job: `<a & "b">`, Columns: []Column{{Name: "x<y", Type: "BIGINT", Bytes: 8, DowncastType: "TINYINT", DowncastBytes: 1}, {Name: "empty"}},
		Chunks: []Chunk{{Key: "]]>&", Read: 1, Write: 2}, {Key: strings.Repeat("é", 100)}},
	}
	var svg bytes.Buffer
	if err := r.WriteSVG(&svg); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&svg)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCastStepQuotesWhatYAMLWouldMisread(t *testing.T) {
	got := CastStep([]drover.Pair{{Key: "a", Value: "DECIMAL(9,2)"}, {Key: "no", Value: "INTEGER"}, {Key: "it's: #1", Value: "DATE"}}, "  ")
	want := `  - cast: {a: 'DECIMAL(9,2)', 'no': INTEGER, 'it''s: #1': DATE}`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
