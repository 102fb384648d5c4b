"""The end of a run starts the next file, and a metric shows how many files wait."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.watch import backlog
from functions.watch.handler import handler
from shared.endings import State, Status
from shared.errors import NoticeUndelivered
from shared.gate import Gate
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.intake import Intake
from shared.odcs import load_all
from tests.fixtures.aws import CONTRACTS_HASH, REGION, item_of, lambda_context, land

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The sleeps, in seconds."""
    found: list[float] = []
    monkeypatch.setattr("functions.watch.backlog.time.sleep", found.append)
    monkeypatch.setattr("functions.watch.handler.backlog", backlog.Backlog())
    return found


@pytest.fixture
def files(
    state_machine: str, s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> list[Ingestion]:
    """Three files. The first one is running, the others wait."""
    monkeypatch.setenv("MAX_CONCURRENCY", "1")
    gate = Gate(
        log, boto3.client("stepfunctions", region_name=REGION), state_machine, 1, CONTRACTS_HASH
    )
    intake = Intake(load_all(), gate, boto3.client("events", region_name=REGION), s3)
    found = [land(s3, b"x", f"table=dailycheckins/year=2024/month=3/day=3/{n}.csv") for n in "abc"]
    for each in found:
        intake.admit(each.source)
    return found


def end(log: IngestionLog, ingestion: Ingestion) -> dict[str, Any]:
    """End the run of an ingestion; return EventBridge's event."""
    run = Run.from_item(item_of(log, ingestion))
    boto3.client("stepfunctions", region_name=REGION).stop_execution(executionArn=run.execution_arn)
    log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {})
    detail = {"executionArn": run.execution_arn, "status": "ABORTED"}
    return {"detail-type": "Step Functions Execution Status Change", "detail": detail}


def statuses(log: IngestionLog, files: list[Ingestion]) -> list[str]:
    return [item_of(log, each)["status"] for each in files]


def counted(output: str) -> list[float]:
    """Return the published numbers of queued files."""
    lines = [json.loads(line) for line in output.splitlines() if "FilesQueued" in line]
    return [value for line in lines for value in line["FilesQueued"]]


def test_watch_starts_next_file_at_end_of_run(
    files: list[Ingestion], log: IngestionLog, naps: list[float]
) -> None:
    assert statuses(log, files) == ["running", "queued", "queued"]

    event = end(log, files[0])

    assert handler(event, lambda_context()) == {"started": 1}
    assert naps == []
    assert handler(event, lambda_context()) == {"started": 0}, "a duplicate event"

    assert statuses(log, files) == ["success", "running", "queued"]


def test_watch_retries_if_index_lags(
    files: list[Ingestion], log: IngestionLog, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, shown = IngestionLog.queued, iter([False])

    def lagging(self: IngestionLog) -> Iterator[dict[str, Any]]:
        return waiting(self) if next(shown, True) else iter(())

    monkeypatch.setattr(IngestionLog, "queued", lagging)

    assert handler(end(log, files[0]), lambda_context()) == {"started": 1}

    assert naps == [backlog.LAG]


def test_schedule_starts_queued_files(
    files: list[Ingestion], log: IngestionLog, capsys: pytest.CaptureFixture[str]
) -> None:
    end(log, files[0])

    found = handler({}, lambda_context())

    assert (found["recovered"], found["started"]) == (1, 1)
    assert statuses(log, files) == ["success", "running", "queued"]
    assert counted(capsys.readouterr().out) == [1]


def test_schedule_starts_queued_files_without_eventbridge(
    files: list[Ingestion], log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: Any) -> None:
        raise NoticeUndelivered("EventBridge is unavailable")

    end(log, files[0])
    monkeypatch.setattr("shared.notices.put", unavailable)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=20)

    with pytest.raises(NoticeUndelivered):
        handler({"time": later.isoformat()}, lambda_context())

    assert statuses(log, files) == ["success", "running", "queued"]


def test_watch_counts_queued_files_once_a_minute(
    files: list[Ingestion], log: IngestionLog, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in files[:2]:
        handler(end(log, each), lambda_context())

    assert counted(capsys.readouterr().out) == [1]
