"""What breaks, broken on purpose on the whole laptop cloud, and put right with the commands."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pg8000.native
import psutil
import pytest

from local.processes import Processes
from shared.ingestion import Ingestion
from shared.staging import Staging, part_name
from tests.fixtures.pipeline import AT, TABLE, Pipeline, checkins, eventually, key_of

OLD = checkins(f"ned,{AT},1,x", f"jon,{AT},2,x")
NEW = checkins(f"ned,{AT},3,x", f",{AT},4,x", f"jon,{AT},5,x")
OLD_ROWS = [["ned", Decimal("1.00"), 2], ["jon", Decimal("2.00"), 3]]
NEW_ROWS = [["ned", Decimal("3.00"), 2], ["jon", Decimal("5.00"), 4]]

LOCK_TABLE = "LOCK TABLE daily_checkins IN EXCLUSIVE MODE"
"""Load waits for it in the middle of its transaction: its ledger row is locked already."""
LOCK_LEDGER = "SELECT 1 FROM source WHERE source_key = :key FOR UPDATE"
"""Load waits for it at the transaction's beginning, with the list of its parts in hand."""


@contextlib.contextmanager
def load_waiting(pipeline: Pipeline, statement: str, day: int) -> Iterator[Ingestion]:
    """Land the new version, and have its Load wait for a lock as long as the block lasts."""
    with pipeline.connected() as administrator:
        administrator.run("BEGIN")
        parameters = {"key": key_of(day)} if ":key" in statement else {}
        administrator.run(statement, **parameters)
        ingestion = pipeline.land(NEW, day)
        eventually(lambda: _waits(pipeline))
        yield ingestion
        # The database may be gone by now, and the lock with it.
        with contextlib.suppress(pg8000.exceptions.InterfaceError):
            administrator.run("ROLLBACK")


def _waits(pipeline: Pipeline) -> bool:
    waiting = pipeline.query(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE usename = 'loader' AND wait_event_type = 'Lock'"
    )
    return bool(waiting == [[1]])


def worker(pipeline: Pipeline, function: str) -> psutil.Process:
    """Return the process in which the emulator runs a function."""
    wanted = {
        "AWS_LAMBDA_FUNCTION_NAME": pipeline.outputs["function_names"][function],
        "AWS_ENDPOINT_URL": pipeline.laptop.aws.endpoint_url,
    }
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if wanted.items() <= process.environ().items():
                found.append(process)
    [process] = found
    return process


@contextlib.contextmanager
def without_database(pipeline: Pipeline) -> Iterator[None]:
    """Stop PostgreSQL, and start it again with its data and on its port."""
    folder = pipeline.laptop.home / "processes"
    processes = Processes(folder)
    server = psutil.Process(json.loads((folder / "postgres.json").read_text())["pid"])
    command, environment, user = server.cmdline(), server.environ(), server.username()
    stop_signal = json.loads((folder / "postgres.json").read_text())["stop_signal"]
    processes.stop("postgres")
    yield
    own = {name: environment[name] for name in ("PATH", "LC_ALL", "TZ")}
    as_user = None if user == psutil.Process().username() else user
    processes.start("postgres", command, env=own, user=as_user, stop_signal=stop_signal)


def steps(item: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["state"], step["status"]) for step in item["history"]]


