package parquet

import "encoding/binary"

// minRun is the shortest repeat that becomes an RLE run, two groups of 8: shorter ones cost more than they save.
const minRun = 16

// bitpack appends codes of width bits each, least significant bit first, and zeros up to a multiple of 8 codes.
func bitpack(dst []byte, codes []uint32, width uint) []byte {
	start := len(dst)
	need := (len(codes) + 7) / 8 * int(width)
	if cap(dst)-start < need+8 {
		grown := make([]byte, start, (start+need+8)*2)
		copy(grown, dst)
		dst = grown
	}
	out := dst[start : start+need+8]
	at := 0
	var acc uint64
	var bits uint
	for _, c := range codes {
		acc |= uint64(c) << bits
		bits += width
		if bits >= 64 {
			binary.LittleEndian.PutUint64(out[at:], acc)
			at += 8
			bits -= 64
			acc = uint64(c) >> (width - bits)
		}
	}
	binary.LittleEndian.PutUint64(out[at:], acc)
	if at+8 < need {
		clear(out[at+8 : need])
	}
	return dst[:start+need]
}

// hybrid appends codes in Parquet's RLE / bit-packing hybrid (apache/parquet-format, Encodings.md, "RLE = 3"), without a length in front: repeats
// that fill minRun codes from a multiple of 8 on become RLE runs, the rest bit-packed runs, which hold a multiple of 8 codes unless they are the last. width is
// from 1 to 32.
func hybrid(dst []byte, codes []uint32, width uint) []byte {
	from := 0 // the first code that is not written; i is a multiple of 8 after it
	literals := func(to int) {
		if to > from {
			dst = binary.AppendUvarint(dst, uint64(to-from+7)/8<<1|1)
			dst = bitpack(dst, codes[from:to], width)
		}
	}
	for i := 0; i+minRun <= len(codes); {
		g, c := codes[i:i+minRun], codes[i]
		if g[minRun-1] != c || g[minRun/2] != c || !repeats(g) {
			i += 8
			continue
		}
		j := i + minRun
		for j < len(codes) && codes[j] == c {
			j++
		}
		literals(i)
		dst = binary.AppendUvarint(dst, uint64(j-i)<<1)
		for b := uint(0); b < width; b += 8 {
			dst = append(dst, byte(c>>b))
		}
		from, i = j, j
	}
	literals(len(codes))
	return dst
}

// repeats reports whether all codes are the first.
func repeats(codes []uint32) bool {
	for _, c := range codes[1:] {
		if c != codes[0] {
			return false
		}
	}
	return true
}

// levelsRoom is the most bytes that presentLevels appends.
const levelsRoom = 16

// presentLevels appends the definition levels of n values of which none is NULL: one RLE run of ones, with its length in front as in a V1 data page.
func presentLevels(dst []byte, n int) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	dst = append(dst, 1)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// definitionLevels appends the definition levels of values of which present says 1, or 0 for a NULL.
func definitionLevels(dst []byte, present []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = hybridBits(dst, present)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// hybridBits is hybrid for codes of 0 and 1, a byte each, and a width of 1: 8 of them are one word.
func hybridBits(dst, bits []byte) []byte {
	const ones = 0x0101010101010101
	from := 0
	literals := func(to int) {
		if to > from {
			dst = binary.AppendUvarint(dst, uint64(to-from+7)/8<<1|1)
			dst = packBits(dst, bits[from:to])
		}
	}
	for i := 0; i+minRun <= len(bits); {
		word := binary.LittleEndian.Uint64(bits[i:])
		if word != 0 && word != ones || binary.LittleEndian.Uint64(bits[i+8:]) != word {
			i += 8
			continue
		}
		j := i + minRun
		for j+8 <= len(bits) && binary.LittleEndian.Uint64(bits[j:]) == word {
			j += 8
		}
		for j < len(bits) && bits[j] == byte(word) {
			j++
		}
		literals(i)
		dst = append(binary.AppendUvarint(dst, uint64(j-i)<<1), byte(word))
		from, i = j, j
	}
	literals(len(bits))
	return dst
}

// packBits appends bits of a byte each, least significant first, and zeros up to a multiple of 8.
func packBits(dst, bits []byte) []byte {
	for ; len(bits) >= 8; bits = bits[8:] {
		// The product's top byte gathers the lowest bit of each byte, without a carry.
		dst = append(dst, byte(binary.LittleEndian.Uint64(bits)*0x0102040810204080>>56))
	}
	if len(bits) > 0 {
		var last byte
		for i, b := range bits {
			last |= b << i
		}
		dst = append(dst, last)
	}
	return dst
}
