# Converts Arrow tables to the frames of pandas, polars and pyarrow, and answers back to the expected schema, losing nothing silently.
import functools


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
                          NUMPY_HINT, field.name)
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


def refuse_nan(name, column):
    """Where NaN and NULL would become one, a NaN is refused rather than turned into NULL."""
    if pa.compute.any(pa.compute.is_nan(column)).as_py():
        raise Refusal("data", f"column {name} holds the value NaN, which this dtype cannot tell from NULL",
                      "leave out dtypes: numpy or nullable, or turn NaN into NULL in a step before: set: "
                      f"{{{name}: \"CASE WHEN NOT isnan({name}) THEN {name} END\"}}", name)


@functools.lru_cache(maxsize=8)
def check_input(schema, not_null, frame, mode):
    """Refuses columns that a frame cannot hold, all of them at once. Returns the pandas dtypes by column."""
    dtypes, refused = {}, []
    for field in schema:
        try:
            check_field(field, frame)
            if frame == "pandas":
                dtypes[field.name] = pandas_dtype(field, field.name in not_null, mode)
        except Refusal as e:
            refused.append(e)
    if refused:
        more = f"; and {len(refused) - 20} more" if len(refused) > 20 else ""
        raise Refusal("invalid", "; ".join(e.message for e in refused[:20]) + more, refused[0].hint, refused[0].column)
    return dtypes


def check_field(field, frame):
    if frame != "pyarrow" and has_type(field.type, pa.types.is_union):
        raise Refusal("invalid", f"column {field.name} is {field.type}, which {frame} cannot hold", "drop the column, or write frame: pyarrow", field.name)
    if frame == "polars" and has_type(field.type, lambda t: t == pa.month_day_nano_interval()):
        raise Refusal("invalid", f"column {field.name} is an INTERVAL, which polars cannot hold", "drop the column, or write frame: pyarrow", field.name)


def has_type(t, test):
    if test(t):
        return True
    if pa.types.is_dictionary(t):
        return has_type(t.value_type, test)
    return any(has_type(t.field(i).type, test) for i in range(getattr(t, "num_fields", 0)))


def narrowed(table, types):
    """The table with columns in smaller types, as far as they hold every value; of others it prints how many they do not hold."""
    for i, field in enumerate(table.schema):
        wanted = types.get(field.name)
        if wanted is None:
            continue
        column, beyond = narrow(table.column(i), wanted)
        if beyond:
            print(f"column {field.name} is {field.type} for this chunk, not {wanted}: {beyond}")
        else:
            table = table.set_column(i, field.with_type(column.type), column)
    return table


MOST_CATEGORIES = 1 << 16


def narrow(column, wanted):
    """The column in a smaller type, or what it does not hold."""
    pc = pa.compute
    if wanted == "dictionary":
        column = pc.dictionary_encode(column)
        distinct = len(column.chunk(0).dictionary) if column.num_chunks else 0
        return column, f"it has {distinct} different texts" if distinct > MOST_CATEGORIES else ""
    smaller = column.cast(wanted, safe=False)
    changed = pc.not_equal(smaller.cast(column.type), column)
    if wanted == "float32":
        changed = pc.and_not(changed, pc.is_nan(column))
    lost = pc.sum(changed).as_py() or 0
    return smaller, f"{lost} of its values do not fit" if lost else ""


def frames_of(table, rows, convert, together):
    """Yields the frame of one chunk after the other, of a table whose rows are theirs. Converted together, they share no value that can be changed."""
    if len(rows) == 1:
        frames = [convert(table)]
        del table
        yield frames.pop()
        return
    whole = None
    if together:
        try:
            whole = convert(table)
            table = None
        except Exception:
            pass  # the chunk at fault is found when its turn comes
    at = 0
    for n in rows:
        yield convert(table.slice(at, n)) if whole is None else part(whole, at, n)
        at += n


def part(frame, at, n):
    """Some rows of a frame, as a frame that cannot be told from one of its own."""
    if not is_a(frame, "pandas", "DataFrame"):
        return frame.slice(at, n)
    import pandas as pd

    rows = frame.iloc[at : at + n]
    if pd.__version__ < "3":
        rows = rows.copy(deep=False)  # it would warn of changes to a part
    rows.index = pd.RangeIndex(n)
    rows.columns = frame.columns.view()  # its name can be changed
    return rows


def to_frame(table, not_null, frame, mode, threads):
    if frame == "pyarrow":
        return table.combine_chunks()
    dtypes = check_input(table.schema, not_null, frame, mode)
    return to_polars(table) if frame == "polars" else to_pandas(table, dtypes, not_null, mode, threads)


def to_polars(table):
    import polars as pl

    df = pl.from_arrow(table)
    for field in table.schema:
        # polars has no seconds, and no 24:00: values that are beyond its range become others, or NULL.
        if has_type(field.type, lambda t: pa.types.is_time(t) or pa.types.is_timestamp(t) and t.unit == "s"):
            if not df[field.name].to_arrow().cast(field.type, safe=False).equals(table[field.name].combine_chunks()):
                raise Refusal("data", f"column {field.name}, {field.type}, holds a value that polars cannot: infinity, or the time 24:00",
                              "write frame: pandas or frame: pyarrow, or change the value in a step before", field.name)
    return df


def to_pandas(table, dtypes, not_null, mode, threads):
    if mode in ("numpy", "nullable"):
        for field in table.schema:
            if pa.types.is_floating(field.type) and (mode == "nullable" or field.name not in not_null):
                refuse_nan(field.name, table[field.name])
    import pandas as pd

    if mode == "pyarrow" and all(dtype is not None for dtype in dtypes.values()):
        return table.to_pandas(types_mapper=pd.ArrowDtype, use_threads=threads > 1, ignore_metadata=True)
    own = table.select([name for name in table.column_names if dtypes[name] is None])
    try:
        df = own.to_pandas(use_threads=threads > 1, ignore_metadata=True)
    except (pa.ArrowException, ValueError, OverflowError):
        raise_column(own)
        raise
    if own.num_columns == table.num_columns:
        return df
    columns = {n: df[n] if dtypes[n] is None else dtypes[n].__from_arrow__(table[n]) for n in table.column_names}
    return pd.DataFrame(columns, index=range(table.num_rows), copy=False)


def raise_column(table):
    """Names the column that cannot be converted."""
    for name in table.column_names:
        try:
            table.select([name]).to_pandas(ignore_metadata=True)
        except (pa.ArrowException, ValueError, OverflowError) as e:
            raise Refusal("data", f"column {name}, {table[name].type}, holds a value that Python has no object for: {describe(e)}",
                          NUMPY_HINT, name) from None