def replay(pipeline: Pipeline, ingested_id: str) -> dict[str, Any]:
    """Run an ingestion again by the command that the alert names; return its item at the end."""
    alert = pipeline.alerts(ingested_id)[-1]
    command = re.search(r"\btm (replay \S+)$", alert["repair"])
    assert command is not None
    done = pipeline.laptop.tm(*command[1].split(), "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ingestion Success" in done.stdout
    return pipeline.ended(ingested_id)


def test_a_load_that_is_killed_changes_nothing_and_its_replay_loads(pipeline: Pipeline) -> None:
    pipeline.ingest(OLD, day=11)
    with load_waiting(pipeline, LOCK_TABLE, day=11) as ingestion:
        worker(pipeline, "load").kill()
        item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"]) == ("load", "fail")
    (alert,) = pipeline.alerts(ingestion.id)
    assert alert["latestState"] == "load"
    assert "Load broke off" in alert["unchanged"]
    assert pipeline.loaded(key_of(11)) == OLD_ROWS

    again = replay(pipeline, ingestion.id)

    assert (again["state"], again["status"], again["attempt"]) == ("load", "success", 2)
    assert again["executionArn"].endswith(f"{TABLE}-{ingestion.id}-r2")
    assert "haltReason" not in again
    assert steps(again)[-7:] == [
        ("trigger", "success"),
        ("transform", "running"),
        ("transform", "success"),
        ("test", "running"),
        ("test", "success"),
        ("load", "running"),
        ("load", "success"),
    ]
    assert pipeline.loaded(key_of(11)) == NEW_ROWS
    assert [each["status"] for each in pipeline.alerts(ingestion.id)] == [
        "Ingestion Fail",
        "Ingestion Success",
    ]


def test_a_database_that_restarts_in_the_middle_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.ingest(OLD, day=12)
    with load_waiting(pipeline, LOCK_TABLE, day=12) as ingestion, without_database(pipeline):
        time.sleep(3)

    item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"], item["attempt"]) == ("load", "success", 1)
    assert (item["rowsRead"], item["rowsLoaded"], item["rowsRejected"]) == (3, 2, 1)
    assert pipeline.loaded(key_of(12)) == NEW_ROWS
    assert len(pipeline.alerts(ingestion.id)) == 1


def test_a_run_that_is_aborted_while_it_loads_is_closed_and_replayed(pipeline: Pipeline) -> None:
    pipeline.ingest(OLD, day=13)
    stepfunctions = pipeline.laptop.aws.client("stepfunctions")
    with load_waiting(pipeline, LOCK_TABLE, day=13) as ingestion:
        item = pipeline.log.get(ingestion.id, TABLE)
        assert item is not None
        refused = pipeline.laptop.tm("replay", ingestion.id)
        stepfunctions.stop_execution(executionArn=item["executionArn"])
        item = pipeline.ended(ingestion.id)

    assert refused.returncode == 1
    assert "under way" in refused.stderr
    assert (item["state"], item["status"]) == ("load", "fail")
    assert "stopped by hand" in item["haltReason"]
    # The function itself was not stopped by that: what it had begun may still have come true.
    assert pipeline.loaded(key_of(13)) in (OLD_ROWS, NEW_ROWS)

    assert replay(pipeline, ingestion.id)["status"] == "success"
    assert pipeline.loaded(key_of(13)) == NEW_ROWS


def test_a_part_that_is_gone_when_it_is_to_be_loaded(pipeline: Pipeline) -> None:
    pipeline.ingest(OLD, day=14)
    with load_waiting(pipeline, LOCK_LEDGER, day=14) as ingestion:
        place = Staging(pipeline.outputs["staging_bucket"], ingestion)
        bucket, _, key = (place.clean_prefix + part_name(0)).removeprefix("s3://").partition("/")
        pipeline.laptop.aws.client("s3").delete_object(Bucket=bucket, Key=key)

    item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"]) == ("load", "fail")
    assert "part-00000.parquet is missing" in item["haltReason"]
    assert pipeline.loaded(key_of(14)) == OLD_ROWS

    assert replay(pipeline, ingestion.id)["status"] == "success"
    assert pipeline.loaded(key_of(14)) == NEW_ROWS


def test_an_older_version_that_is_replayed_is_superseded(pipeline: Pipeline) -> None:
    older = pipeline.ingest(OLD, day=15)
    pipeline.ingest(NEW, day=15)

    done = pipeline.laptop.tm("replay", older["ingestedID"], "--follow")

    assert done.returncode == 1
    assert "superseded" in done.stdout
    item = pipeline.ended(older["ingestedID"])
    assert (item["state"], item["status"], item["attempt"]) == ("load", "superseded", 2)
    assert "not newer" in item["haltReason"]
    assert pipeline.loaded(key_of(15)) == NEW_ROWS


@pytest.fixture
def unnotified(pipeline: Pipeline) -> Iterator[None]:
    """The landing bucket, of whose objects nobody is told."""
    s3 = pipeline.laptop.aws.client("s3")
    bucket = pipeline.outputs["landing_bucket"]
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    configuration.pop("ResponseMetadata")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def test_a_backfill_brings_back_what_was_lost(pipeline: Pipeline, unnotified: None) -> None:
    """Two files whose events were lost, one that was refused, and one whose rows were lost."""
    lost = [pipeline.land(OLD, day) for day in (21, 22)]
    pipeline.land(NEW, day=22)
    pipeline.land(b"", day=22)
    days = ("--from", "2024-03-21", "--to", "2024-03-22")

    planned = pipeline.laptop.tm("backfill", *days, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "start" in planned.stdout
    assert pipeline.log.get(lost[0].id, TABLE) is None, "a dry run writes nothing"
    done = pipeline.laptop.tm("backfill", *days, "--concurrency", "2")

    assert done.returncode == 1, "somebody must look at the newest version of the 22nd"
    assert "the file is empty" in done.stdout
    assert pipeline.loaded(key_of(21)) == OLD_ROWS
    assert pipeline.loaded(key_of(22)) == NEW_ROWS, "of its newest version that can be loaded"

    pipeline.query("DELETE FROM daily_checkins WHERE username IN ('ned', 'jon')")
    again = pipeline.laptop.tm("backfill", *days)

    assert again.returncode == 1
    assert pipeline.loaded(key_of(21)) == OLD_ROWS
    assert pipeline.loaded(key_of(22)) == NEW_ROWS
