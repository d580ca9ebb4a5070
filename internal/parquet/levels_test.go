package parquet

import (
	"encoding/binary"
	"slices"
	"testing"
)

// decode reads n codes of the RLE / bit-packing hybrid, by the specification and nothing else.
func decode(t *testing.T, b []byte, width uint, n int) []uint32 {
	var out []uint32
	for len(out) < n {
		header, k := binary.Uvarint(b)
		if k <= 0 {
			t.Fatalf("%d codes of %d, and no run begins", len(out), n)
		}
		b = b[k:]
		if header&1 == 0 {
			var v uint32
			for i := uint(0); i < width; i += 8 {
				v |= uint32(b[0]) << i
				b = b[1:]
			}
			for range header >> 1 {
				out = append(out, v)
			}
			continue
		}
		for i := range uint(header>>1) * 8 {
			var v uint32
			for j := range width {
				bit := i*width + j
				v |= uint32(b[bit/8]>>(bit%8)&1) << j
			}
			out = append(out, v)
		}
		b = b[uint(header>>1)*width:]
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes are left over", len(b))
	}
	return out[:n]
}

// FuzzHybrid takes pairs of a code and how often it repeats.
func FuzzHybrid(f *testing.F) {
	f.Add([]byte{1, 16, 0, 3, 1, 40, 2, 1}, uint8(1))
	f.Add([]byte{7, 7, 9, 9, 200, 200}, uint8(8))
	f.Add([]byte{255, 255, 0, 1}, uint8(15))
	f.Fuzz(func(t *testing.T, runs []byte, bits uint8) {
		width := uint(bits%32) + 1
		var codes []uint32
		for i := 0; i+1 < len(runs); i += 2 {
			code := uint32(uint64(runs[i]) * 0x01010101 & (1<<width - 1))
			codes = append(codes, slices.Repeat([]uint32{code}, int(runs[i+1]))...)
		}
		got := decode(t, hybrid([]byte{}, codes, width), width, len(codes))
		if !slices.Equal(got, codes) {
			t.Fatalf("width %d: %v became %v", width, codes, got)
		}
		present := make([]byte, len(codes))
		for i, c := range codes {
			present[i], codes[i] = byte(c&1), c&1
		}
		levels := definitionLevels([]byte{9}, present)
		if n := binary.LittleEndian.Uint32(levels[1:]); int(n) != len(levels)-5 || levels[0] != 9 {
			t.Fatalf("levels of %d bytes say %d", len(levels)-5, n)
		}
		if got := decode(t, levels[5:], 1, len(codes)); !slices.Equal(got, codes) {
			t.Fatalf("levels %v became %v", codes, got)
		}
	})
}

// FuzzTexts takes texts, cut where a byte is 0, in pages of many sizes: short, long, repeated and NULL.
func FuzzTexts(f *testing.F) {
	f.Add([]byte("a\x00bb\x00\x00seven77\x00eight888\x00a long text of more than twelve bytes"), uint16(3), uint16(600))
	f.Add([]byte("x"), uint16(1), uint16(9000))
	f.Fuzz(func(t *testing.T, data []byte, stride, rows uint16) {
		readBack(t, data, int(stride)+1, int(rows)%20000)
	})
}
