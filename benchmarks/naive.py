"""What one writes first: `python -m benchmarks.naive FILE URI`.

pandas reads the whole file and casts it, rows with an empty or invalid value are dropped, and
awswrangler inserts the rest. It keeps no rejected row, no reason and no line number.
"""

import contextlib
import sys
from urllib.parse import urlsplit

import awswrangler as wr
import pandas as pd
import pg8000

MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря"


def main(path: str, uri: str) -> None:
    """Append the valid rows to the table `naive`."""
    rows = pd.read_csv(path, dtype="string", on_bad_lines="skip")
    times = pd.Series(pd.NaT, rows.index, "datetime64[us, UTC]")
    for layout in ("%Y-%m-%d %H:%M:%S.%f UTC", "%Y-%m-%d %H:%M:%S UTC", "%m/%d/%Y %I:%M %p"):
        parsed = pd.to_datetime(rows["timestamp"], format=layout, utc=True, errors="coerce")
        times = times.fillna(parsed)
    rest = rows.loc[times.isna(), "timestamp"].map(_russian)
    rows["timestamp"] = times.fillna(pd.to_datetime(rest, utc=True))
    rows["hours"] = pd.to_numeric(rows["hours"], errors="coerce").round(2)
    rows = rows.dropna(subset=["username", "timestamp", "hours"])
    server = urlsplit(uri)
    connection = pg8000.connect(
        server.username,
        host=server.hostname,
        port=server.port,
        password=server.password,
        database=server.path[1:],
    )
    with contextlib.closing(connection):
        wr.postgresql.to_sql(
            rows, connection, "naive", "public", use_column_names=True, chunksize=5_000
        )


def _russian(text: str) -> str | None:
    match text.split():
        case [day, month, year, clock] if month in MONTHS.split():
            return f"{year}-{MONTHS.split().index(month) + 1:02}-{int(day):02} {clock}"
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
