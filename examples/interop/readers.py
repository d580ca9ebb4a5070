"""Datasets that drover writes, read by pyarrow, polars and pandas and compared with what went in.

Usage: readers.py PATH-OF-DROVER. `make interop` makes the environment that it needs.
"""

import datetime as dt
import decimal
import pathlib
import subprocess
import sys
import tempfile
import uuid

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq

# Partition values that a path does not take as they are, or that a reader may take for something else.
ODD = ["plain", "two words", "50% off", "it's", 'say "hi"', "a/b", "a=b", "naïve 東京", "00501", "1e3", "..", "x:y?z#w", "a\\b", "NULL", " lead", "trail ", "+1", "a&b", "", None]


def every_type() -> pa.Table:
    """One column of each type that Parquet carries, with NULLs and the values at the edges."""
    utc, n = dt.timezone.utc, 5
    struct = pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))])
    columns = {
        "id": (pa.int64(), [1, 2, 3, 4, 5]),
        "i8": (pa.int8(), [-128, 127, 0, None, 1]),
        "i16": (pa.int16(), [-(2**15), 2**15 - 1, 0, None, 1]),
        "i32": (pa.int32(), [-(2**31), 2**31 - 1, 0, None, 1]),
        "i64": (pa.int64(), [-(2**63), 2**63 - 1, 9007199254740993, None, 1]),
        "u8": (pa.uint8(), [0, 255, 1, None, 2]),
        "u16": (pa.uint16(), [0, 2**16 - 1, 1, None, 2]),
        "u32": (pa.uint32(), [0, 2**32 - 1, 1, None, 2]),
        "u64": (pa.uint64(), [0, 2**64 - 1, 1, None, 2]),
        "f32": (pa.float32(), [1.5, float("inf"), float("-inf"), None, -0.0]),
        "f64": (pa.float64(), [0.1, float("inf"), 5e-324, None, 1.7976931348623157e308]),
        "flag": (pa.bool_(), [True, False, None, True, False]),
        "text": (pa.string(), ["", "naïve 東京 🚕", "a\nb", None, "NULL"]),
        "blob": (pa.binary(), [b"", b"\x00\xff", b"abc", None, b"x" * 1000]),
        "d4": (pa.decimal128(4, 1), [decimal.Decimal(t) if t else None for t in ("999.9", "-999.9", "0.0", None, "0.1")]),
        "d18": (pa.decimal128(18, 6), [decimal.Decimal(t) if t else None for t in ("999999999999.999999", "-1.000001", "0.000000", None, "0.100000")]),
        "d38": (pa.decimal128(38, 10), [decimal.Decimal(t) if t else None for t in ("9999999999999999999999999999.9999999999", "-1.0000000001", "0E-10", None, "1.0000000000")]),
        "day": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1969, 12, 31), None, dt.date(2026, 2, 28)]),
        "at": (pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12, 30), None, dt.time(1)]),
        "ntz": (pa.timestamp("us"), [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1969, 12, 31, 23, 59), None, dt.datetime(2026, 3, 29, 2, 30)]),
        "tz": (pa.timestamp("us", "UTC"), [dt.datetime(1900, 1, 1, tzinfo=utc), dt.datetime(2100, 1, 1, tzinfo=utc), dt.datetime(1970, 1, 1, tzinfo=utc), None, dt.datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=utc)]),
        "list": (pa.list_(pa.int32()), [[1, None, 3], [], None, [2**31 - 1], [0] * 300]),
        "texts": (pa.list_(pa.string()), [["a", None], [], None, [""], ["東京"]]),
        "pair": (struct, [{"x": 1, "y": ["a"]}, {"x": None, "y": None}, None, {"x": 2, "y": []}, {"x": 3, "y": [None]}]),
        "pairs": (pa.list_(struct), [[{"x": 1, "y": ["a"]}, None], [], None, [{"x": None, "y": []}], [{"x": 3, "y": None}]]),
        "dict": (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], [], None, [("", 2)], [("東京", 3)]]),
        "nothing": (pa.string(), [None] * n),
        "odd name, \"quoted\" 東京": (pa.int32(), [1, 2, 3, 4, 5]),
    }
    return pa.table({name: pa.array(values, type=kind) for name, (kind, values) in columns.items()})


