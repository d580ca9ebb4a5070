package files

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
)

// The kinds of values in JSON.
const (
	jsonBoolean = iota
	jsonNumber
	jsonText
	jsonObject
	jsonArray
	jsonKinds
)

var jsonKindNames = [jsonKinds]string{"a boolean", "a number", "a text", "an object", "an array"}

const (
	// mapKeys is how many keys an object within a record may have over all records; beyond it the keys are taken for data, and the objects for
	// maps. DuckDB's own number.
	mapKeys = 200
	// maxKeys bounds the keys of records, each of which is a column.
	maxKeys = 10_000
	// maxDepth is how deep values are told apart by their types: below it they stay JSON, as in trees of any depth.
	maxDepth = 32
)

// jsonNode is what the values at one place of all records are: under one key, or in an array.
type jsonNode struct {
	place string            // keys from the record down, empty for records themselves
	from  string            // of a key of records: the first file that has it
	in    [jsonKinds]string // the first file with a value of the kind
	// Of numbers:
	fraction, negative, large bool   // has one that is no integer, is below 0, is beyond BIGINT
	coarse, coarseIn          string // an integer that DOUBLE does not hold, and its file
	// Of texts: how many, and how many are a date, a timestamp, one with a zone, a time.
	texts, dates, stamps, zoned, times int64
	// Of objects: their values by key in the order in which they are met, or of any key.
	keys     []string
	children map[string]*jsonNode
	spelled  map[string]string // in lower case -> as the first is written
	twins    bool              // keys that differ in case alone
	// each is an array's values, or an object's of any key.
	each *jsonNode
}

func (n *jsonNode) saw(kind int, path string) {
	if n.in[kind] == "" {
		n.in[kind] = path
	}
}

// child returns the node of a key.
func (n *jsonNode) child(key string) *jsonNode {
	if c, ok := n.children[key]; ok {
		return c
	}
	if n.each != nil && n.children == nil && n.spelled != nil {
		return n.each // a map
	}
	if n.children == nil {
		n.children, n.spelled = map[string]*jsonNode{}, map[string]string{}
	}
	if n.place != "" && len(n.keys) == mapKeys {
		n.element("*")
		for _, c := range n.children {
			n.each.merge(c)
		}
		n.children, n.keys = nil, nil
		return n.each
	}
	c := &jsonNode{place: strings.TrimPrefix(n.place+"."+key, ".")}
	n.children[key] = c
	n.keys = append(n.keys, key)
	if _, ok := n.spelled[strings.ToLower(key)]; ok || key == "" {
		n.twins = true
	} else {
		n.spelled[strings.ToLower(key)] = key
	}
	return c
}

// merge adds what o has seen.
func (n *jsonNode) merge(o *jsonNode) {
	for k, path := range o.in {
		if path != "" {
			n.saw(k, path)
		}
	}
	n.fraction, n.negative, n.large = n.fraction || o.fraction, n.negative || o.negative, n.large || o.large
	if n.coarse == "" {
		n.coarse, n.coarseIn = o.coarse, o.coarseIn
	}
	n.texts, n.dates, n.stamps, n.zoned, n.times = n.texts+o.texts, n.dates+o.dates, n.stamps+o.stamps, n.zoned+o.zoned, n.times+o.times
	for _, k := range o.keys {
		n.child(k).merge(o.children[k])
	}
	if o.each != nil {
		n.element("*").merge(o.each)
	}
}

// element returns the node of all values within, by no key.
func (n *jsonNode) element(name string) *jsonNode {
	if n.each == nil {
		n.each = &jsonNode{place: n.place + "." + name}
	}
	return n.each
}

// kinds returns the kinds that were seen.
func (n *jsonNode) kinds() []int {
	var out []int
	for k, path := range n.in {
		if path != "" {
			out = append(out, k)
		}
	}
	return out
}

