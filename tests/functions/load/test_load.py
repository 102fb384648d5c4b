"""Load on a real PostgreSQL: staged rows replace the rows of their key, all or none."""

import datetime as dt
import functools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import UUID

import pg8000.exceptions
import pyarrow as pa
import pytest

from functions.alert.message import compose
from functions.load.handler import handler
from functions.load.versions import may_replace
from functions.transform.casts import arrow_type, schema
from shared import parquet
from shared.column import Column
from shared.database import connect
from shared.endings import Kind, State, Status
from shared.errors import DatabaseRefused, RowsUnaccounted, SchemaMismatch, StagingIncomplete
from shared.ingestion import Ingestion
from shared.ingestion_log import IngestionLog
from shared.odcs import load_all
from shared.staging import Staging, part_name
from tests.fixtures.aws import KEY, LANDING, STAGING, lambda_context, land, run_of, task_event
from tests.fixtures.contracts import READINGS
from tests.fixtures.database import Database, eventually, migrate_to
from tests.fixtures.proxy import Asleep, report_starting_up, stay_silent, waking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = schema(load_all()["dailycheckins"])
NOON = dt.datetime(2019, 9, 27, 12, tzinfo=dt.UTC)

Row = tuple[str | None, dt.datetime, Decimal, str | None]
Event = dict[str, Any]


def row(user: str | None = "ned", hours: str = "1.00") -> Row:
    return user, NOON, Decimal(hours), "bizdev"


def reject(line: int, severity: str = "error", **fields: Any) -> dict[str, Any]:
    return {"line": line, "severity": severity, "rule": "a rule", "raw": '…,"x"\n,…'} | fields


def stage(
    s3: "S3Client",
    ingestion: Ingestion,
    *parts: list[Row],
    rejects: list[dict[str, Any]] | None = None,
    suspects: int = 0,
) -> Event:
    """Stage parts and rejects as Transform and Test do; return Load's event."""
    staging = Staging(STAGING, ingestion)
    line = 2
    for number, rows in enumerate(parts):
        lines = range(line, line + len(rows))
        table = [(*values, line) for values, line in zip(rows, lines, strict=True)]
        columns = [list(column) for column in zip(*table, strict=True)]
        parquet.write(pa.table(columns, schema=SCHEMA), staging.clean_prefix + part_name(number))
        line += len(rows)
    rejects = rejects or []
    if rejects:
        body = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rejects)
        key = staging.rejects.removeprefix(f"s3://{STAGING}/")
        s3.put_object(Bucket=STAGING, Key=key, Body=body.encode())
    clean = line - 2
    return task_event(
        ingestion,
        run_of(ingestion),
        transform={
            "outcome": "ok",
            "rowsRead": clean + suspects,
            "rowsClean": clean,
            "rowsSuspect": suspects,
            "parts": len(parts),
        },
        test={
            "outcome": "ok",
            "rowsRejected": len({each["line"] for each in rejects if each["severity"] == "error"}),
            "warnings": sum(each["severity"] == "warning" for each in rejects),
        },
    )


def stage_part(ingestion: Ingestion, part: pa.Table) -> Event:
    """Stage one part without rejects; return Load's event."""
    parquet.write(part, Staging(STAGING, ingestion).clean_prefix + part_name(0))
    return task_event(
        ingestion,
        run_of(ingestion),
        transform={"rowsRead": len(part), "rowsClean": len(part), "rowsSuspect": 0, "parts": 1},
        test={"rowsRejected": 0, "warnings": 0},
    )


def drop(s3: "S3Client", *parts: list[Row], key: str = KEY, **more: Any) -> Event:
    """Land a file and stage its rows."""
    return stage(s3, land(s3, b"a file", key), *parts, **more)


def load(event: Event) -> dict[str, Any]:
    """Open the log item as trigger does, and call Load."""
    ingestion = Ingestion.from_event(event)
    IngestionLog.of("tm-log").open(ingestion, run_of(ingestion))
    return handler(event, lambda_context())


def hours(database: Database) -> list[tuple[Any, ...]]:
    sql = "SELECT source_line, hours::text FROM daily_checkins ORDER BY source_id, source_line"
    return [tuple(each) for each in database.run(sql)]


def ledger(database: Database) -> Any:
    return database.run(
        "SELECT source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected "
        "FROM source ORDER BY source_key"
    )