class Checks:
    """Runs jobs in a folder and counts what does not agree."""

    def __init__(self, drover: str, folder: pathlib.Path):
        self.drover, self.folder, self.done, self.wrong = drover, folder, 0, 0

    def run(self, name: str, table: pa.Table, sink: str, steps: str = "[]", **options) -> str:
        source = self.folder / name / "in"
        source.mkdir(parents=True)
        half = (table.num_rows + 1) // 2
        pq.write_table(table.slice(0, half), source / "a.parquet")
        pq.write_table(table.slice(half), source / "b.parquet")
        job = self.folder / name / "job.yaml"
        job.write_text(f"name: {name}\nsource: {{files: {{path: in}}}}\nsteps: {steps}\nsink: {{files: {{path: out{sink}}}}}\n")
        subprocess.run([self.drover, "run", "job.yaml", "--quiet"], cwd=job.parent, check=True, **options)
        return str(self.folder / name / "out")

    def same(self, what: str, got, want) -> None:
        self.done += 1
        if got != want:
            self.wrong += 1
            print(f"WRONG {what}\n  got  {str(got)[:2000]}\n  want {str(want)[:2000]}")

    def raises(self, what: str, read) -> None:
        """A reader that fails is a wrong answer too."""
        try:
            read()
        except Exception as e:  # whatever the reader raises
            self.wrong += 1
            print(f"WRONG {what}: {type(e).__name__}: {e}")


def rows(table: pa.Table, key: str = "id") -> list:
    return table.sort_by(key).to_pylist()


def check_types(c: Checks) -> None:
    want = every_type()
    out = c.run("types", want, "")
    got = ds.dataset(out, format="parquet").to_table()
    for name in want.schema.names:
        c.same(f"pyarrow: type of {name}", got.schema.field(name).type, want.schema.field(name).type)
        c.same(f"pyarrow: {name}", got.sort_by("id")[name].to_pylist(), want[name].to_pylist())
    c.same("pyarrow: columns", got.schema.names, want.schema.names)
    frame = pl.scan_parquet(out + "/*.parquet").sort("id").collect()
    expected = pl.DataFrame(want)
    c.same("polars: schema", frame.schema, expected.schema)
    for name in frame.columns:
        c.same(f"polars: {name}", frame[name].to_list(), expected[name].to_list())
    pandas = pd.read_parquet(out, dtype_backend="pyarrow").sort_values("id")
    for name in ("i64", "u64", "d38", "tz", "text"):
        c.same(f"pandas: {name}", [None if v is pd.NA else v for v in pandas[name].tolist()], [None if v is None else v for v in want[name].to_pylist()])


