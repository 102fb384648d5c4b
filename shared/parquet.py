"""Parquet in the staging bucket, exactly as it was: microseconds, time zones and decimals too.

awswrangler's own defaults cut timestamps to milliseconds and take their zone away.
"""

import contextlib
from collections.abc import Iterator

import awswrangler as wr
import botocore.exceptions
import pandas as pd
import pyarrow as pa

from shared.errors import StagingUnavailable

_AS_IT_IS = {
    "coerce_timestamps": None,
    "flavor": None,
    "version": "2.6",
    # Costs most of the writing, for a part that is read two times and is small enough without.
    "use_dictionary": False,
}
"""Handed over as a copy: awswrangler writes the first table's schema into it."""


def write(table: pa.Table, uri: str) -> None:
    """Write one object.

    Raises:
        StagingUnavailable: S3 did not take it.
    """
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    with unavailable(uri):
        wr.s3.to_parquet(frame, uri, pyarrow_additional_kwargs=dict(_AS_IT_IS))


def read(uri: str) -> pa.Table:
    """Read one object with the types it was written with.

    Raises:
        StagingUnavailable: S3 did not give it.
    """
    with unavailable(uri):
        frame = wr.s3.read_parquet(uri, dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def parts(prefix: str) -> list[str]:
    """Return the URIs of the Parquet parts directly under a prefix, in order.

    Raises:
        StagingUnavailable: S3 did not answer.
    """
    with unavailable(prefix):
        return sorted(wr.s3.list_objects(prefix, suffix=".parquet"))


def delete(prefix: str) -> None:
    """Delete what an earlier try left under a prefix.

    Raises:
        StagingUnavailable: S3 did not answer.
    """
    with unavailable(prefix):
        wr.s3.delete_objects(prefix)


@contextlib.contextmanager
def unavailable(uri: str) -> Iterator[None]:
    """Turn S3's passing failures at `uri` into `StagingUnavailable`, and let all others be."""
    passing = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "503", "500"}
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in passing:
            raise
        raise StagingUnavailable(f"S3 refused {uri} for now: {error}") from error
    except botocore.exceptions.HTTPClientError as error:
        raise StagingUnavailable(f"S3 did not answer for {uri}: {error}") from error
