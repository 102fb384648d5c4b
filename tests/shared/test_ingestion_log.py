import datetime as dt
from typing import Any

import botocore.exceptions
import pytest

from shared.endings import Outcome, State, Status
from shared.errors import LogUnavailable
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog, is_alert_settled, was_loaded
from shared.text import REASON
from shared.verdict import Verdict
from tests.fixtures.aws import KEY, ingestion_of, item_of, run_of, steps


@pytest.fixture
def ingestion() -> Ingestion:
    return ingestion_of(Source("landing", KEY, "v1", 10))


@pytest.fixture
def run(ingestion: Ingestion) -> Run:
    return run_of(ingestion)


def test_redrive_reopens_failed_item(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    log.open(ingestion, run)
    log.enter(ingestion, run, State.LOAD)
    log.finish(ingestion, run, State.LOAD, Status.FAIL, {}, "stopped", "- name: new")
    assert item_of(log, ingestion)["advice"] == "- name: new"
    redriven = Run(run.execution_arn, 1)

    assert log.enter(ingestion, redriven, State.LOAD)
    found = item_of(log, ingestion)
    assert found["status"] == "running"
    assert not {"haltReason", "advice"} & found.keys()
    assert not log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {})


def test_reopen_lets_ended_item_wait_for_new_run(
    log: IngestionLog, ingestion: Ingestion, run: Run
) -> None:
    log.open(ingestion, run)
    counts = {"rowsRead": 3, "rowsLoaded": 2, "rowsRejected": 1}
    log.finish(ingestion, run, State.LOAD, Status.SUPERSEDED, counts, "older", "- name: new")
    again = Run(f"{run.execution_arn}-r2")

    assert log.reopen(item_of(log, ingestion), again)

    found = item_of(log, ingestion)
    assert (found["state"], found["status"], found["attempt"]) == ("trigger", "queued", 2)
    assert not {"advice", "haltReason", *counts} & found.keys(), "they belong to the previous run"
    assert steps(item_of(log, ingestion))[-1] == ("trigger", "queued")
    assert not log.begin(ingestion, run), "it was replaced"
    assert log.begin(ingestion, again)
    assert steps(item_of(log, ingestion))[-1] == ("trigger", "success")
    assert not log.begin(ingestion, again), "it has begun"
    assert not log.enter(ingestion, run, State.TRANSFORM), "it was replaced"
    assert log.enter(ingestion, again, State.TRANSFORM)
    assert log.finish(ingestion, again, State.TRANSFORM, Status.FAIL, {}, "because")


def test_reopen_fails_after_concurrent_redrive(
    log: IngestionLog, ingestion: Ingestion, run: Run
) -> None:
    log.open(ingestion, run)
    log.finish(ingestion, run, State.LOAD, Status.FAIL, {}, "stopped")
    read = item_of(log, ingestion)
    log.enter(ingestion, Run(run.execution_arn, 1), State.LOAD)

    assert not log.reopen(read, Run(f"{run.execution_arn}-r2"))


def test_removed_item_keeps_history_and_is_not_loaded(
    log: IngestionLog, ingestion: Ingestion, run: Run
) -> None:
    assert not log.removed(ingestion.id, ingestion.table), "there is no such item"
    log.open(ingestion, run)
    log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {"rowsLoaded": 2})
    before = item_of(log, ingestion)
    assert was_loaded(before)

    assert log.removed(ingestion.id, ingestion.table)

    after = item_of(log, ingestion)
    assert not was_loaded(after)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"removedAt", "updatedAt"}
    assert after["updatedAt"] == after["removedAt"] >= before["updatedAt"]
    [newest] = log.with_status(Status.SUCCESS, since=dt.datetime.fromisoformat(after["removedAt"]))
    assert newest["ingestedID"] == ingestion.id, "the removal is a change"


def test_claim_alert_succeeds_once_for_each_end(
    log: IngestionLog, ingestion: Ingestion, run: Run
) -> None:
    log.open(ingestion, run)
    key = ingestion.id, ingestion.table
    failed, succeeded = f"{run.name}/FAILED", f"{run.execution_name}/1/SUCCEEDED"

    assert log.claim_alert(*key, failed, "request-1")
    assert not log.claim_alert(*key, failed, "request-2"), "another call has the claim"
    assert log.claim_alert(*key, failed, "request-1"), "its own retry after a crash"
    assert not is_alert_settled(item_of(log, ingestion))
    log.alert_sent(*key, failed, "request-1")
    assert is_alert_settled(item_of(log, ingestion))
    assert not log.claim_alert(*key, failed, "request-1"), "it was sent"
    assert log.claim_alert(*key, succeeded, "request-3"), "the end of a redrive"
    log.alert_sent(*key, succeeded, "request-3")
    assert not log.claim_alert(*key, failed, "request-4"), "a later end was already sent"


