package duck

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/droverdata/drover"
)

// finer reports whether a type has values that DuckDB cuts to what its own type holds: nanoseconds, but in timestamps without a zone, and times
// of day in DATE64.
func finer(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.TimestampType:
		return t.Unit == arrow.Nanosecond && t.TimeZone != ""
	case *arrow.DurationType:
		return t.Unit == arrow.Nanosecond
	case *arrow.MonthDayNanoIntervalType, *arrow.Date64Type:
		return true
	case *arrow.DictionaryType:
		return finer(t.ValueType)
	case arrow.ExtensionType:
		return finer(t.StorageType())
	case arrow.NestedType:
		return slices.ContainsFunc(t.Fields(), func(f arrow.Field) bool { return finer(f.Type) })
	}
	return false
}

// cut returns a value of a that DuckDB would cut, as text.
func cut(a arrow.Array) (value string, found bool) {
	switch a := a.(type) {
	case *array.Timestamp:
		if finer(a.DataType()) {
			return firstCut(a, a.TimestampValues(), func(v arrow.Timestamp) bool { return v%1000 != 0 })
		}
	case *array.Duration:
		if finer(a.DataType()) {
			return firstCut(a, a.DurationValues(), func(v arrow.Duration) bool { return v%1000 != 0 })
		}
	case *array.MonthDayNanoInterval:
		return firstCut(a, a.MonthDayNanoIntervalValues(), func(v arrow.MonthDayNanoInterval) bool { return v.Nanoseconds%1000 != 0 })
	case *array.Date64:
		return firstCut(a, a.Date64Values(), func(v arrow.Date64) bool { return v%(24*60*60*1000) != 0 })
	case *array.Dictionary:
		return cut(a.Dictionary())
	case array.ExtensionArray:
		return cut(a.Storage())
	case *array.Struct:
		for i := range a.NumField() {
			if value, found := cut(a.Field(i)); found {
				return value, true
			}
		}
	case array.ListLike:
		if a.Len() == 0 {
			return "", false
		}
		from, _ := a.ValueOffsets(0)
		_, to := a.ValueOffsets(a.Len() - 1)
		elements := array.NewSlice(a.ListValues(), from, to)
		defer elements.Release()
		return cut(elements)
	}
	return "", false
}

func firstCut[T any](a arrow.Array, values []T, cuts func(T) bool) (string, bool) {
	for i, v := range values {
		if cuts(v) && a.IsValid(i) {
			return a.ValueStr(i), true
		}
	}
	return "", false
}

// refuseCut is an error where DuckDB would cut a value of a column.
func refuseCut(column string, a arrow.Array) error {
	value, found := cut(a)
	if !found {
		return nil
	}
	return &drover.Error{
		Kind: drover.Data, Column: column, Sample: value,
		Message: fmt.Sprintf("column %s has a value that is finer than what DuckDB holds, and would be cut: %s", column, value),
		Hint:    "cast it to microseconds (a date64: to date32) where it is written, or drop the column",
	}
}
