"""Parquet objects in staging, with all types of Arrow.

awswrangler sends and receives the objects, but Arrow writes and reads them: awswrangler would
convert them to pandas, and truncate timestamps to milliseconds. A URI without `s3://` is a local
path, so that a file can be tested without a cloud.

Every function except `is_missing` raises `StagingUnavailable` if S3 is temporarily unavailable.
"""

import functools
import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awswrangler as wr
import boto3
import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet

from shared.errors import StagingIncomplete
from shared.s3 import unavailable


def write(table: pa.Table, uri: str, *, is_flat: bool = False) -> None:
    """Write one object; if it is flat, `read` returns the values of dictionaries."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(table, path, is_flat=is_flat)
        return
    file = io.BytesIO()
    _write(table, file, is_flat=is_flat)
    file.seek(0)
    with unavailable(uri):
        wr.s3.upload(file, uri, boto3_session=_session())


def _write(table: pa.Table, file: Path | io.BytesIO, *, is_flat: bool) -> None:
    # What makes a part small takes most of the time to write it. So only texts are compressed, and
    # only columns that are dictionaries already are written as such.
    types = {field.name: field.type for field in table.schema}
    repeating = [name for name, kind in types.items() if pa.types.is_dictionary(kind)]
    pa.parquet.write_table(
        table,
        file,
        use_dictionary=repeating,
        column_encoding={
            name: "DELTA_BINARY_PACKED"
            for name, kind in types.items()
            if pa.types.is_integer(kind) or pa.types.is_temporal(kind)
        },
        compression={
            name: "snappy" if pa.types.is_string(kind) else "none" for name, kind in types.items()
        },
        store_decimal_as_integer=True,
        store_schema=not is_flat,
        write_statistics=False,
    )


def read(uri: str) -> pa.Table:
    """Read one object; raise StagingIncomplete if it is missing."""
    if path := _local(uri):
        # Ignore the `key=value` names of the folders, which are not columns.
        return pa.parquet.read_table(path, partitioning=None)
    file = io.BytesIO()
    try:
        with unavailable(uri):
            wr.s3.download(uri, file, boto3_session=_session())
    except botocore.exceptions.ClientError as error:
        if not is_missing(error):
            raise
        raise StagingIncomplete(
            f"{uri} is missing, but an earlier state wrote it: replay the ingestion"
        ) from None
    return pa.parquet.read_table(file)


def parts(prefix: str) -> list[str]:
    """Return the URIs of the Parquet parts directly under a prefix, in order."""
    if folder := _local(prefix):
        return sorted(map(str, folder.glob("*.parquet")))
    with unavailable(prefix):
        found = wr.s3.list_objects(prefix, suffix=".parquet", boto3_session=_session())
        return sorted(found)


def delete(prefix: str) -> None:
    """Delete all objects under a prefix, e.g. those of an earlier attempt."""
    if folder := _local(prefix):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with unavailable(prefix):
        wr.s3.delete_objects(prefix, boto3_session=_session())


def upload(file: Path, uri: str) -> None:
    """Write a file in any other format."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, path)
        return
    with unavailable(uri):
        wr.s3.upload(str(file), uri, boto3_session=_session())


def is_missing(error: Exception) -> bool:
    """Return whether an error of awswrangler means that an object is missing."""
    # awswrangler reads an object's size first, and the object may be deleted in between.
    if isinstance(error, botocore.exceptions.ClientError):
        return error.response["Error"]["Code"] in {"404", "NoSuchKey"}
    return isinstance(error, wr.exceptions.NoFilesFound)


def _session() -> Any:
    """Return a session that has one client: awswrangler asks for a new one for each object."""
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    return _with_one_client(boto3.DEFAULT_SESSION)


@functools.lru_cache(maxsize=1)
def _with_one_client(session: boto3.Session) -> Any:
    created: Any = None

    def client(**options: Any) -> Any:
        nonlocal created
        created = created or session.client(**options)
        return created

    return SimpleNamespace(client=client)


def _local(uri: str) -> Path | None:
    return None if uri.startswith("s3://") else Path(uri)
