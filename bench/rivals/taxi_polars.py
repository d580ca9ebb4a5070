"""The taxi job in polars: argv are the source's glob and the target's folder."""

import sys

import polars as pl

trips = pl.scan_parquet(sys.argv[1]).filter(pl.col("trip_distance") > 1).drop("vendor_id")
target = pl.PartitionBy(sys.argv[2], key=["passenger_count", "payment_type"], include_key=False)
trips.sink_parquet(target, compression="snappy", mkdir=True)
