# Converts what the function returned to a table of the expected schema. Only what holds every value exactly passes.

KINDS = {"pandas": "pandas.DataFrame", "polars": "polars.DataFrame", "pyarrow": "pyarrow.Table"}


def to_table(answer, schema, target, frame):
    """The answer as a table; schema None takes its types as they come."""
    kind = type(answer).__module__.partition(".")[0]
    if type(answer).__name__ == "DataFrame" and kind == "pandas" or is_a(answer, "pandas", "DataFrame"):
        return from_pandas(answer, schema, target)
    if is_a(answer, "polars", "DataFrame"):
        return from_arrow(answer.to_arrow(), schema, target, {n: str(t) for n, t in answer.schema.items()})
    if is_a(answer, "pyarrow", "Table"):
        return from_arrow(answer, schema, target, {})
    hint = "return the frame"
    if answer is None:
        return refuse_answer(f"{target} returned None", "end it with return df: operations with inplace=True return nothing")
    if is_a(answer, "polars", "LazyFrame"):
        hint = "end it with .collect()"
    elif is_a(answer, "pandas", "Series"):
        hint = "return a frame: .to_frame() makes one of a Series"
    return refuse_answer(f"{target} returned a {name_of(type(answer))}, not a {KINDS[frame]}", hint)


def snapshot(answer, schema):
    """A copy of a pandas answer that may be converted together with others; None where that could make a difference."""
    pd = sys.modules.get("pandas")
    if schema is None or pd is None or type(answer) is not pd.DataFrame:
        return None
    for i, dtype in enumerate(answer.dtypes):
        if isinstance(dtype, (pd.CategoricalDtype, pd.SparseDtype)):
            return None
        # A type is found for all objects of a column. For texts it is always the same.
        if dtype == object and pd.api.types.infer_dtype(answer.iloc[:, i], skipna=True) not in ("string", "empty"):
            return None
    return answer.copy()


def concatenated(answers):
    """The frames one after the other; None where they are not alike."""
    first = answers[0]
    if any(isinstance(a, pa.Table) for a in answers):
        return None
    dtypes = list(first.dtypes)
    if not all(a.columns.equals(first.columns) and list(a.dtypes) == dtypes for a in answers):
        return None
    return sys.modules["pandas"].concat(answers, ignore_index=True)


def in_one_piece(table):
    """The table with columns of one piece each, as far as offsets of 32 bits allow."""
    return table.combine_chunks() if table.nbytes < 1 << 30 else table


def refuse_answer(message, hint="", column=""):
    raise Refusal("data", message, hint, column)


def is_a(value, module, name):
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(value, cls)


def check_columns(names, schema, target, index=()):
    for name in names:
        if not isinstance(name, str):
            refuse_answer(f"{target} returned a column named {name!r}, which is a {type(name).__name__} and not text",
                          "name it: df.columns = [...], or df.columns.map(str)")
        if not name:
            refuse_answer(f"{target} returned a column without a name", "name it: df.columns = [...], or df.rename(columns={'': 'NAME'})")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        refuse_answer(f"{target} returned two columns named {twice[0]}", "rename or drop one of them", twice[0])
    if schema is None:
        lower = {}
        for n in names:
            if n.lower() in lower:
                refuse_answer(f"{target} returned the columns {lower[n.lower()]} and {n}, which differ only in case", "rename or drop one of them", n)
            lower[n.lower()] = n
        return
    missing = [n for n in schema.names if n not in names]
    extra = [n for n in names if n not in schema.names]
    if not missing and not extra:
        return
    said, hints = [], []
    if missing:
        said.append(f"without {'the column' if len(missing) == 1 else 'the columns'} {', '.join(missing)}")
        if any(n in index for n in missing):
            hints.append(f"{', '.join(n for n in missing if n in index)} is the frame's index: return df.reset_index()")
        for n in missing:
            hints += [f"the answer has {e}: upper and lower case count" for e in extra if e.lower() == n.lower()]
    if extra:
        said.append(f"with {'the column' if len(extra) == 1 else 'the columns'} {', '.join(extra)}, which {'is' if len(extra) == 1 else 'are'} not expected")
        hints = hints or ["drop what is not expected, or declare it with schema:"]
    hints = hints or [f"expected are {', '.join(schema.names)}"]
    refuse_answer(f"{target} returned a frame " + " and ".join(said), hints[0], (missing or extra)[0])


