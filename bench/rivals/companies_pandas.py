"""The companies job as a pandas script scaled by multiprocessing: one zip code at a time, read_sql, transform, to_csv, COPY.

argv are the source's URL, the target's URL, the number of processes and, if the transform is to be another file's, its path: the function clean in it
takes a frame and returns it clean. The target table clean_pandas exists.
"""

import io
import multiprocessing
import runpy
import sys

import numpy
import pandas
import psycopg2
import sqlalchemy

source, target = None, None


def connect(source_url, target_url):
    global source, target
    source = sqlalchemy.create_engine(source_url.replace("postgres://", "postgresql+psycopg2://", 1)).connect()
    target = psycopg2.connect(target_url)


def clean(df):
    df = df[df["is_active"].notna()].copy()
    df["state"] = df["state"].str.upper()
    df["city"] = df["city"].str.strip()
    df["revenue_per_employee"] = df["revenue"] / df["employees"].replace(0, numpy.nan)
    df["email"] = df["email"].str.lower()
    return df.drop(columns=["fax", "notes"])


def one(zip_code):
    where = "zip_code = :zip" if zip_code is not None else "zip_code IS NULL"
    query = sqlalchemy.text(f"SELECT *, attributes::text AS attributes_, tags::text AS tags_ FROM raw_companies WHERE {where}")
    df = pandas.read_sql(query, source, params={"zip": zip_code} if zip_code is not None else None)
    df["attributes"], df["tags"] = df.pop("attributes_"), df.pop("tags_")
    df = clean(df)
    df["employees"] = df["employees"].astype("Int64")  # read_sql has made floats of them
    out = io.StringIO()
    df.to_csv(out, index=False, header=False)
    out.seek(0)
    with target, target.cursor() as cursor:
        columns = ", ".join(f'"{name}"' for name in df.columns)
        cursor.copy_expert(f"COPY clean_pandas ({columns}) FROM STDIN (FORMAT csv)", out)


if len(sys.argv) > 4:
    clean = runpy.run_path(sys.argv[4])["clean"]


def main():
    source_url, target_url, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with psycopg2.connect(source_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT zip_code FROM raw_companies ORDER BY 1")
        zips = [row[0] for row in cursor]
    with multiprocessing.Pool(processes, connect, (source_url, target_url)) as pool:
        for _ in pool.imap_unordered(one, zips):
            pass


if __name__ == "__main__":
    main()
