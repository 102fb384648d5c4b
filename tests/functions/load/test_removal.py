"""Load on request of an operator: it counts or removes the rows of one key."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from functions.load.handler import handler
from shared.errors import InvalidEvent, SourceUnreadable
from tests.fixtures.aws import KEY, LANDING, lambda_context
from tests.fixtures.contracts import contract_set
from tests.fixtures.database import Database, eventually
from tests.functions.load.test_load import drop, hours, ledger, load, row

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OTHER = KEY.replace("dailycheckins.csv", "dailycheckins.csv.bak")
NOTHING = {"rows": 0, "kept": None}


def request(operation: str) -> Any:
    return handler({"operation": operation, "bucket": LANDING, "key": KEY}, lambda_context())


def delete_version(s3: "S3Client", event: dict[str, Any]) -> None:
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=event["source"]["versionId"])


def test_remove_deletes_rows_and_ledger_of_one_key(loader: Database, s3: "S3Client") -> None:
    event = drop(s3, [row(hours="1.00"), row(hours="2.00")])
    load(event)
    load(drop(s3, [row(hours="7.00")], key=OTHER))
    delete_version(s3, event)

    assert request("count") == {"rows": 2, "kept": None}
    assert request("remove") == {"rows": 2, "kept": None}

    assert hours(loader) == [(2, "7.00")]
    assert [entry[0] for entry in ledger(loader)] == [OTHER]
    assert request("count") == request("remove") == NOTHING


def test_remove_of_unknown_key_leaves_no_ledger_row(loader: Database) -> None:
    assert request("count") == request("remove") == NOTHING
    assert ledger(loader) == []


def test_remove_keeps_rows_of_existing_version(loader: Database, s3: "S3Client") -> None:
    older, newer = (drop(s3, [row(hours=f"{n}.00")]) for n in (1, 2))
    load(newer)
    delete_version(s3, older)
    before = ledger(loader)

    assert request("remove") == {"rows": 0, "kept": newer["source"]["versionId"]}

    assert hours(loader) == [(2, "2.00")]
    assert ledger(loader) == before


def test_load_refuses_deleted_version(loader: Database, s3: "S3Client") -> None:
    event = drop(s3, [row()])
    delete_version(s3, event)

    for _ in range(2):
        with pytest.raises(SourceUnreadable, match="was deleted before it was loaded"):
            load(event)

    assert hours(loader) == []
    assert ledger(loader) == []


@contextmanager
def table_locked(database: Database) -> Iterator[ThreadPoolExecutor]:
    """Lock the table, so that changes wait while they hold the ledger lock."""
    with ThreadPoolExecutor(2) as pool, database.connected() as other:
        other.run("BEGIN")
        other.run("LOCK TABLE daily_checkins_rows IN EXCLUSIVE MODE")
        yield pool
        other.run("ROLLBACK")


def await_lock_waits(database: Database, sessions: int) -> None:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND wait_event_type = 'Lock'"
    eventually(lambda: database.run(sql, name=database.name) == [[sessions]])


def test_remove_waits_for_running_load(loader: Database, s3: "S3Client") -> None:
    """The key has no visible ledger row yet, because Load has not committed it."""
    event = drop(s3, [row()])
    with table_locked(loader) as pool:
        loading = pool.submit(load, event)
        await_lock_waits(loader, 1)
        delete_version(s3, event)
        removing = pool.submit(request, "remove")
        await_lock_waits(loader, 2)

    assert loading.result()["rowsLoaded"] == 1
    assert removing.result() == {"rows": 1, "kept": None}
    assert hours(loader) == []
    assert ledger(loader) == []


def test_load_waits_for_removal_and_loads_new_version(loader: Database, s3: "S3Client") -> None:
    old = drop(s3, [row(hours="1.00")])
    load(old)
    delete_version(s3, old)
    with table_locked(loader) as pool:
        removing = pool.submit(request, "remove")
        await_lock_waits(loader, 1)
        new = drop(s3, [row(hours="2.00")])
        loading = pool.submit(load, new)
        await_lock_waits(loader, 2)

    assert removing.result() == {"rows": 1, "kept": None}
    assert loading.result()["rowsLoaded"] == 1
    assert hours(loader) == [(2, "2.00")]
    assert ledger(loader)[0][1] == new["source"]["versionId"]


@pytest.mark.parametrize(
    "event",
    [
        {"operation": "remove", "bucket": LANDING},
        {"operation": "drop", "bucket": LANDING, "key": KEY},
        {"operation": "remove", "bucket": LANDING, "key": "stray.csv"},
        {"operation": "remove", "bucket": LANDING, "key": KEY.replace("dailycheckins/", "wages/")},
    ],
)
def test_load_refuses_invalid_request(loader: Database, event: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        handler(event, lambda_context())


def test_request_fails_on_invalid_contract(
    loader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    invalid = contract_set({}, {"dailycheckins": "dailycheckins.odcs.yaml: it is broken"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: invalid)

    with pytest.raises(InvalidEvent, match="it is broken"):
        request("count")
