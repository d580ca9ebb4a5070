package vocabulary

import "strings"

// keyMark ends the path of a key.
const keyMark = "#key"

// Key returns the path of a map's key, where path is its value's: an error about the name in rename: {name: other} and not about what it
// is to become.
func Key(path string) string { return path + keyMark }

// CutKey returns the path of the value whose key path is, and whether it is one.
func CutKey(path string) (string, bool) { return strings.CutSuffix(path, keyMark) }
