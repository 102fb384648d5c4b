import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import botocore.exceptions
import pyarrow as pa
import pytest

from shared import parquet
from shared.errors import StagingUnavailable
from tests.fixtures.aws import STAGING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FIRST = dt.datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)


def test_what_is_written_is_read(s3: "S3Client") -> None:
    table = pa.table(
        {
            "text": pa.array(["ё", None, ""]),
            "instant": pa.array([FIRST, None, FIRST], pa.timestamp("us", tz="UTC")),
            "number": pa.array([Decimal("0.13"), None, Decimal("999.99")], pa.decimal128(5, 2)),
            "line": pa.array([2, 3, 4], pa.int64()),
        }
    )
    other = pa.table({"line": pa.array([1], pa.int64()), "raw": pa.array(["x"])})
    uri = f"s3://{STAGING}/x/part-00000.parquet"

    parquet.write(table, uri)
    parquet.write(other, f"s3://{STAGING}/x/part-00001.parquet")

    assert parquet.read(uri).equals(table)
    assert [part[-18:] for part in parquet.parts(f"s3://{STAGING}/x/")] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    parquet.delete(f"s3://{STAGING}/x/")
    assert parquet.parts(f"s3://{STAGING}/x/") == []


def test_only_what_may_pass_is_called_unavailable() -> None:
    def refused(code: str) -> botocore.exceptions.ClientError:
        return botocore.exceptions.ClientError({"Error": {"Code": code}}, "PutObject")

    with pytest.raises(StagingUnavailable, match="s3://b/k"), parquet.unavailable("s3://b/k"):
        raise refused("SlowDown")
    with pytest.raises(botocore.exceptions.ClientError), parquet.unavailable("s3://b/k"):
        raise refused("AccessDenied")