def test_load_inserts_rows_of_every_part(loader: Database, s3: "S3Client") -> None:
    event = drop(s3, [row(hours="1.25"), row(hours="2.00")], [row(hours="0.13")])

    verdict = load(event)

    assert verdict == {
        "outcome": "ok",
        "reason": None,
        "rowsRead": 3,
        "rowsLoaded": 3,
        "rowsRejected": 0,
    }
    assert hours(loader) == [(2, "1.25"), (3, "2.00"), (4, "0.13")]
    source = event["source"]
    assert ledger(loader) == [[KEY, source["versionId"], event["ingestedID"], 3, 3, 0]]
    assert loader.run("SELECT now() - loaded_at < interval '1 minute' FROM source") == [[True]]


VALUES: list[tuple[str, dt.datetime, str, str | None]] = [
    ("plain", NOON.replace(microsecond=123456), "999.99", "bizdev"),
    ("null", NOON.replace(microsecond=1), "-999.99", None),
    ("empty", NOON, "0.00", ""),
    ('quo"te', NOON, "0.01", '"'),
    ("comma, and\ttab", NOON, "1.10", ",,"),
    ("new\nline", NOON, "1.10", "carriage\r\nreturn\r"),
    ("\\.", NOON, "1.10", "\\."),
    ("end\n\\.\nof data", NOON, "1.10", "\\N"),
    ("back\\slash", NOON, "1.10", "\\n"),
    (" padded ", NOON, "1.10", "NULL"),
    ("кириллица 🦆 e\u0301", NOON, "1.10", "\u200b\ufeff"),
    ("'; DROP TABLE source; --", NOON, "1.10", "%s :name $1"),
    ("control\x01\x7f", NOON, "1.10", "\x1a"),
    ("year 1", dt.datetime(1, 1, 1, tzinfo=dt.UTC), "1.10", None),
    ("leap", dt.datetime(2000, 2, 29, 23, 59, 59, 999999, dt.UTC), "1.10", None),
    ("year 9999", dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), "1.10", None),
]


def test_load_keeps_exact_values(loader: Database, s3: "S3Client") -> None:
    load(drop(s3, [(user, at, Decimal(n), project) for user, at, n, project in VALUES]))

    found = loader.run(
        "SELECT username, to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), "
        "hours::text, project FROM daily_checkins ORDER BY source_line"
    )

    assert found == [
        [user, at.replace(tzinfo=None).isoformat(" ", "microseconds"), number, project]
        for user, at, number, project in VALUES
    ]


FIRST, LEAP, LAST = dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)
LOW, HIGH = Decimal("-999999999.999"), Decimal("999999999.999")
READING_ROWS: list[tuple[Any, ...]] = [
    (
        *(-(2**31), "", FIRST, NOON, LOW, -(2**63), -(2**15), False, "NULL", Decimal(-9)),
        *(NOON, LEAP, -1e-45, 5e-324, dt.time(), UUID(int=0), {"a": [None, '"\\,\t']}),
    ),
    (0, "true", LEAP, NOON, Decimal("-0.001"), 0, *[None] * 11),
    (
        *(2**31 - 1, "t", LAST, NOON, HIGH, 2**63 - 1, 2**15 - 1, True, "f", Decimal(99999)),
        *(NOON, LAST, 0.1, 1.7976931348623157e308, dt.time.max, UUID(int=2**128 - 1), "𝄞"),
    ),
]


def _staged(value: Any, column: Column) -> Any:
    match column.kind:
        case "uuid":
            return value and str(value)
        case "json":
            return value and json.dumps(value)
    return value


def test_load_keeps_exact_values_of_every_type(
    database: Database, s3: "S3Client", log_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_to(READINGS)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.loader.secret_arn)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {"readings": READINGS})
    ingestion = land(s3, b"a file", KEY.replace("dailycheckins", "readings"))
    values = [
        pa.array([_staged(value, column) for value in values], arrow_type(column))
        for values, column in zip(zip(*READING_ROWS, strict=True), READINGS.columns, strict=True)
    ]
    lines = pa.array(range(2, 2 + len(READING_ROWS)), pa.int64())
    part = pa.table([*values, lines], names=[*READINGS.physical_names, "line"])

    verdict = load(stage_part(ingestion, part))

    assert verdict["rowsLoaded"] == len(READING_ROWS)
    names = ", ".join(f'"{column.physical_name}"' for column in READINGS.columns)
    found = database.run(f'SELECT {names} FROM "order" ORDER BY source_line')
    assert [tuple(values) for values in found] == READING_ROWS