def from_pandas(df, schema, target):
    names = list(df.columns)
    index = [n for n in df.index.names if n is not None]
    check_columns(names, schema, target, index)
    if schema is None and index:
        refuse_answer(f"the frame that {target} returned has an index named {', '.join(map(str, index))}, which is no column",
                      "return df.reset_index() to keep it, or df.reset_index(drop=True)")
    columns, fields, found = [], [], dict(df.items())
    for name in names if schema is None else schema.names:
        series = found[name]
        field = None if schema is None else schema.field(name)
        column = from_series(series, field, target)
        columns.append(column)
        fields.append(pa.field(name, column.type) if field is None else field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def from_series(series, field, target):
    name, dtype = series.name, str(series.dtype)
    if series.dtype == object:
        return from_objects(series, field, target)
    # In a NumPy column NaN means NULL, but where the schema has a number that is never NULL.
    nan_is_null = field is None or field.nullable or not pa.types.is_floating(field.type)
    try:
        column = pa.array(values_of(series), from_pandas=nan_is_null)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError) as e:
        return refuse_answer(f"column {name} of the answer, {dtype}, has no Arrow type: {describe(e)}", "convert it with astype", name)
    if isinstance(column.type, pa.BaseExtensionType):
        refuse_answer(f"column {name} of the answer has dtype {dtype}, which no database has", "convert it with astype", name)
    return fit(column, field, target, dtype)


def values_of(series):
    pd = sys.modules["pandas"]
    if isinstance(series.dtype, pd.ArrowDtype):
        return series.array  # of a Series, pyarrow asks for a dozen attributes first
    return series.sparse.to_dense() if isinstance(series.dtype, pd.SparseDtype) else series


def from_objects(series, field, target):
    """A column of Python objects. Its type is taken from the values first: given the type, pyarrow cuts 1.5 to 1 and a datetime to its date."""
    name, values = series.name, series.to_numpy(copy=False)
    want = None if field is None else field.type
    try:
        if want is not None and (pa.types.is_decimal(want) or family(want) in ("map", "interval")):
            return fit(pa.array(values, type=want, from_pandas=True), field, target, "object")
        return fit(pa.array(values, from_pandas=True), field, target, "object")
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError) as e:
        expected = f", expected {want}" if want is not None else ""
        return refuse_answer(f"column {name} of the answer, dtype object{expected}: {describe(e)}",
                             f"make all its values one type: df[{name!r}] = df[{name!r}].astype(...)", name)


