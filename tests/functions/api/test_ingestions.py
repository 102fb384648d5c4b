"""Routes to the ingestion log."""

import datetime as dt
import json

import boto3
import pytest

from functions.transform.header import match_header
from shared.endings import Outcome, State, Status
from shared.ingestion import Ingestion, Source
from shared.ingestion_log import IngestionLog
from shared.odcs import load_all
from shared.verdict import Refusal, Verdict
from tests.fixtures.aws import LOG_TABLE, ingestion_of, run_of
from tests.fixtures.lookup import all_items, ask, found, refused

ENDS = [Status.SUCCESS, Status.FAIL, Status.SUPERSEDED, Status.RUNNING]


def ingestion(n: int, table: str = "dailycheckins") -> Ingestion:
    text = f"table={table}/year=2024/month=3/day={n % 28 + 1}/{n}.csv"
    return ingestion_of(Source("bucket", text, "a version", 10))


def opened(log: IngestionLog, one: Ingestion, end: Status) -> None:
    run = run_of(one)
    log.open(one, run)
    log.enter(one, run, State.LOAD)
    if end != Status.RUNNING:
        log.finish(one, run, State.LOAD, end, {"rowsRead": 5, "rowsLoaded": 3, "rowsRejected": 2})


@pytest.fixture
def many(function: None, log: IngestionLog) -> list[str]:
    """IDs of 17 ingestions, most recently changed first; up to three changed at the same time."""
    for n in range(16):
        opened(log, ingestion(n, "projectbudgets" if n % 5 == 0 else "dailycheckins"), ENDS[n % 4])
    log.reject(Source("bucket", "no key of ours", "v", 1), "the key is not of the form")
    table = boto3.resource("dynamodb").Table(LOG_TABLE)
    items = sorted(table.scan()["Items"], key=lambda item: str(item["ingestedID"]))
    for n, item in enumerate(items):
        table.update_item(
            Key={name: item[name] for name in ("ingestedID", "ingestedTable")},
            UpdateExpression="SET updatedAt = :at",
            ExpressionAttributeValues={":at": f"2024-03-03T00:00:{n // 3:02}.000Z"},
        )
    newest = sorted(range(len(items)), key=lambda n: (-(n // 3), n))
    return [str(items[n]["ingestedID"]) for n in newest]


def test_ingestions_are_sorted_by_last_change_in_pages_of_any_size(many: list[str]) -> None:
    assert len(many) == 17
    for limit in ("2", "7", "17", "100"):
        assert [each["id"] for each in all_items("/ingestions", limit=limit)] == many

    cursor = found("/ingestions", limit="2")["next"]
    assert "'cursor'" in refused(ask("/ingestions", cursor=cursor, status="fail"), 400)


def test_ingestions_can_be_filtered(many: list[str]) -> None:
    everything = {each["id"]: each for each in found("/ingestions")["items"]}
    for parameters, wanted in (
        ({"status": "success"}, lambda each: each["status"] == "success"),
        ({"status": "rejected"}, lambda each: each["table"] == "unmatched"),
        ({"table": "projectbudgets"}, lambda each: each["table"] == "projectbudgets"),
        ({"table": "none"}, lambda each: False),
        (
            {"since": "2024-03-03T00:00:03Z"},
            lambda each: each["updatedAt"] >= "2024-03-03T00:00:03",
        ),
        ({"since": "2030-01-01"}, lambda each: False),
        (
            {"status": "fail", "table": "projectbudgets", "since": "2024-03-03"},
            lambda each: (each["status"], each["table"]) == ("fail", "projectbudgets"),
        ),
    ):
        shown = [each["id"] for each in all_items("/ingestions", limit="2", **parameters)]
        assert shown == [id_ for id_ in many if wanted(everything[id_])]


def test_ingestion_has_history(function: None, log: IngestionLog) -> None:
    one = ingestion(2)
    opened(log, one, Status.SUCCESS)

    answer = found(f"/ingestions/{one.id}")

    history = answer.pop("history")
    assert [(step["state"], step["status"], step["counts"]) for step in history] == [
        ("trigger", "success", {}),
        ("load", "running", {}),
        ("load", "success", {"rowsRead": 5, "rowsLoaded": 3, "rowsRejected": 2}),
    ]
    assert all(dt.datetime.fromisoformat(step["at"]).tzinfo for step in history)
    assert answer.pop("updatedAt") == history[-1]["at"]
    assert answer == {
        "id": one.id,
        "table": "dailycheckins",
        "state": "load",
        "status": "success",
        "sourceKey": one.source.key,
        "versionId": "a version",
        "size": 10,
        "dataDate": "2024-03-03",
        "attempt": 1,
        "rowsRead": 5,
        "rowsLoaded": 3,
        "rowsRejected": 2,
    }
    assert refused(ask("/ingestions/20240303-0000000000"), 404)


def test_watch_state_is_not_an_ingestion(function: None, log: IngestionLog) -> None:
    log.save_progress("sweep", {"finished": True})

    assert refused(ask("/ingestions/watch"), 404)
    assert found("/ingestions")["items"] == []


def test_missing_file_is_an_ingestion(function: None, log: IngestionLog) -> None:
    missing = log.miss("dailycheckins", dt.date(2024, 3, 3), "no file has come", None)

    [listed] = found("/ingestions", status="missing")["items"]
    assert listed == {
        "id": missing,
        "table": "dailycheckins",
        "state": "trigger",
        "status": "missing",
        "sourceKey": "table=dailycheckins/year=2024/month=3/day=3/",
        "dataDate": "2024-03-03",
        "updatedAt": listed["updatedAt"],
    }
    [step] = found(f"/ingestions/{missing}")["history"]
    assert (step["status"], step["counts"]) == ("missing", {})


def test_ingestion_omits_reason_that_quotes_file(function: None, log: IngestionLog) -> None:
    contract = load_all()["dailycheckins"]
    refusal = match_header(["mr-private", "2019-09-27", "1", "hidden"], 4, 1, contract)
    assert isinstance(refusal, Refusal)
    assert "mr-private" in refusal.reason
    one = ingestion(2)
    run = run_of(one)
    log.open(one, run)
    log.leave(one, run, State.TRANSFORM, Verdict(Outcome.REFUSED, refusal.reason))

    for path in ("/ingestions", f"/ingestions/{one.id}"):
        text = json.dumps(found(path))
        assert one.id in text
        assert "private" not in text
        assert "hidden" not in text