def test_load_skips_rejected_rows(loader: Database, s3: "S3Client") -> None:
    event = drop(
        s3,
        [row(None), row(hours="2.00"), row(hours="30.00")],
        [row(hours="4.00")],
        rejects=[
            reject(2, rule="required", value=None),
            reject(2, rule="another"),
            reject(4, "warning", value="30.00"),
            reject(6, value="1e400", raw="a suspect row, in no part"),
            reject(7, value="2019-09-27", raw="x" * 100_000),
        ],
        suspects=2,
    )

    verdict = load(event)

    counts = (verdict["rowsRead"], verdict["rowsLoaded"], verdict["rowsRejected"])
    assert counts == (6, 3, 3)
    assert hours(loader) == [(3, "2.00"), (4, "30.00"), (5, "4.00")]


def test_load_of_rejected_rows_only_empties_table(loader: Database, s3: "S3Client") -> None:
    load(drop(s3, [row()]))

    verdict = load(drop(s3, rejects=[reject(2), reject(3)], suspects=2))

    assert (verdict["outcome"], verdict["rowsLoaded"]) == ("ok", 0)
    assert hours(loader) == []


def test_load_replaces_rows_of_same_key(loader: Database, s3: "S3Client") -> None:
    other = KEY.replace("dailycheckins.csv", "other.csv")
    load(drop(s3, [row(hours="1.00"), row(hours="2.00")]))
    load(drop(s3, [row(hours="7.00")], key=other))

    again = drop(s3, [row(hours="3.00")])
    load(again)
    load(again)

    assert hours(loader) == [(2, "3.00"), (2, "7.00")]
    assert [entry[0] for entry in ledger(loader)] == [KEY, other]
    assert ledger(loader)[0][1] == again["source"]["versionId"]


def test_load_ignores_older_version(
    loader: Database, s3: "S3Client", log: IngestionLog, capsys: pytest.CaptureFixture[str]
) -> None:
    older = drop(s3, [row(hours="1.00")])
    newer = drop(s3, [row(hours="2.00")])
    load(newer)
    before = ledger(loader)
    assert len(published(capsys)) == 2

    verdict = load(older)

    assert published(capsys) == []
    version = newer["source"]["versionId"]
    assert verdict == {
        "outcome": "superseded",
        "reason": f"the table already holds version {version} of this key; "
        "this version is not newer",
        "rowsRead": 1,
        "rowsLoaded": 0,
        "rowsRejected": 0,
    }
    assert hours(loader) == [(2, "2.00")]
    assert ledger(loader) == before
    item = log.get(older["ingestedID"], "dailycheckins") or {}
    assert (item["state"], item["status"]) == (State.LOAD, Status.SUPERSEDED)
    assert item["haltReason"] == verdict["reason"]


def test_load_keeps_newest_version_in_any_order(loader: Database, s3: "S3Client") -> None:
    events = [drop(s3, [row(hours=f"{n}.00")]) for n in range(1, 5)]

    with ThreadPoolExecutor(4) as pool:
        outcomes = [result["outcome"] for result in pool.map(load, reversed(events))]

    assert hours(loader) == [(2, "4.00")]
    assert ledger(loader)[0][1] == events[-1]["source"]["versionId"]
    assert outcomes[0] == "ok"


def test_may_replace_compares_versions_across_pages(
    s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = land(s3, b"1").source
    land(s3, b"a key with the same prefix", f"{KEY}.bak")
    s3.delete_object(Bucket=LANDING, Key=KEY)
    versions = [land(s3, bytes([n])).source for n in range(3)]
    monkeypatch.setattr(
        "botocore.paginate.PageIterator._inject_starting_params",
        lambda self, kwargs: kwargs.update(MaxKeys=2),
    )

    assert may_replace(s3, versions[-1], oldest.version_id)
    assert not may_replace(s3, oldest, versions[0].version_id)
    assert may_replace(s3, oldest, "deleted for good")
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=oldest.version_id)
    assert not may_replace(s3, oldest, versions[0].version_id)
    assert not may_replace(s3, oldest, "deleted for good too")