def flat_rows() -> pa.Table:
    """The flat types in many rows: several row groups and pages, more values than a dictionary takes, NULLs here and there and everywhere."""
    edges = every_type()
    names = [f.name for f in edges.schema if not pa.types.is_nested(f.type) and f.name != "id"]
    n = 100_000
    columns = {"id": pa.array(range(n), pa.int64()), "k": pa.array([i % 3 for i in range(n)], pa.int32())}
    for name in names:
        columns[name] = edges[name].take(pa.array([i * 7919 % 5 for i in range(n)])).combine_chunks()
    columns["many"] = pa.array([f"value {i * 7919 % n}" for i in range(n)])
    columns["numbers"] = pa.array([i * 2654435761 % 2**40 if i % 10 else None for i in range(n)], pa.int64())
    columns["nan"] = pa.array([float("nan") if i % 3 == 0 else i / 7 for i in range(n)], pa.float64())
    columns["runs"] = pa.array([i // 5000 if i // 1000 % 2 else None for i in range(n)], pa.int16())
    columns["late"] = pa.array([None if i < 90_000 else "late" for i in range(n)])
    return pa.table(columns)


def comparable(column) -> list:
    """A column's values, where NaN is itself."""
    return ["nan" if isinstance(v, float) and v != v else v for v in column]


def check_flat(c: Checks) -> None:
    """drover's own writer, which writes flat columns alone: every codec, partitioned and not."""
    want = flat_rows()
    expected = {name: comparable(want[name].to_pylist()) for name in want.schema.names}
    frame = {name: comparable(pl.DataFrame(want)[name].to_list()) for name in want.schema.names}
    for codec in ("snappy", "zstd", "gzip", "uncompressed"):
        for partition in ("", ", partition_by: [k]"):
            what = f"{codec}{partition}"
            out = c.run(f"flat-{codec}-{bool(partition)}", want, f"{partition}, compression: {codec}, row_group_rows: 9999")
            typed = ds.partitioning(pa.schema([("k", pa.int32())]), flavor="hive") if partition else None
            got = ds.dataset(out, partitioning=typed).to_table().sort_by("id")
            read = pl.scan_parquet(out + "/**/*.parquet", hive_schema={"k": pl.Int32} if partition else None, hive_partitioning=bool(partition)).sort("id").collect()
            for name in want.schema.names:
                c.same(f"pyarrow, {what}: type of {name}", got.schema.field(name).type, want.schema.field(name).type)
                c.same(f"pyarrow, {what}: {name}", comparable(got[name].to_pylist()) == expected[name], True)
                c.same(f"polars, {what}: {name}", comparable(read[name].to_list()) == frame[name], True)
            kept = ds.dataset(out, partitioning=typed).to_table(filter=(ds.field("numbers") > 2**39) & (ds.field("many") < "value 5"))
            c.same(f"pyarrow, {what}: a filter by statistics", sorted(kept["id"].to_pylist()),
                   [i for i, v, m in zip(expected["id"], expected["numbers"], expected["many"]) if v is not None and v > 2**39 and m < "value 5"])
            few = pl.scan_parquet(out + "/**/*.parquet").filter((pl.col("i64") == 9007199254740993) & (pl.col("d38") > decimal.Decimal(-1))).select("id").collect()
            c.same(f"polars, {what}: a filter by statistics", sorted(few["id"].to_list()),
                   [i for i, v, d in zip(expected["id"], expected["i64"], expected["d38"]) if v == 9007199254740993 and d is not None and d > -1])


def check_refused(c: Checks) -> None:
    """What cannot be carried exactly is refused by name, never rounded."""
    table = pa.table({"id": [1], "wide": pa.array([decimal.Decimal("1.23")], pa.decimal256(50, 2))})
    try:
        c.run("refused", table, "", capture_output=True)
    except subprocess.CalledProcessError as e:
        c.same("drover: a decimal of 50 digits", (e.returncode, b"wide" in e.stderr), (3, True))
    else:
        c.same("drover: a decimal of 50 digits", "written", "refused")


def check_uuid(c: Checks) -> None:
    ids = [uuid.UUID(int=i * 2**100 + i) for i in range(4)]
    table = pa.table({"id": pa.array(range(4), pa.int64()), "u": pa.array([str(u) for u in ids])})
    out = c.run("uuid", table, "", "[{cast: {u: UUID}}]")
    got = ds.dataset(out).to_table().sort_by("id")["u"].to_pylist()
    c.same("pyarrow: uuid", [u if isinstance(u, uuid.UUID) else uuid.UUID(bytes=u) for u in got], ids)


def check_partitions(c: Checks) -> None:
    table = pa.table({"id": pa.array(range(len(ODD) * 3), pa.int64()), "k": pa.array(ODD * 3), "n": pa.array([1, None, 3] * len(ODD), pa.int32())})
    want = {row["id"]: (row["k"], row["n"]) for row in table.to_pylist()}
    out = c.run("partitions", table, ", partition_by: [n, k]")
    typed = ds.partitioning(pa.schema([("n", pa.int32()), ("k", pa.string())]), flavor="hive")
    got = ds.dataset(out, partitioning=typed).to_table()
    c.same("pyarrow: partitions", {r["id"]: (r["k"], r["n"]) for r in got.to_pylist()}, want)
    kept = ds.dataset(out, partitioning=typed).to_table(filter=ds.field("k") == "a/b")
    c.same("pyarrow: rows of one partition", sorted(kept["id"].to_pylist()), sorted(i for i, (k, _) in want.items() if k == "a/b"))
    guessed = ds.dataset(out, partitioning="hive").to_table()
    c.same("pyarrow: inferred partitions", {r["id"]: (r["k"], r["n"]) for r in guessed.to_pylist()}, want)
    frame = pl.scan_parquet(out, hive_partitioning=True, hive_schema={"n": pl.Int32, "k": pl.String}).collect()
    c.same("polars: partitions", {r["id"]: (r["k"], r["n"]) for r in frame.to_dicts()}, want)
    one = pl.scan_parquet(out, hive_partitioning=True, hive_schema={"n": pl.Int32, "k": pl.String}).filter(pl.col("k") == "a/b").collect()
    c.same("polars: rows of one partition", sorted(one["id"].to_list()), sorted(i for i, (k, _) in want.items() if k == "a/b"))
    # Without a schema pandas makes dictionaries of the values, and pyarrow cannot unify those with a NULL, not even its own writer's.
    pandas = pd.read_parquet(out, partitioning=typed)
    read = {int(r.id): (None if pd.isna(r.k) else str(r.k), None if pd.isna(r.n) else int(r.n)) for r in pandas.itertuples()}
    c.same("pandas: partitions", read, want)
    out = c.run("plain", table.filter(pa.compute.is_valid(table["k"])).drop_columns("n"), ", partition_by: [k]")
    plain = pd.read_parquet(out)
    c.same("pandas: inferred partitions", {int(r.id): str(r.k) for r in plain.itertuples()}, {i: k for i, (k, _) in want.items() if k is not None})


def check_empty(c: Checks) -> None:
    """Zero rows keep their schema, partitioned or not."""
    none = every_type().slice(0, 0)
    got = ds.dataset(c.run("empty", none, "")).to_table()
    c.same("pyarrow: zero rows", (got.num_rows, got.schema.names), (0, none.schema.names))
    frame = pl.read_parquet(str(c.folder / "empty/out/*.parquet"))
    c.same("polars: zero rows", (frame.height, frame.columns), (0, none.schema.names))


def check_formats(c: Checks) -> None:
    """CSV, newline JSON and Arrow IPC by the readers of each."""
    table = pa.table({"id": pa.array(range(6), pa.int64()), "t": pa.array(['a', '', 'q"u,o', 'line\nbreak', None, '東京']), "x": pa.array([0.5, None, -1.0, 1e300, 2.0, 3.0])})
    out = c.run("csv", table, ", format: csv")
    frame = pl.scan_csv(out + "/*.csv").sort("id").collect()
    c.same("polars: csv", frame["x"].to_list(), table["x"].to_pylist())
    c.same("polars: csv text", frame["t"].to_list()[2:4] + frame["t"].to_list()[5:], ['q"u,o', 'line\nbreak', '東京'])
    out = c.run("json", table, ", format: json")
    c.same("polars: json", pl.scan_ndjson(out + "/*.jsonl").sort("id").collect().to_dicts(), table.to_pylist())
    read = pd.concat(pd.read_json(f, lines=True) for f in sorted(pathlib.Path(out).glob("*.jsonl"))).sort_values("id")
    c.same("pandas: json", [None if pd.isna(t) else t for t in read["t"]], table["t"].to_pylist())
    out = c.run("arrow", every_type(), ", format: arrow")
    c.same("pyarrow: arrow", rows(ds.dataset(out, format="ipc").to_table()), rows(every_type()))
    c.same("polars: arrow", pl.scan_ipc(out + "/*.arrow").sort("id").select("id", "text", "d38", "tz").collect().to_dicts(), pl.DataFrame(every_type()).select("id", "text", "d38", "tz").to_dicts())


def main() -> int:
    drover = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        c = Checks(drover, pathlib.Path(folder))
        for check in (check_types, check_flat, check_refused, check_uuid, check_partitions, check_empty, check_formats):
            c.raises(check.__name__, lambda check=check: check(c))
    readers = f"pyarrow {pa.__version__}, polars {pl.__version__}, pandas {pd.__version__}"
    print(f"{c.done} comparisons by {readers}: {c.wrong or 'none'} wrong")
    return 1 if c.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
