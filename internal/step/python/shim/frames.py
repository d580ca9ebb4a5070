# Converts Arrow tables to the frames of pandas, polars and pyarrow, and answers back to the expected schema, losing nothing silently.


def is_integer(t):
    return pa.types.is_integer(t)


def is_text(t):
    return pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)


def is_bytes(t):
    return pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t) or pa.types.is_binary_view(t)


def family(t):
    """Types of one family convert into each other where every value fits."""
    if pa.types.is_dictionary(t):
        return family(t.value_type)
    if isinstance(t, pa.BaseExtensionType):
        return family(t.storage_type)
    if pa.types.is_boolean(t):
        return "boolean"
    if is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t):
        return "number"
    if is_text(t):
        return "text"
    if is_bytes(t):
        return "bytes"
    if pa.types.is_date(t):
        return "date"
    if pa.types.is_timestamp(t):
        return "timestamp" if t.tz is None else "timestamp with time zone"
    if pa.types.is_time(t):
        return "time of day"
    if t == pa.month_day_nano_interval():
        return "interval"
    if pa.types.is_duration(t):
        return "duration"
    if pa.types.is_map(t):
        return "map"
    if pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_fixed_size_list(t) or pa.types.is_list_view(t):
        return "list"
    return "struct" if pa.types.is_struct(t) else str(t)


NUMPY_HINT = "leave out dtypes: numpy, or write dtypes: nullable or dtypes: pyarrow"


def pandas_dtype(field, not_null, mode):
    """The pandas dtype that a column arrives as; None where pyarrow's own conversion to NumPy is right."""
    import pandas as pd

    t = field.type
    if pa.types.is_dictionary(t) and is_text(t.value_type):
        return None  # categorical
    if mode == "pyarrow":
        return pd.ArrowDtype(t)
    if is_integer(t) or pa.types.is_boolean(t):
        if mode != "nullable" and not_null:
            return None
        if mode == "numpy":
            raise Refusal("invalid", f"column {field.name} is {t} and may hold NULL, which a NumPy column of that type cannot",
                          f"{NUMPY_HINT}; or replace the NULLs in a step before: set: {{{field.name}: coalesce({field.name}, 0)}}", field.name)
        return pd.BooleanDtype() if pa.types.is_boolean(t) else pd.api.types.pandas_dtype(("UInt" if pa.types.is_unsigned_integer(t) else "Int") + str(t.bit_width))
    if pa.types.is_float32(t) or pa.types.is_float64(t):
        if mode == "nullable":
            return pd.Float32Dtype() if pa.types.is_float32(t) else pd.Float64Dtype()
        return None if not_null or mode == "numpy" else pd.ArrowDtype(t)
    if is_text(t):
        return pd.StringDtype("pyarrow") if mode == "nullable" else None
    if pa.types.is_timestamp(t) or pa.types.is_duration(t):
        return None
    if mode == "numpy":
        if pa.types.is_date(t) or pa.types.is_decimal(t) or is_bytes(t) or pa.types.is_time(t) and t.unit != "ns":
            return None  # Python's objects hold these exactly
        raise Refusal("invalid", f"column {field.name} is {t}, which NumPy has no type for", NUMPY_HINT + ", or drop the column", field.name)
    return pd.ArrowDtype(t)


def refuse_nan(name, column, nullable_column):
    """Where NaN and NULL would become one, a NaN is refused rather than turned into NULL."""
    import pyarrow.compute as pc

    found = pc.any(pc.is_nan(column)).as_py()
    if found:
        raise Refusal("data", f"column {name} holds the value NaN, which this dtype cannot tell from NULL",
                      "leave out dtypes: numpy or nullable, or turn NaN into NULL in a step before: set: "
                      f"{{{name}: \"CASE WHEN NOT isnan({name}) THEN {name} END\"}}", name)


def check_input(schema, not_null, frame, mode):
    """Refuses columns that a frame cannot hold. Returns the pandas dtypes by column."""
    for field in schema:
        if frame in ("pandas", "polars") and has_type(field.type, pa.types.is_union):
            raise Refusal("invalid", f"column {field.name} is {field.type}, which {frame} cannot hold", "drop the column, or write frame: pyarrow", field.name)
        if frame == "polars" and has_type(field.type, lambda t: t == pa.month_day_nano_interval()):
            raise Refusal("invalid", f"column {field.name} is an INTERVAL, which polars cannot hold", "drop the column, or write frame: pyarrow", field.name)
    if frame != "pandas":
        return {}
    return {field.name: pandas_dtype(field, field.name in not_null, mode) for field in schema}


def has_type(t, test):
    if test(t):
        return True
    if pa.types.is_dictionary(t):
        return has_type(t.value_type, test)
    return any(has_type(t.field(i).type, test) for i in range(getattr(t, "num_fields", 0)))


def to_frame(table, not_null, frame, mode, threads):
    if frame == "pyarrow":
        return table.combine_chunks()
    if frame == "polars":
        check_input(table.schema, not_null, frame, mode)
        import polars as pl

        return pl.from_arrow(table)
    dtypes = check_input(table.schema, not_null, frame, mode)
    if mode in ("numpy", "nullable"):
        for field in table.schema:
            if pa.types.is_floating(field.type) and (mode == "nullable" or field.name not in not_null):
                refuse_nan(field.name, table[field.name], mode)
    own = [name for name in table.column_names if dtypes[name] is None]
    df = table.select(own).to_pandas(use_threads=threads > 1, ignore_metadata=True)
    for i, name in enumerate(table.column_names):
        if dtypes[name] is not None:
            df.insert(i, name, dtypes[name].__from_arrow__(whole(table[name])))
    return df


def whole(column):
    """One chunk, as far as it fits: pandas' operations on many small chunks are slow."""
    if column.num_chunks <= 1:
        return column
    one = column.combine_chunks()
    return one if isinstance(one, pa.ChunkedArray) else pa.chunked_array([one])
