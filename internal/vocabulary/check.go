package vocabulary

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/droverdata/drover"
)

// Check holds the value that spec points to against its type's tags: what is required is there, a value of an enum is one of
// them, a number that is set is not below its minimum, a list repeats no column and holds no empty text. The error is a *drover.Error with
// the key as its Field.
func Check(spec any) error {
	v := reflect.Indirect(reflect.ValueOf(spec))
	for _, f := range Fields(v.Type()) {
		if err := check(f, v.Field(f.Index)); err != nil {
			return err
		}
	}
	return nil
}

func check(f Field, v reflect.Value) error {
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		if f.Required {
			return drover.Errorf(drover.Invalid, "%s is missing", f.Key).WithField(f.Key)
		}
		return nil
	}
	switch {
	case v.Kind() == reflect.String:
		// An enum is a closed set of words, never a secret, so its value may be shown.
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, v.String()) {
			return drover.Errorf(drover.Invalid, "unknown %s %q", f.Key, v.String()).WithField(f.Key).WithHint("%s", DidYouMean(v.String(), f.Enum))
		}
		if strings.TrimSpace(v.String()) == "" {
			return drover.Errorf(drover.Invalid, "%s is empty", f.Key).WithField(f.Key)
		}
	case v.CanInt():
		least := int64(0)
		if f.Minimum != nil {
			least = *f.Minimum
		}
		if v.Int() < least {
			return drover.Errorf(drover.Invalid, "%s is %d: it must be at least %d", f.Key, v.Int(), least).WithField(f.Key)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
		seen := map[string]bool{}
		for i := range v.Len() {
			word := v.Index(i).String()
			path := fmt.Sprintf("%s[%d]", f.Key, i)
			if strings.TrimSpace(word) == "" {
				return drover.Errorf(drover.Invalid, "%s has an empty entry", f.Key).WithField(path)
			}
			// DuckDB compares column names without regard to case, so two spellings of one name are one column.
			if seen[strings.ToLower(word)] {
				return drover.Errorf(drover.Invalid, "%s names %q twice", f.Key, word).WithField(path)
			}
			seen[strings.ToLower(word)] = true
		}
	}
	return nil
}
