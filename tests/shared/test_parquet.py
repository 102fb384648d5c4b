import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from shared import parquet
from shared.errors import StagingIncomplete
from tests.fixtures.aws import STAGING

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


def test_upload_is_no_part_and_is_read_by_line(prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "rejects.jsonl"
    file.write_bytes(b"{}\n\r[]\n")

    parquet.upload(file, f"{prefix}rejects.jsonl")

    assert parquet.parts(prefix) == []
    assert [*parquet.lines(f"{prefix}rejects.jsonl")] == [b"{}\n", b"\r[]\n"]


@pytest.mark.parametrize("read", [parquet.read, lambda uri: [*parquet.lines(uri)]])
def test_missing_object_is_reported(prefix: str, read: Callable[[str], object]) -> None:
    with pytest.raises(StagingIncomplete, match="is missing, but an earlier state wrote it"):
        read(f"{prefix}part-00000.parquet")
