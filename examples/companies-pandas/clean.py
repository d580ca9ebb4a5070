import numpy
import pandas


def clean(df: pandas.DataFrame) -> pandas.DataFrame:
    """Gets the companies of one zip code, and returns them clean."""
    df = df[df["is_active"]].copy()
    df["state"] = df["state"].str.upper()
    df["city"] = df["city"].str.strip()
    df["revenue_per_employee"] = df["revenue"].astype("float64") / df["employees"].astype("float64").replace(0, numpy.nan)
    df["email"] = df["email"].str.lower()
    return df.drop(columns=["fax", "notes"])
