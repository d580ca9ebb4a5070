package ledger

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// NewUID returns a random run uid: 128 bits as 32 hex digits.
func NewUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails: see crypto/rand.Read
	return hex.EncodeToString(b[:])
}

// letters leaves out those that are read as one another.
const letters = "23456789abcdefghjkmnpqrstuvwxyz"

// NewID returns a made-up run ID like "r-k3f9". It is not unique by itself.
func NewID() string {
	id := []byte("r-____")
	var b [1]byte
	for i := 2; i < len(id); {
		_, _ = rand.Read(b[:])
		// Values beyond the largest multiple of the alphabet would favour its first letters.
		if n := int(b[0]); n < 256/len(letters)*len(letters) {
			id[i] = letters[n%len(letters)]
			i++
		}
	}
	return string(id)
}

// Text is s as a ledger stores it: valid UTF-8 without NUL, which not every database takes.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
