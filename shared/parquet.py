"""Parquet in staging, exactly as it was: microseconds, time zones and decimals too.

awswrangler's own defaults cut timestamps to milliseconds and take their zone away. What is no S3
URI is a path: a file can be tested without any cloud.

Every function but `is_missing` raises `StagingUnavailable` if S3 does not take or give an object.
"""

import shutil
from pathlib import Path

import awswrangler as wr
import botocore.exceptions
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from shared.errors import StagingIncomplete
from shared.s3 import unavailable

_AS_IT_IS = {
    "coerce_timestamps": None,
    "flavor": None,
    "version": "2.6",
    # Costs most of the writing, for a part that is read two times and is small enough without.
    "use_dictionary": False,
}
"""Handed over as a copy: awswrangler writes the first table's schema into it."""


def write(table: pa.Table, uri: str) -> None:
    """Write one object."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(table, path)
        return
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    with unavailable(uri):
        wr.s3.to_parquet(frame, uri, pyarrow_additional_kwargs=dict(_AS_IT_IS))


def read(uri: str) -> pa.Table:
    """Read one object with the types it was written with.

    Raises:
        StagingIncomplete: it is missing.
    """
    if path := _local(uri):
        # The folders' names are no columns.
        return pa.parquet.read_table(path, partitioning=None)
    try:
        with unavailable(uri):
            frame = wr.s3.read_parquet(uri, dtype_backend="pyarrow")
    except (wr.exceptions.NoFilesFound, botocore.exceptions.ClientError) as error:
        if not is_missing(error):
            raise
        raise StagingIncomplete(
            f"{uri} is missing, but an earlier state wrote it; replay the ingestion"
        ) from None
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def parts(prefix: str) -> list[str]:
    """Return the URIs of the Parquet parts directly under a prefix, in order."""
    if folder := _local(prefix):
        return sorted(map(str, folder.glob("*.parquet")))
    with unavailable(prefix):
        return sorted(wr.s3.list_objects(prefix, suffix=".parquet"))


def delete(prefix: str) -> None:
    """Delete what an earlier try left under a prefix."""
    if folder := _local(prefix):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with unavailable(prefix):
        wr.s3.delete_objects(prefix)


def upload(file: Path, uri: str) -> None:
    """Write a file that is no Parquet beside the parts."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, path)
        return
    with unavailable(uri):
        wr.s3.upload(str(file), uri)


def is_missing(error: Exception) -> bool:
    """Tell whether what awswrangler raised says that an object is not there."""
    # It asks for an object's size before it reads, and the object may go in between.
    if isinstance(error, botocore.exceptions.ClientError):
        return error.response["Error"]["Code"] in {"404", "NoSuchKey"}
    return isinstance(error, wr.exceptions.NoFilesFound)


def _local(uri: str) -> Path | None:
    return None if uri.startswith("s3://") else Path(uri)