def test_load_reports_same_counts_everywhere(
    loader: Database, s3: "S3Client", log: IngestionLog, capsys: pytest.CaptureFixture[str]
) -> None:
    event = drop(s3, [row(None), row(), row()], rejects=[reject(2), reject(5)], suspects=1)

    verdict = load(event)

    counts = {"rowsRead": 4, "rowsLoaded": 2, "rowsRejected": 2}
    assert verdict == {"outcome": "ok", "reason": None, **counts}
    assert ledger(loader)[0][3:] == [4, 2, 2]
    item = log.get(event["ingestedID"], "dailycheckins") or {}
    assert (item["state"], item["status"]) == (State.LOAD, Status.SUCCESS)
    assert counts.items() <= item.items()
    steps = [(entry["state"], entry["status"]) for entry in item["history"]]
    assert steps == [("trigger", "success"), ("load", "running"), ("load", "success")]
    assert counts.items() <= item["history"][-1].items()
    assert counts.items() <= compose(item, None, Kind.BROKEN).record.items()
    rows, share = published(capsys)
    names = ("RowsRead", "RowsLoaded", "RowsRejected")
    assert [rows[name] for name in names] == [[4.0], [2.0], [2.0]]
    assert share["RejectedPercent"] == [50.0]


def published(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if "_aws" in line]


def test_load_of_no_rows_reports_zero_rejected_percent(
    loader: Database, s3: "S3Client", capsys: pytest.CaptureFixture[str]
) -> None:
    load(drop(s3))

    assert [each["RejectedPercent"] for each in published(capsys)[1:]] == [[0.0]]


@pytest.fixture
def loaded(loader: Database, s3: "S3Client") -> Iterator[Database]:
    """A database with a loaded file, which the test must not change."""
    load(drop(s3, [row(hours="1.00")]))
    yield loader
    assert hours(loader) == [(2, "1.00")]
    assert [entry[3:] for entry in ledger(loader)] == [[1, 1, 0]]
    idle = "SELECT count(*) FROM pg_stat_activity WHERE usename = :name AND state <> 'idle'"
    assert loader.run(idle, name=loader.loader.name) == [[0]]


def _part(event: Event, number: int) -> str:
    ingestion = Ingestion.from_event(event)
    uri = Staging(STAGING, ingestion).clean_prefix + part_name(number)
    return uri.removeprefix(f"s3://{STAGING}/")


def test_load_fails_on_surplus_part(loaded: Database, s3: "S3Client") -> None:
    event = drop(s3, [row()], [row()])
    copied = f"{STAGING}/{_part(event, 0)}"
    s3.copy_object(Bucket=STAGING, Key=_part(event, 2), CopySource=copied)

    with pytest.raises(StagingIncomplete, match="has 3 parts, but Transform wrote 2"):
        load(event)


@pytest.mark.parametrize(
    ("verdict", "name"),
    [
        ("transform", "parts"),
        ("transform", "rowsRead"),
        ("transform", "rowsClean"),
        ("test", "rowsRejected"),
    ],
)
def test_load_fails_on_wrong_count(
    loaded: Database,
    s3: "S3Client",
    log: IngestionLog,
    capsys: pytest.CaptureFixture[str],
    verdict: str,
    name: str,
) -> None:
    capsys.readouterr()
    for off in (-1, 1):
        event = drop(s3, [row(None), row()], [row()], rejects=[reject(2), reject(5)], suspects=1)
        event[verdict][name] += off
        with pytest.raises((StagingIncomplete, RowsUnaccounted), match="replay the ingestion"):
            load(event)
        item = log.get(event["ingestedID"], "dailycheckins") or {}
        assert item["status"] == Status.RUNNING, "alert closes the item"
    assert "_aws" not in capsys.readouterr().out


def test_load_fails_on_reject_of_unknown_row(loaded: Database, s3: "S3Client") -> None:
    event = drop(s3, [row(), row()], rejects=[reject(2), reject(99)])

    with pytest.raises(RowsUnaccounted, match=r"read 2 rows of .* would load 1 and 2 are rejected"):
        load(event)


def test_ledger_refuses_counts_that_do_not_add_up(loaded: Database) -> None:
    for name in ("rows_read", "rows_loaded", "rows_rejected"):
        with pytest.raises(pg8000.exceptions.DatabaseError, match="every_row_is_accounted_for"):
            loaded.run(f"UPDATE source SET {name} = {name} + 1", loaded.loader)


