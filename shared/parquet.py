"""Parquet objects in staging, with all types of Arrow.

awswrangler sends and receives the objects, but Arrow writes and reads them: awswrangler would
convert them to pandas, and truncate timestamps to milliseconds. A URI without `s3://` is a local
path, so that a file can be tested without a cloud.

Every function raises `StagingUnavailable` if S3 is temporarily unavailable.
"""

import contextlib
import functools
import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import awswrangler as wr
import boto3
import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet

from shared.errors import StagingIncomplete
from shared.s3 import unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# mimalloc, Arrow's default, keeps more of what each thread has freed: up to 150 MiB.
if "jemalloc" in pa.supported_memory_backends():
    pa.set_memory_pool(pa.jemalloc_memory_pool())

_BUFFER = 2**20
"""Bytes of a file that are read at a time."""


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
    with _present(uri):
        if path := _local(uri):
            # Ignore the `key=value` names of the folders, which are not columns.
            return pa.parquet.read_table(path, partitioning=None)
        file = io.BytesIO()
        wr.s3.download(uri, file, boto3_session=_session())
    return pa.parquet.read_table(file)


def lines(uri: str) -> Iterator[bytes]:
    """Yield the lines of a file in any other format; raise StagingIncomplete if it is missing."""
    with _present(uri), _opened(uri) as file:
        yield from file


def extract(uri: str, begin: int, end: int) -> bytes:
    """Read some bytes of a file in any other format; raise StagingIncomplete if it is missing."""
    with _present(uri):
        if path := _local(uri):
            with path.open("rb") as file:
                file.seek(begin)
                return file.read(end - begin)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        bytes_ = f"bytes={begin}-{end - 1}"
        client = _session().client(service_name="s3")
        data: bytes = client.get_object(Bucket=bucket, Key=key, Range=bytes_)["Body"].read()
        return data


def concatenate(uris: Iterable[str], into: str, *, header: int = 0) -> None:
    """Write files one after another into one, with the header of the first one only.

    `header` is the size of a header in bytes.
    """
    chunks = _contents(uris, header)
    if path := _local(into):
        with path.open("wb") as file:
            file.writelines(chunks)
        return
    with unavailable(into):
        wr.s3.upload(io.BufferedReader(_Stream(chunks), _BUFFER), into, boto3_session=_session())


def _contents(uris: Iterable[str], header: int) -> Iterator[bytes]:
    for number, uri in enumerate(uris):
        begin = header if number else 0
        with _present(uri), _opened(uri) as file:
            while begin:
                begin -= len(file.read(begin))
            while chunk := file.read(_BUFFER):
                yield chunk


class _Stream(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer).cast("B")
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        part, self._rest = self._rest[: len(into)], self._rest[len(into) :]
        into[: len(part)] = part
        return len(part)


def _opened(uri: str) -> IO[bytes]:
    if path := _local(uri):
        return path.open("rb")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = _session().client(service_name="s3").get_object(Bucket=bucket, Key=key)["Body"]
    return io.BufferedReader(body, _BUFFER)


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


def put(data: bytes, uri: str) -> None:
    """Write a small file in any other format."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return
    with unavailable(uri):
        wr.s3.upload(io.BytesIO(data), uri, boto3_session=_session())


def upload(file: Path, uri: str) -> None:
    """Write a file in any other format."""
    if path := _local(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, path)
        return
    with unavailable(uri):
        wr.s3.upload(str(file), uri, boto3_session=_session())


@contextlib.contextmanager
def _present(uri: str) -> Iterator[None]:
    try:
        with unavailable(uri):
            yield
    except (FileNotFoundError, botocore.exceptions.ClientError) as error:
        answer = getattr(error, "response", None)
        if answer and answer["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        raise StagingIncomplete(
            f"{uri} is missing, but an earlier state wrote it: replay the ingestion"
        ) from None


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
