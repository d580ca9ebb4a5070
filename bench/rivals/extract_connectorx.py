"""A Postgres table into one Parquet file by ConnectorX and polars: argv are the URL, the table, the file and the number of connections."""

import sys

import connectorx

url, table, file, connections = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
frame = connectorx.read_sql(url, f"SELECT * FROM {table}", partition_on="id", partition_num=connections, return_type="polars")
frame.write_parquet(file, compression="snappy")