def test_load_fails_on_part_of_other_contract(loaded: Database, s3: "S3Client") -> None:
    event = drop(s3, [row()])
    parquet.write(pa.table({"line": [2]}), f"s3://{STAGING}/{_part(event, 0)}")

    with pytest.raises(StagingIncomplete, match="differ from the contract's"):
        load(event)


def test_load_fails_on_corrupt_part(loaded: Database, s3: "S3Client") -> None:
    event = drop(s3, [row()])
    s3.put_object(Bucket=STAGING, Key=_part(event, 0), Body=b"no Parquet")

    with pytest.raises(pa.ArrowInvalid):
        load(event)


def test_load_does_not_retry_wrong_password(
    loader: Database, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    event = drop(s3, [row()])
    loader.run(f"ALTER ROLE {loader.loader.name} PASSWORD 'another'")
    counted = mock.Mock(wraps=connect)
    monkeypatch.setattr("functions.load.session.connect", counted)

    with pytest.raises(DatabaseRefused, match="password authentication failed"):
        load(event)

    assert counted.call_count == 1


def _connections(database: Database) -> Any:
    sql = "SELECT pid FROM pg_stat_activity WHERE usename = :name"
    return database.run(sql, name=database.loader.name)


def test_row_without_load_is_impossible(loaded: Database) -> None:
    role = loaded.loader
    rows = "INSERT INTO daily_checkins_rows (username, timestamp, hours, source_line) VALUES "
    insert = f"{rows} ('ned', now(), 1, 2)"
    with loaded.connected() as connection:
        [[other]] = connection.run(
            "INSERT INTO load (source_id, relation) SELECT id, 'project_budgets_rows' FROM source "
            "RETURNING id"
        )
    for load_id in ("", "0", str(other)):
        with loaded.connected(role) as connection:
            connection.run("SELECT set_config('tm.load', :load, false)", load=load_id)
            with pytest.raises(pg8000.exceptions.DatabaseError, match="the ledger lacks the load"):
                connection.run(insert)
    with pytest.raises(pg8000.exceptions.DatabaseError, match="has rows of the load"):
        loaded.run("DELETE FROM load", role)


class Died(BaseException):
    """The process of Load ends."""


def test_rows_of_interrupted_load_are_invisible_and_deleted_later(
    loader: Database, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drop(s3, [row()]))
    stored = "SELECT count(*) FROM daily_checkins_rows"
    with monkeypatch.context() as patch:
        patch.setattr("functions.load.ledger.switch", mock.Mock(side_effect=Died))
        with pytest.raises(Died):
            load(drop(s3, [row()], [row()]))
    assert loader.run(stored) == [[3]]
    assert hours(loader) == [(2, "1.00")]

    other = KEY.replace("dailycheckins.csv", "other.csv")
    load(drop(s3, [row()], [row()], key=other))
    assert loader.run(stored) == [[5]], "the interrupted load may still be under way"
    loader.run("UPDATE load SET begun_at = begun_at - interval '61 minutes'")
    load(drop(s3, [row()], [row()], key=other))
    assert loader.run(stored) == [[3]]


def test_load_fails_on_missing_table(loader: Database, s3: "S3Client") -> None:
    """It closes its connection, as after a load."""
    load(drop(s3, [row()]))
    eventually(lambda: not _connections(loader))
    loader.run("ALTER TABLE daily_checkins_rows RENAME TO elsewhere")

    with pytest.raises(SchemaMismatch, match="run the function `migrate`"):
        load(drop(s3, [row()]))

    eventually(lambda: not _connections(loader))


@pytest.mark.parametrize("asleep", [stay_silent, report_starting_up])
def test_load_waits_for_waking_database(
    loader: Database, s3: "S3Client", asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = functools.partial(connect, within=0.5)
    monkeypatch.setattr("functions.load.session.connect", impatient)
    with waking((loader.server.host, loader.server.port), 2, asleep) as port:
        monkeypatch.setenv("DATABASE_PORT", str(port))

        verdict = load(drop(s3, [row(hours="5.00")]))

    assert verdict["rowsLoaded"] == 1
    assert hours(loader) == [(2, "5.00")]
