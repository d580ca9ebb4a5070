package files

import (
	"slices"
	"strings"
)

// The formats.
const (
	formatParquet = "parquet"
	formatCSV     = "csv"
	formatJSON    = "json"
	formatArrow   = "arrow"
)

// formatOf returns the format that a file's name says, or "". Text formats may also be compressed.
func formatOf(name string) string {
	name = strings.ToLower(name)
	text := strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	ends := func(name string, suffixes ...string) bool {
		return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
	}
	switch {
	case ends(name, ".parquet", ".parq", ".pq"):
		return formatParquet
	case ends(text, ".csv", ".tsv"):
		return formatCSV
	case ends(text, ".json", ".jsonl", ".ndjson"):
		return formatJSON
	case ends(name, ".arrow", ".arrows", ".feather", ".ipc"):
		return formatArrow
	}
	return ""
}
