from typing import TYPE_CHECKING

import pytest

from functions.transform.handler import handler
from shared.errors import SourceUnreadable
from shared.ingestion import Ingestion, manifest_fields
from shared.ingestion_log import IngestionLog
from tests.fixtures.aws import KEY, LANDING, item_of, lambda_context, land, run_of, task_event
from tests.fixtures.contracts import requiring_manifests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"user,timestamp,hours,project\nned,2019-09-27 00:00:00 UTC,8.0,x\n"


def opened(s3: "S3Client", log: IngestionLog, body: bytes) -> tuple[Ingestion, dict[str, object]]:
    ingestion = land(s3, body)
    log.open(ingestion, run := run_of(ingestion))
    return ingestion, task_event(ingestion, run)


def test_transform_reads_exact_version(s3: "S3Client", log: IngestionLog) -> None:
    ingestion, event = opened(s3, log, BODY)
    land(s3, b"a newer, invalid version")

    result = handler(event, lambda_context())

    assert result["outcome"] == "ok"
    assert result["rowsRead"] == 1
    item = item_of(log, ingestion)
    assert (item["state"], item["status"]) == ("transform", "running")


def test_transform_verifies_exact_version_of_manifest(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = requiring_manifests(pattern="rows: (?P<rows>.*)")
    monkeypatch.setattr("functions.transform.handler.of_run", lambda *_: contracts)
    _, event = opened(s3, log, BODY)
    manifests = [land(s3, b"rows: %d" % rows, f"{KEY}.ctl").source for rows in (2, 1)]

    refused, verified = (
        handler(event | manifest_fields(each), lambda_context()) for each in manifests
    )

    assert refused["reason"] == (
        "the manifest 'dailycheckins.csv.ctl' says 2 rows, but the file has 1: upload the complete "
        "file, or correct the totals"
    )
    assert (verified["outcome"], verified["totalsVerified"]) == ("ok", 1)


def test_transform_closes_log_of_refused_file(s3: "S3Client", log: IngestionLog) -> None:
    ingestion, event = opened(s3, log, b"user,timestamp,hours,project,team\n")

    result = handler(event, lambda_context())

    item = item_of(log, ingestion)
    assert (item["state"], item["status"]) == ("transform", "fail")
    assert item["haltReason"].endswith("unknown: 'team'")
    assert result == {"outcome": "refused", "reason": item["haltReason"]}
    assert "\n- name: team\n" in item["advice"]


def test_transform_fails_on_deleted_version(s3: "S3Client", log: IngestionLog) -> None:
    ingestion, event = opened(s3, log, BODY)
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=ingestion.source.version_id)

    with pytest.raises(SourceUnreadable, match="upload the file again"):
        handler(event, lambda_context())
