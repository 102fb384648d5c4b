"""Test's handler on the output of the real Transform."""

import errno
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from functions.test.handler import handler
from functions.test.rejects import RejectFiles
from functions.transform.handler import handler as transform
from shared import parquet
from shared.errors import DiskFull, StagingIncomplete
from shared.ingestion import Ingestion
from shared.ingestion_log import IngestionLog
from shared.staging import Staging, part_name
from tests.fixtures.aws import STAGING, item_of, lambda_context, land, run_of, task_event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT = "2019-09-27 00:00:00 UTC"
GOOD = f"ned,{AT},8.0,x"
ROWS = [
    GOOD,
    f",{AT},8.0,=1+1",
    f'ned,{AT},30.0,"two\nlines"',
    f"ned,{AT},lots,x",
    "ned",
    f"{'n' * 101},{AT},1,x",
    GOOD,
    GOOD,
]


@pytest.fixture(autouse=True)
def soft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARD_TESTING", "false")


def transformed(s3: "S3Client", log: IngestionLog, *rows: str) -> tuple[Staging, dict[str, Any]]:
    body = "\n".join(["user,timestamp,hours,project", *rows]).encode()
    ingestion = land(s3, body)
    run = run_of(ingestion)
    log.open(ingestion, run)
    verdict = transform(task_event(ingestion, run), lambda_context())
    return Staging(STAGING, ingestion), task_event(ingestion, run, transform=verdict)


def read(s3: "S3Client", uri: str) -> str:
    key = uri.removeprefix(f"s3://{STAGING}/")
    return s3.get_object(Bucket=STAGING, Key=key)["Body"].read().decode()


def test_soft_testing_reports_rejects_and_passes(s3: "S3Client", log: IngestionLog) -> None:
    staging, event = transformed(s3, log, *ROWS)

    result = handler(event, lambda_context())

    assert result == {
        "outcome": "ok",
        "reason": None,
        "rowsRead": 8,
        "rowsRejected": 4,
        "warnings": 1,
    }
    records = [json.loads(line) for line in read(s3, staging.rejects).splitlines()]
    assert [(r["line"], r["column"], r["rule"], r["severity"]) for r in records] == [
        (3, "user", "required", "error"),
        (4, "hours", "hours_within_a_day", "warning"),
        (6, "hours", "number", "error"),
        (7, None, "columnCount", "error"),
        (8, "user", "maxLength", "error"),
    ]
    assert [r["raw"] for r in records] == [ROWS[1], ROWS[2], ROWS[3], ROWS[4], ROWS[5]]
    assert {(r["sourceKey"], r["versionId"]) for r in records} == {
        (event["source"]["key"], event["source"]["versionId"])
    }
    assert "user is missing" in read(s3, staging.rejects_csv)
    report = json.loads(read(s3, staging.report))
    assert (report["rowsRead"], report["rowsClean"], report["rowsRejected"]) == (8, 4, 4)
    assert {rule["rule"]: rule["examples"] for rule in report["rules"]} == {
        "required": [{"line": 3, "value": None}],
        "hours_within_a_day": [{"line": 4, "value": "30.00"}],
        "number": [{"line": 6, "value": "lots"}],
        "columnCount": [{"line": 7, "value": None}],
        "maxLength": [{"line": 8, "value": "n" * 101}],
    }
    assert report["exactRepeats"] == 2
    assert report["columns"]["user"] == {"nulls": 1, "min": "ned", "max": "n" * 101}
    assert report["columns"]["hours"] == {"nulls": 0, "min": "1.00", "max": "30.00"}


def test_hard_testing_fails_run_with_reason(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARD_TESTING", "true")
    _, event = transformed(s3, log, GOOD, GOOD, f",{AT},8.0,x", f",{AT},9.0,x")

    result = handler(event, lambda_context())

    assert result["outcome"] == "failed_tests"
    assert result["reason"] == "2 of 4 rows failed: user is missing (2×, first at line 4)"
    item = item_of(log, Ingestion.from_event(event))
    assert (item["state"], item["status"], item["rowsRejected"]) == ("test", "fail", 2)


def test_clean_file_gets_report_without_rejects(s3: "S3Client", log: IngestionLog) -> None:
    staging, event = transformed(s3, log, GOOD)

    assert handler(event, lambda_context())["rowsRejected"] == 0

    assert json.loads(read(s3, staging.report))["rules"] == []
    with pytest.raises(s3.exceptions.NoSuchKey):
        read(s3, staging.rejects)


def test_retry_replaces_rejects(s3: "S3Client", log: IngestionLog) -> None:
    staging, event = transformed(s3, log, *ROWS)

    assert handler(event, lambda_context()) == handler(event, lambda_context())
    assert len(read(s3, staging.rejects).splitlines()) == 5


def test_test_fails_on_missing_part(s3: "S3Client", log: IngestionLog) -> None:
    staging, event = transformed(s3, log, *ROWS)
    parquet.delete(staging.clean_prefix)

    with pytest.raises(StagingIncomplete, match="0 parts, but Transform wrote 1"):
        handler(event, lambda_context())


def test_test_fails_on_missing_row(s3: "S3Client", log: IngestionLog) -> None:
    staging, event = transformed(s3, log, *ROWS)
    uri = staging.clean_prefix + part_name(0)
    parquet.write(parquet.read(uri).slice(1), uri)

    with pytest.raises(StagingIncomplete, match="5 clean rows, but Transform wrote 6"):
        handler(event, lambda_context())


def test_test_fails_on_full_disk(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = transformed(s3, log, *ROWS)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(RejectFiles, "write", Mock(side_effect=full))

    with pytest.raises(DiskFull, match="No space left on device; send the rows in several files"):
        handler(event, lambda_context())

    monkeypatch.setattr(RejectFiles, "write", Mock(side_effect=OSError("other")))
    with pytest.raises(OSError, match="other"):
        handler(event, lambda_context())