def from_arrow(table, schema, target, dtypes):
    names = table.column_names
    check_columns(names, schema, target)
    if schema is None:
        return table.replace_schema_metadata(None)
    columns = [fit(table[f.name], f, target, dtypes.get(f.name) or str(table[f.name].type)) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def fit(column, field, target, dtype):
    """The column in the expected type."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if field is None:
        return column
    if column.type != field.type:
        column = cast(column, field, dtype)
    return column


def refuse_nulls(table, schema):
    """Refuses NULLs where the schema says NOT NULL."""
    for field in schema or ():
        column, name = table[field.name], field.name
        if not field.nullable and column.null_count:
            at = column.is_null().index(True).as_py()
            refuse_answer(f"column {name} of the answer is NULL in {column.null_count} {'row' if column.null_count == 1 else 'rows'}, "
                          f"the first at position {at}, and must not be: it is declared NOT NULL",
                          f"fill or drop them: df.dropna(subset=[{name!r}])", name)


def cast(column, field, dtype):
    have, want = column.type, field.type
    text = f"column {field.name} of the answer has dtype {dtype}" + (f" ({have})" if dtype == "object" else "") + f", expected {want}"
    if pa.types.is_null(have) or pa.types.is_dictionary(have) and pa.types.is_null(have.value_type):
        return pa.chunked_array([pa.nulls(len(column), want)])
    a, b = family(have), family(want)
    allowed = a == b or (a, b) in (("date", "timestamp"), ("timestamp", "date"), ("bytes", "text"), ("list", "map"))
    if not allowed:
        refuse_answer(text, cast_hint(field.name, a, b), field.name)
    try:
        fitted = convert(column, want)
    except (pa.ArrowException, NotImplementedError, OverflowError) as e:
        refuse_answer(f"{text}: {shortened(str(e), 300)}", cast_hint(field.name, a, b), field.name)
    lost = first_lost(column, fitted, a)
    if lost is not None:
        refuse_answer(f"{text}, which does not hold {lost} exactly", cast_hint(field.name, a, b), field.name)
    return fitted


def convert(column, want):
    have = column.type
    if pa.types.is_dictionary(have):
        column = column.cast(have.value_type)
        return column if column.type == want else convert(column, want)
    if pa.types.is_dictionary(want):
        encoded = convert(column, want.value_type).dictionary_encode()
        return encoded.cast(want)
    if is_integer(have) and pa.types.is_decimal(want):
        # pyarrow asks for the precision of the integer type, not of its values.
        wide = pa.decimal256(76, want.scale)
        return column.cast(wide).cast(want)
    if pa.types.is_floating(have) and pa.types.is_decimal(want):
        return column.cast(want)
    if is_bytes(have) and is_bytes(want) or is_text(have) and is_text(want):
        return column.cast(want)
    return column.cast(want, safe=True)


def first_lost(column, fitted, kind):
    """The first value that a cast changed without an error, as text. Casts between text types, and of integers, do tell."""
    have, want = column.type, fitted.type
    if pa.types.is_dictionary(have) or pa.types.is_dictionary(want) or kind not in ("number", "date", "timestamp", "timestamp with time zone", "time of day"):
        return None
    if kind == "number" and not pa.types.is_decimal(have) and not pa.types.is_decimal(want):
        if not (pa.types.is_float64(have) and pa.types.is_float32(want)):
            return None
    if is_integer(have):
        return None
    pc = pa.compute
    try:
        back = fitted.cast(have, safe=False)
    except pa.ArrowException:
        return "its values"
    changed = pc.not_equal(back, column)
    if pa.types.is_floating(have):
        changed = pc.and_(changed, pc.invert(pc.and_(pc.is_nan(back), pc.is_nan(column))))
    if pa.types.is_decimal(have) or pa.types.is_decimal(want):
        return first_other_number(column.filter(changed), fitted.filter(changed))
    at = pc.index(changed, True).as_py()
    return None if at < 0 else str(column[at])


def first_other_number(before, after):
    """The first number that is another one. A float and the decimal that it prints as are one; Arrow's casts between them are not as exact."""
    import decimal

    def value(scalar):
        v = scalar.as_py()
        if pa.types.is_float32(scalar.type):
            texts = (f"{v:.{digits}g}" for digits in range(6, 10))
            return decimal.Decimal(next(t for t in texts if struct.unpack("f", struct.pack("f", float(t)))[0] == v))
        return decimal.Decimal(repr(v)) if isinstance(v, float) else v

    for a, b in zip(before, after):
        if value(a) != value(b):
            return str(a)
    return None


def cast_hint(name, have, want):
    column = f"df[{name!r}]"
    hints = {
        ("timestamp", "timestamp with time zone"): f"say which zone it is in: {column} = {column}.dt.tz_localize('UTC')",
        ("timestamp with time zone", "timestamp"): f"drop the zone: {column} = {column}.dt.tz_convert('UTC').dt.tz_localize(None)",
        ("timestamp", "date"): f"round it to days: {column} = {column}.dt.normalize()",
        ("number", "number"): f"round or convert it: {column}.round(...), {column}.astype(...)",
    }
    return hints.get((have, want), f"convert it before returning: {column} = {column}.astype(...)")
