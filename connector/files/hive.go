package files

import (
	"fmt"
	"strings"
)

// hiveNull is the folder name of a NULL partition value.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// hiveEscape percent-encodes a partition column or value as Hive's FileUtils.escapePathName and Spark's ExternalCatalogUtils do:
// control characters and the ones with a meaning in paths; anything else, UTF-8 included, stays.
func hiveEscape(text string) string {
	const special = "\"#%'*/:=?\\{[]^\x7f"
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || strings.ContainsRune(special, r) }) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || strings.IndexByte(special, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hiveUnescape decodes what writers percent-encode. A percent sign that no two hexadecimal digits follow stands for itself.
func hiveUnescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			hi, lo := unhex(text[i+1]), unhex(text[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, text[i])
	}
	return string(b)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hivePart is one k=v folder.
type hivePart struct {
	Column string
	Value  string
	Null   bool
}

// dir is the folder's name.
func (p hivePart) dir() string {
	v := hiveNull
	if !p.Null {
		v = hiveEscape(p.Value)
	}
	return hiveEscape(p.Column) + "=" + v
}

// parseHive returns the k=v folders of a slash-separated file path, outermost first. The file's own name is none.
func parseHive(rel string) []hivePart {
	var parts []hivePart
	for {
		dir, rest, ok := strings.Cut(rel, "/")
		if !ok {
			return parts
		}
		rel = rest
		if k, v, ok := strings.Cut(dir, "="); ok && k != "" {
			parts = append(parts, hivePart{Column: hiveUnescape(k), Value: hiveUnescape(v), Null: v == hiveNull})
		}
	}
}

// printsAsInteger reports whether a partition value can be read as a BIGINT and printed back the same.
func printsAsInteger(v string) bool {
	digits := strings.TrimPrefix(v, "-")
	if digits == "" || len(digits) > 18 || digits[0] == '0' && v != "0" {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
