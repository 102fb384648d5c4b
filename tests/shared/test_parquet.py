import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pytest

from shared import parquet
from shared.errors import StagingIncomplete
from tests.fixtures.aws import STAGING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FIRST = dt.datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)


@pytest.fixture(params=["s3", "folder"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A prefix in the staging bucket, and a local one."""
    if request.param == "folder":
        return f"{tmp_path}/table=t/year=2024/"
    request.getfixturevalue("s3")
    return f"s3://{STAGING}/table=t/year=2024/"


def test_parts_are_read_as_written(prefix: str) -> None:
    table = pa.table(
        {
            "text": pa.array(["ё", None, ""]),
            "instant": pa.array([FIRST, None, FIRST], pa.timestamp("us", tz="UTC")),
            "number": pa.array([Decimal("0.13"), None, Decimal("999.99")], pa.decimal128(5, 2)),
            "real": pa.array([0.1, None, 1e-45], pa.float32()),
            "time": pa.array([dt.time(1, 2, 3, 4), None, dt.time.max], pa.time64("us")),
            "repeated": pa.array(["a", None, "a"]).dictionary_encode(),
            "line": pa.array([2, 3, 4], pa.int64()),
        }
    )
    other = pa.table({"line": pa.array([1], pa.int64()), "raw": pa.array(["x"])})
    uri = f"{prefix}part-00000.parquet"
    assert parquet.parts(prefix) == []
    parquet.delete(prefix)

    parquet.write(other, f"{prefix}part-00001.parquet")
    parquet.write(table, uri)

    assert parquet.read(uri).equals(table)
    parquet.write(table, uri, is_flat=True)
    flat = [
        field.with_type(getattr(field.type, "value_type", field.type)) for field in table.schema
    ]
    assert parquet.read(uri).equals(table.cast(pa.schema(flat)))
    assert parquet.parts(prefix) == [uri, f"{prefix}part-00001.parquet"]
    parquet.delete(prefix)
    assert parquet.parts(prefix) == []


def test_upload_is_not_listed_as_part(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(b"{}")

    parquet.upload(file, f"{prefix}report.json")

    assert parquet.parts(prefix) == []
    if prefix.startswith("s3://"):
        stored = boto3.client("s3").get_object(Bucket=STAGING, Key="table=t/year=2024/report.json")
        assert stored["Body"].read() == b"{}"
    else:
        assert Path(f"{prefix}report.json").read_bytes() == b"{}"


def test_read_reports_missing_part(s3: "S3Client") -> None:
    with pytest.raises(StagingIncomplete, match="is missing, but an earlier state wrote it"):
        parquet.read(f"s3://{STAGING}/table=t/part-00000.parquet")
