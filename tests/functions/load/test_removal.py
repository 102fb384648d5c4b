"""load, asked by an operator: what a table holds of one key is counted, or removed for good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from functions.load.handler import handler
from shared.errors import InvalidContract, InvalidEvent, SourceUnreadable
from tests.fixtures.aws import KEY, LANDING, lambda_context
from tests.fixtures.contracts import contract_set
from tests.fixtures.database import Database, eventually
from tests.functions.load.test_load import drop, hours, ledger, load, row

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OTHER = KEY.replace("dailycheckins.csv", "dailycheckins.csv.bak")
NOTHING = {"rows": 0, "kept": None}


@pytest.fixture
def loader(migrated: Database, log_table: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A migrated database, and the environment of the function."""
    monkeypatch.setenv("DATABASE_SECRET_ARN", migrated.loader.secret_arn)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "load")
    return migrated


def ask(operation: str, key: str = KEY) -> dict[str, Any]:
    event = {"operation": operation, "bucket": LANDING, "key": key}
    answer: dict[str, Any] = handler(event, lambda_context())
    return answer


def forget(s3: "S3Client", event: dict[str, Any]) -> None:
    """Delete the version that an event is about, for good."""
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=event["source"]["versionId"])


def test_remove_deletes_rows_and_ledger_of_one_key(loader: Database, s3: "S3Client") -> None:
    event = drop(s3, [row(hours="1.00"), row(hours="2.00")])
    load(event)
    load(drop(s3, [row(hours="7.00")], key=OTHER))
    forget(s3, event)

    assert ask("count") == {"rows": 2, "kept": None}
    assert ask("remove") == {"rows": 2, "kept": None}

    assert hours(loader) == [(2, "7.00")]
    assert [entry[0] for entry in ledger(loader)] == [OTHER]
    assert ask("count") == ask("remove") == NOTHING


def test_remove_of_unknown_key_leaves_no_ledger_row(loader: Database) -> None:
    assert ask("count") == ask("remove") == NOTHING
    assert ledger(loader) == []


def test_remove_keeps_rows_of_existing_version(loader: Database, s3: "S3Client") -> None:
    older, newer = (drop(s3, [row(hours=f"{n}.00")]) for n in (1, 2))
    load(newer)
    forget(s3, older)
    before = ledger(loader)

    assert ask("remove") == {"rows": 0, "kept": newer["source"]["versionId"]}

    assert hours(loader) == [(2, "2.00")]
    assert ledger(loader) == before


def test_load_refuses_deleted_version(loader: Database, s3: "S3Client") -> None:
    event = drop(s3, [row()])
    forget(s3, event)

    for _ in range(2):
        with pytest.raises(SourceUnreadable, match="deleted while it was being loaded"):
            load(event)

    assert hours(loader) == []
    assert ledger(loader) == []


@contextmanager
def table_locked(database: Database) -> Iterator[ThreadPoolExecutor]:
    """Let whoever changes rows wait, the ledger's lock in hand, as long as the block lasts."""
    with ThreadPoolExecutor(2) as pool, database.connected() as other:
        other.run("BEGIN")
        other.run("LOCK TABLE daily_checkins IN EXCLUSIVE MODE")
        yield pool
        other.run("ROLLBACK")


def waiting(database: Database, sessions: int) -> None:
    """Wait until so many sessions wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND wait_event_type = 'Lock'"
    eventually(lambda: database.run(sql, name=database.name) == [[sessions]])


def test_remove_waits_for_running_load(loader: Database, s3: "S3Client") -> None:
    """Of a key without a ledger row, too: the one that Load makes is not to be seen yet."""
    event = drop(s3, [row()])
    with table_locked(loader) as pool:
        loading = pool.submit(load, event)
        waiting(loader, 1)
        forget(s3, event)
        removing = pool.submit(ask, "remove")
        waiting(loader, 2)

    assert loading.result()["rowsLoaded"] == 1
    assert removing.result() == {"rows": 1, "kept": None}
    assert hours(loader) == []
    assert ledger(loader) == []


def test_load_waits_for_removal_and_loads_new_version(
    loader: Database, s3: "S3Client"
) -> None:
    old = drop(s3, [row(hours="1.00")])
    load(old)
    forget(s3, old)
    with table_locked(loader) as pool:
        removing = pool.submit(ask, "remove")
        waiting(loader, 1)
        new = drop(s3, [row(hours="2.00")])
        loading = pool.submit(load, new)
        waiting(loader, 2)

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
def test_load_refuses_invalid_request(
    loader: Database, s3: "S3Client", event: dict[str, Any]
) -> None:
    with pytest.raises(InvalidEvent):
        handler(event, lambda_context())


def test_request_fails_on_invalid_contract(
    loader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    invalid = contract_set({}, {"dailycheckins": "dailycheckins.odcs.yaml: it is broken"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: invalid)

    with pytest.raises(InvalidContract, match="it is broken"):
        ask("count")