def test_replay_needs_its_own_alert(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    log.open(ingestion, run)
    log.finish(ingestion, run, State.LOAD, Status.FAIL, {}, "stopped")
    log.claim_alert(ingestion.id, ingestion.table, f"{run.name}/FAILED", "request")
    log.alert_sent(ingestion.id, ingestion.table, f"{run.name}/FAILED", "request")
    assert is_alert_settled(item_of(log, ingestion))

    log.reopen(item_of(log, ingestion), Run(f"{run.execution_arn}-r2"))

    assert not is_alert_settled(item_of(log, ingestion))


def test_only_transient_errors_are_unavailable(
    log: IngestionLog, ingestion: Ingestion, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(code: str) -> Any:
        def put_item(**_: object) -> None:
            raise botocore.exceptions.ClientError({"Error": {"Code": code}}, "PutItem")

        return put_item

    monkeypatch.setattr(log._table, "put_item", fails("ThrottlingException"))
    with pytest.raises(LogUnavailable):
        log.open(ingestion, run)
    monkeypatch.setattr(log._table, "put_item", fails("AccessDeniedException"))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        log.open(ingestion, run)


def test_each_transition_is_in_history_and_index(
    log: IngestionLog, ingestion: Ingestion, run: Run
) -> None:
    """The items of a rejected key, a file with five runs, and a missing file."""
    begun = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    log.reject(Source("landing", "nonsense", "v1", 1), "no such form")
    log.enqueue(ingestion, run)
    ends: list[tuple[State, Status, Verdict | str]] = [
        (State.TRANSFORM, Status.FAIL, Verdict(Outcome.REFUSED, "the file is empty")),
        (State.TEST, Status.FAIL, Verdict(Outcome.FAILED_TESTS, "1 of 2 rows failed")),
        (State.LOAD, Status.FAIL, "the run was stopped by hand"),
        (State.LOAD, Status.SUPERSEDED, Verdict(Outcome.SUPERSEDED, "v2 is loaded")),
        (State.LOAD, Status.SUCCESS, Verdict(Outcome.OK, counts={"rowsRead": 3, "parts": 1})),
    ]
    expected, found = [], []
    for attempt, (state, status, end) in enumerate(ends, start=1):
        if attempt > 1:
            run = Run(f"{run.execution_arn}-r{attempt}")
            log.reopen(item_of(log, ingestion), run)
        log.begin(ingestion, run)
        log.enter(ingestion, run, state)
        if isinstance(end, str):
            log.finish(ingestion, run, state, status, {}, end)
        else:
            log.leave(ingestion, run, state, end)
        item = item_of(log, ingestion)
        reason = end if isinstance(end, str) else end.reason
        assert (item["status"], item.get("haltReason")) == (status, reason)
        expected += [
            ("trigger", "queued", None),
            ("trigger", "success", None),
            (state, "running", None),
            (state, status, reason),
        ]
        found.append([each["ingestedID"] for each in log.with_status(status, since=begun)])
    missing_id = log.miss(ingestion.table, ingestion.data_date, "no file has come", ingestion.id)

    assert found == [[ingestion.id]] * 5
    assert [(e["state"], e["status"], e.get("reason")) for e in item["history"]] == expected
    assert all(step["at"] >= begun.isoformat()[:19] for step in item["history"])
    assert (item["rowsRead"], item["history"][-1]["parts"]) == (3, 1)
    assert "parts" not in item, "it is only in the history"
    [rejected] = log.with_status(Status.REJECTED)
    [step] = rejected["history"]
    assert (step["state"], step["reason"]) == ("trigger", "no such form")
    assert step["status"] == "rejected"
    of_day = {each["ingestedID"] for each in log.of_day(ingestion.data_date)}
    assert of_day == {ingestion.id, missing_id}
    assert log.miss(ingestion.table, ingestion.data_date, "again", None) is None


def test_log_truncates_long_reasons(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    """DynamoDB limits an item, with the reasons of all its runs, to 400 KB."""
    long = "ё" * 300_000
    log.open(ingestion, run)
    log.finish(ingestion, run, State.LOAD, Status.FAIL, {}, long)
    log.reject(Source("landing", "nonsense", "v1", 10), long)
    log.miss("another", ingestion.data_date, long, None)

    statuses = (Status.FAIL, Status.REJECTED, Status.MISSING)
    items = [each for status in statuses for each in log.with_status(status)]
    assert [len(each["haltReason"]) for each in items] == [REASON] * 3
    assert [len(each["history"][-1]["reason"]) for each in items] == [500] * 3
