package parquet

import "encoding/binary"

// minRun is the shortest repeat that becomes an RLE run: shorter ones cost more than they save.
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
// of at least minRun become RLE runs, the rest bit-packed runs. width is from 1 to 32.
func hybrid(dst []byte, codes []uint32, width uint) []byte {
	from := 0 // the first code that is not written
	literals := func(to int) {
		if to > from {
			dst = binary.AppendUvarint(dst, uint64(to-from+7)/8<<1|1)
			dst = bitpack(dst, codes[from:to], width)
		}
	}
	for i := 0; i < len(codes); {
		j, c := i+1, codes[i]
		for j < len(codes) && codes[j] == c {
			j++
		}
		// A bit-packed run holds a multiple of 8 codes unless it is the last: it takes what lacks from the repeat.
		pad := (8 - (i-from)%8) % 8
		if j-i-pad >= minRun {
			literals(i + pad)
			dst = binary.AppendUvarint(dst, uint64(j-i-pad)<<1)
			for b := uint(0); b < width; b += 8 {
				dst = append(dst, byte(c>>b))
			}
			from = j
		}
		i = j
	}
	literals(len(codes))
	return dst
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
func definitionLevels(dst []byte, present []byte, codes []uint32) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	codes = codes[:len(present)]
	for i, p := range present {
		codes[i] = uint32(p)
	}
	dst = hybrid(dst, codes, 1)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
