package duck

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover"
)

// ArrowColumns returns the columns of an Arrow schema in DuckDB's types. A type that DuckDB cannot hold exactly is an error that names the column.
func ArrowColumns(schema *arrow.Schema) (drover.Schema, error) {
	columns := make(drover.Schema, 0, schema.NumFields())
	for _, f := range schema.Fields() {
		t := `"NULL"`
		if f.Type.ID() != arrow.NULL {
			var ok bool
			if t, ok = arrowType(f.Type); !ok {
				return nil, &drover.Error{
					Kind: drover.Refused, Column: f.Name,
					Message: fmt.Sprintf("column %s has the Arrow type %s, which DuckDB cannot hold exactly", f.Name, f.Type),
				}
			}
		}
		columns = append(columns, drover.Column{Name: f.Name, Type: t, NotNull: !f.Nullable})
	}
	return columns, nil
}

func arrowType(t arrow.DataType) (string, bool) {
	switch t := t.(type) {
	case *arrow.Decimal32Type, *arrow.Decimal64Type, *arrow.Decimal128Type:
		d := t.(arrow.DecimalType)
		return fmt.Sprintf("DECIMAL(%d,%d)", d.GetPrecision(), d.GetScale()), d.GetScale() >= 0
	case *arrow.TimestampType:
		if t.TimeZone != "" {
			return "TIMESTAMP WITH TIME ZONE", true
		}
		return [...]string{"TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS"}[t.Unit], true
	case *arrow.Time32Type:
		return "TIME", true
	case *arrow.Time64Type:
		return "TIME", t.Unit == arrow.Microsecond
	case *arrow.ListType:
		return elementType(t.Elem())
	case *arrow.LargeListType:
		return elementType(t.Elem())
	case *arrow.FixedSizeListType:
		e, ok := arrowType(t.Elem())
		return fmt.Sprintf("%s[%d]", e, t.Len()), ok
	case *arrow.MapType:
		k, okK := arrowType(t.KeyType())
		v, okV := arrowType(t.ItemType())
		return "MAP(" + k + ", " + v + ")", okK && okV
	case *arrow.StructType:
		var fields []string
		for _, f := range t.Fields() {
			e, ok := arrowType(f.Type)
			if !ok {
				return "", false
			}
			fields = append(fields, Ident(f.Name)+" "+e)
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")", len(fields) > 0
	case *arrow.DictionaryType:
		return arrowType(t.ValueType)
	case arrow.ExtensionType:
		switch t.ExtensionName() {
		case "arrow.uuid":
			return "UUID", true
		case "arrow.json":
			return "JSON", true
		case "arrow.bool8":
			return "BOOLEAN", true
		}
		return arrowType(t.StorageType())
	}
	name, ok := map[arrow.Type]string{
		arrow.BOOL: "BOOLEAN",
		arrow.INT8: "TINYINT", arrow.INT16: "SMALLINT", arrow.INT32: "INTEGER", arrow.INT64: "BIGINT",
		arrow.UINT8: "UTINYINT", arrow.UINT16: "USMALLINT", arrow.UINT32: "UINTEGER", arrow.UINT64: "UBIGINT",
		arrow.FLOAT32: "FLOAT", arrow.FLOAT64: "DOUBLE",
		arrow.STRING: "VARCHAR", arrow.LARGE_STRING: "VARCHAR", arrow.STRING_VIEW: "VARCHAR",
		arrow.BINARY: "BLOB", arrow.LARGE_BINARY: "BLOB", arrow.FIXED_SIZE_BINARY: "BLOB", arrow.BINARY_VIEW: "BLOB",
		arrow.DATE32: "DATE", arrow.DATE64: "DATE",
		arrow.DURATION: "INTERVAL", arrow.INTERVAL_MONTHS: "INTERVAL", arrow.INTERVAL_DAY_TIME: "INTERVAL", arrow.INTERVAL_MONTH_DAY_NANO: "INTERVAL",
	}[t.ID()]
	return name, ok
}

func elementType(t arrow.DataType) (string, bool) {
	e, ok := arrowType(t)
	return e + "[]", ok
}