// typ returns the DuckDB type that holds all values of a place exactly, nullType where there are none. Within records values of different kinds
// stay JSON.
func (n *jsonNode) typ(depth int) (string, error) {
	kinds := n.kinds()
	if len(kinds) == 0 {
		return nullType, nil
	}
	if len(kinds) > 1 || depth > maxDepth {
		if depth > 0 {
			return "JSON", nil
		}
		place, a, b := n.place, kinds[0], kinds[1]
		return "", &drover.Error{
			Kind: drover.Refused, Column: place,
			Message: fmt.Sprintf("key %s is %s in %s and %s in %s", place, jsonKindNames[a], n.in[a], jsonKindNames[b], n.in[b]),
			Hint:    "read the files in separate jobs, or rewrite the values with one type",
		}
	}
	switch kinds[0] {
	case jsonBoolean:
		return "BOOLEAN", nil
	case jsonNumber:
		switch {
		case n.fraction && n.coarse != "":
			return "", inexactNumber(n.place, n.coarse, n.coarseIn, "DOUBLE, which its fractions need, does not hold exactly")
		case n.fraction:
			return "DOUBLE", nil
		case n.large && n.negative:
			return "", inexactNumber(n.place, n.coarse, n.coarseIn, "BIGINT, which its negative numbers need, does not hold exactly")
		case n.large:
			return "UBIGINT", nil
		}
		return "BIGINT", nil
	case jsonText:
		switch n.texts {
		case n.dates:
			return "DATE", nil
		case n.dates + n.stamps:
			return "TIMESTAMP", nil
		case n.zoned:
			return "TIMESTAMP WITH TIME ZONE", nil
		case n.times:
			return "TIME", nil
		}
		return "VARCHAR", nil
	case jsonArray:
		return n.each.inner(depth, "%s[]")
	}
	switch {
	case len(n.keys) == 0 && n.each != nil && !n.twins:
		return n.each.inner(depth, "MAP(VARCHAR, %s)")
	case len(n.keys) == 0 || n.twins:
		return "JSON", nil
	}
	fields := make([]string, len(n.keys))
	for i, k := range n.keys {
		t, err := n.children[k].inner(depth, "%s")
		if err != nil {
			return "", err
		}
		fields[i] = duck.Ident(k) + " " + t
	}
	return "STRUCT(" + strings.Join(fields, ", ") + ")", nil
}

// inner is the type of values within a value, in a pattern.
func (n *jsonNode) inner(depth int, pattern string) (string, error) {
	t := nullType
	if n != nil {
		var err error
		if t, err = n.typ(depth + 1); err != nil {
			return "", err
		}
	}
	if t == nullType {
		t = "VARCHAR"
	}
	return fmt.Sprintf(pattern, t), nil
}

func inexactNumber(place, number, path, why string) error {
	return &drover.Error{
		Kind: drover.Refused, Column: place, Sample: number, Message: fmt.Sprintf("key %s has the number %s in %s, which %s", place, number, path, why),
		Hint: "write such numbers as texts, in quotes",
	}
}

// number takes in a number as it is written.
func (n *jsonNode) number(path string, raw []byte) error {
	n.saw(jsonNumber, path)
	if slices.ContainsFunc(raw, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' }) {
		n.fraction = true
		if !doubleHolds(raw) {
			return inexactNumber(n.place, string(raw), path, "DOUBLE does not hold exactly")
		}
		return nil
	}
	n.negative = n.negative || raw[0] == '-'
	if len(raw) <= 15 {
		return nil
	}
	if n.coarse == "" && !doubleHolds(raw) {
		n.coarse, n.coarseIn = string(raw), path
	}
	if _, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return nil
	}
	if _, err := strconv.ParseUint(string(raw), 10, 64); err != nil {
		return inexactNumber(n.place, string(raw), path, "no type of integers holds exactly")
	}
	if n.large = true; n.coarse == "" {
		n.coarse, n.coarseIn = string(raw), path
	}
	return nil
}

// doubleHolds reports whether the DOUBLE that is read from a number prints the same digits again, in as many digits as are written. With up to 15
// significant digits (DBL_DIG of C) it always does.
func doubleHolds(raw []byte) bool {
	var buf [64]byte
	digits, whole := buf[:0], raw
	zeros := 0 // at the end
	for i, c := range raw {
		if c == 'e' || c == 'E' {
			whole = raw[:i]
			break
		}
		if c >= '0' && c <= '9' && (len(digits) > 0 || c != '0') {
			digits = append(digits, c)
			if zeros++; c != '0' {
				zeros = 0
			}
		}
	}
	digits = digits[:len(digits)-zeros]
	if len(digits) == 0 || len(digits) <= 15 && len(whole) == len(raw) && len(raw) < 100 {
		return true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f == 0 {
		return false
	}
	printed := strconv.FormatFloat(f, 'e', len(digits)-1, 64)
	mantissa, _, _ := strings.Cut(strings.TrimPrefix(printed, "-"), "e")
	return strings.Replace(mantissa, ".", "", 1) == string(digits)
}
