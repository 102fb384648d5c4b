"""Missing files of dailycheckins, which are due by 09:00 on the next day."""

import datetime as dt
from collections.abc import Callable

import boto3
import pytest

from functions.watch.deadlines import Deadlines
from shared.contract import Contract
from shared.endings import State, Status
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from shared.odcs import load_all
from tests.fixtures.aws import REGION, ingestion_of, item_of, run_of

TABLE = "dailycheckins"
DAY = dt.date(2024, 3, 3)
DEADLINE = dt.datetime(2024, 3, 4, 9, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)

Check = Callable[..., list[str]]


def deadlines(log: IngestionLog, now: dt.datetime, **contracts: Contract) -> Deadlines:
    events = boto3.client("events", region_name=REGION)
    return Deadlines(log, contracts or load_all(), events, now)


@pytest.fixture
def check(log: IngestionLog, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check deadlines at a given time; returns the new IDs. The log is years old."""
    monkeypatch.setattr(IngestionLog, "begun", lambda _: dt.datetime(2020, 1, 1, tzinfo=dt.UTC))

    def at(now: dt.datetime, *started: Ingestion, **contracts: Contract) -> list[str]:
        before = {item["ingestedID"] for item in log.with_status(Status.MISSING)}
        found = deadlines(log, now, **contracts).missing(started)
        after = {item["ingestedID"] for item in log.with_status(Status.MISSING)}
        assert len(after) == len(before) + found
        return sorted(after - before)

    return at


def ingestion(day: dt.date = DAY, name: str = "f.csv") -> Ingestion:
    return ingestion_of(Source("landing", str(LandingKey(TABLE, day, name)), "v1", 1))


def ended(
    log: IngestionLog, each: Ingestion, state: State, status: Status, reason: str | None
) -> Run:
    run = run_of(each)
    log.open(each, run)
    log.finish(each, run, state, status, {}, reason)
    return run


def test_missing_file_is_reported_once_after_deadline(check: Check, log: IngestionLog) -> None:
    assert check(DEADLINE + 9 * MINUTE) == ["20240301-missing", "20240302-missing"]

    assert check(DEADLINE + 10 * MINUTE) == ["20240303-missing"], "ten minutes of grace"
    assert check(DEADLINE + 25 * MINUTE) == [], "only once"

    item = log.get("20240303-missing", TABLE) or {}
    assert (item["state"], item["status"], item["dataDate"]) == ("trigger", "missing", "2024-03-03")
    assert item["haltReason"] == (
        "no file for 2024-03-03 has landed; it was due by 2024-03-04 09:00 (Etc/UTC)"
    )
    [entry] = item["history"]
    assert (entry["state"], entry["status"]) == ("trigger", "missing")


@pytest.mark.parametrize("state", [State.LOAD, State.TRANSFORM])
def test_removed_file_is_reported_as_missing(state: State, check: Check, log: IngestionLog) -> None:
    status = Status.SUCCESS if state is State.LOAD else Status.FAIL
    ended(log, each := ingestion(), state, status, None)
    log.removed(each.id, each.table)

    assert "20240303-missing" in check(DEADLINE + HOUR)

    item = log.get("20240303-missing", TABLE) or {}
    assert "failedID" not in item
    assert item["haltReason"] == (
        "the file for 2024-03-03 was removed; it was due by 2024-03-04 09:00 (Etc/UTC)"
    )


def test_file_under_way_is_not_missing(check: Check, log: IngestionLog) -> None:
    run = run_of(each := ingestion())
    log.open(each, run)
    assert "20240303-missing" not in check(DEADLINE + HOUR)

    log.finish(each, run, State.TRANSFORM, Status.FAIL, {}, "the file is empty")

    assert check(DEADLINE + 2 * HOUR) == ["20240303-missing"]


def test_file_started_in_same_call_is_not_missing(check: Check) -> None:
    assert "20240303-missing" not in check(DEADLINE + HOUR, ingestion())


def test_missing_file_names_failed_ingestion(check: Check, log: IngestionLog) -> None:
    ended(log, ingestion(name="a.csv"), State.TRANSFORM, Status.FAIL, "the file is empty")
    last = ingestion(name="b.csv")
    ended(log, last, State.LOAD, Status.FAIL, "DatabaseUnavailable: no answer")

    check(DEADLINE + HOUR)

    item = log.get("20240303-missing", TABLE) or {}
    assert item["failedID"] == last.id, "the latest failure"
    assert item["haltReason"].endswith(
        f"it landed, but ingestion {last.id} ended with load/fail: DatabaseUnavailable: no answer"
    )


def test_missing_file_names_ingestion_that_waits_for_its_manifest(
    check: Check, log: IngestionLog
) -> None:
    log.enqueue(each := ingestion(), run_of(each), awaits="the file waits for its manifest 'm'")

    check(DEADLINE + HOUR)

    item = log.get("20240303-missing", TABLE) or {}
    assert (item["waitingID"], "failedID" in item) == (each.id, False)
    assert item["haltReason"].endswith(
        f"it landed as ingestion {each.id}, but the file waits for its manifest 'm'"
    )


def test_failed_replay_of_loaded_file_is_not_missing(check: Check, log: IngestionLog) -> None:
    run = ended(log, each := ingestion(), State.LOAD, Status.SUCCESS, None)
    again = Run(f"{run.execution_arn}-r2")
    log.reopen(item_of(log, each), again)
    log.finish(each, again, State.LOAD, Status.FAIL, {}, "stopped")

    assert "20240303-missing" not in check(DEADLINE + HOUR)


def test_missing_files_of_last_two_days_are_reported_late(check: Check) -> None:
    assert check(DEADLINE + dt.timedelta(days=30)) == ["20240331-missing", "20240401-missing"]


def test_no_file_is_expected_before_first_whole_day_of_stack(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = dt.datetime(2024, 3, 3, 0, 1, tzinfo=dt.UTC)
    monkeypatch.setattr(IngestionLog, "begun", lambda _: began)

    assert check(DEADLINE + HOUR) == []
    assert check(DEADLINE + dt.timedelta(days=1, hours=1)) == ["20240304-missing"]


@pytest.mark.usefixtures("check")
def test_hours_late_counts_from_first_missed_deadline(log: IngestionLog) -> None:
    ended(log, ingestion(DAY - dt.timedelta(days=1)), State.LOAD, Status.SUCCESS, None)
    ended(log, ingestion(), State.TRANSFORM, Status.FAIL, "no header")

    def hours_late(after: int) -> dict[str, float]:
        return deadlines(log, DEADLINE + after * HOUR).hours_late()

    assert hours_late(0) == {TABLE: 0}, "only tables with a deadline"
    assert hours_late(3) == {TABLE: 3}
    assert hours_late(30) == {TABLE: 30}, "the next deadline does not reset it"

    ended(log, ingestion(name="again.csv"), State.LOAD, Status.SUCCESS, None)
    assert hours_late(3) == {TABLE: 0}
    assert hours_late(30) == {TABLE: 6}

    ended(log, ingestion(DAY + dt.timedelta(days=1)), State.LOAD, Status.SUCCESS, None)
    assert hours_late(30) == {TABLE: 0}


def test_new_stack_is_not_late(log: IngestionLog) -> None:
    assert deadlines(log, dt.datetime.now(dt.UTC)).hours_late() == {TABLE: 0}
