"""Load a CSV file into PostgreSQL with dlt: `python peer_dlt.py FILE URI FOLDER`.

Its fastest way for PostgreSQL: tables of Arrow, which need no normalisation, written as CSV for
COPY. FOLDER is for its own files.
"""

import sys
from collections.abc import Iterator

import dlt
import pyarrow as pa
import pyarrow.csv


def main(path: str, uri: str, folder: str) -> None:
    """Append all columns as text to the table `checkins`."""
    with open(path) as file:  # noqa: PTH123
        names = file.readline().rstrip().split(",")

    def rows() -> Iterator[pa.RecordBatch]:
        text = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        blocks = pa.csv.ReadOptions(block_size=2**24)
        yield from pa.csv.open_csv(path, read_options=blocks, convert_options=text)

    destination = dlt.destinations.postgres(uri)
    pipeline = dlt.pipeline(
        "peer", pipelines_dir=folder, destination=destination, dataset_name="public"
    )
    table = dlt.resource(rows, name="checkins", write_disposition="append")
    pipeline.run(table, loader_file_format="csv").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
