"""Drills: faults on the complete laptop cloud, repaired with the operator's commands.

tests/alerts has the exact alert of each drill.
"""

import contextlib
import datetime as dt
import json
import re
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pg8000.native
import psutil
import pytest

from functions.alert.message import Alert
from shared.endings import State
from shared.ingestion import UNMATCHED, Ingestion, Run, unmatched_id
from shared.landing_key import LandingKey
from tests.fixtures.aws import ingestion_of, item_of, steps
from tests.fixtures.pipeline import AT, TABLE, Pipeline, checkins, eventually, key_of
from tests.fixtures.postgres import Restartable
from tests.fixtures.wording import Wording

EVENTS = Path(__file__).parent / "events"
OLD = checkins(f"ned,{AT},1,x", f"jon,{AT},2,x")
NEW = checkins(f"ned,{AT},3,x", f",{AT},4,x", f"jon,{AT},5,x")
OLD_ROWS = [["ned", Decimal("1.00"), 2], ["jon", Decimal("2.00"), 3]]
NEW_ROWS = [["ned", Decimal("3.00"), 2], ["jon", Decimal("5.00"), 4]]


@contextlib.contextmanager
def load_waiting(pipeline: Pipeline, day: int) -> Iterator[Ingestion]:
    """Land the new version; make its Load wait during the block, in the middle of its transaction.

    It has locked its ledger row.
    """
    with pipeline.connected() as administrator:
        administrator.run("BEGIN")
        administrator.run("LOCK TABLE daily_checkins_rows IN EXCLUSIVE MODE")
        ingestion = pipeline.land(NEW, day)
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'loader' AND wait_event_type = 'Lock'"
        )
        eventually(lambda: pipeline.query(waiting) == [[1]])
        yield ingestion
        # A stopped database has released the lock already.
        with contextlib.suppress(pg8000.exceptions.InterfaceError):
            administrator.run("ROLLBACK")


def workers(pipeline: Pipeline, function: str) -> list[psutil.Process]:
    """Return the emulator's worker processes of a function, including idle ones."""
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": pipeline.outputs["function_names"][function],
        "AWS_ENDPOINT_URL": pipeline.laptop.aws.endpoint_url,
    }
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if variables.items() <= process.environ().items():
                found.append(process)
    return found


@contextlib.contextmanager
def without_database(pipeline: Pipeline) -> Iterator[None]:
    """Stop PostgreSQL during the block."""
    server = Restartable(pipeline.laptop.home / "processes")
    server.stop()
    yield
    server.start()
    eventually(lambda: _answers(pipeline))


def _answers(pipeline: Pipeline) -> bool:
    try:
        return bool(pipeline.query("SELECT 1"))
    except (pg8000.exceptions.DatabaseError, pg8000.exceptions.InterfaceError):
        return False


def alert_text(pipeline: Pipeline, ingested_id: str) -> str:
    """Return the last alert about an ingestion as the text of a mail."""
    message = pipeline.messages(ingested_id)[-1]
    alert = Alert(message.subject, message.body)
    return f"{alert.subject}\n\n{alert.text}"


def drop(pipeline: Pipeline, ingested_id: str, file: Path) -> None:
    """Upload a file with the command that the alert names."""
    alert = pipeline.alerts(ingested_id)[-1]
    command = re.search(r"\btm drop FILE (--table \S+ --date [\d-]+)", alert["repair"])
    assert command is not None
    done = pipeline.laptop.tm("drop", str(file), *command[1].split(), "--follow")
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def without_landing(pipeline: Pipeline) -> Iterator[None]:
    """Remove the permission of Transform's role to read landed files during the block."""
    iam = pipeline.laptop.aws.client("iam")
    configuration = pipeline.laptop.aws.client("lambda").get_function_configuration(
        FunctionName=pipeline.outputs["function_names"]["transform"]
    )
    role = configuration["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    statements = [
        each for each in policy["Statement"] if "s3:GetObjectVersion" not in str(each["Action"])
    ]
    assert len(statements) < len(policy["Statement"])
    put = {"RoleName": role, "PolicyName": name}
    iam.put_role_policy(**put, PolicyDocument=json.dumps(policy | {"Statement": statements}))
    yield
    iam.put_role_policy(**put, PolicyDocument=json.dumps(policy))


def replay(pipeline: Pipeline, ingested_id: str) -> dict[str, Any]:
    """Replay an ingestion with the command that the alert names; return its log item."""
    alert = pipeline.alerts(ingested_id)[-1]
    command = re.search(r"\btm (replay \S+)$", alert["repair"])
    assert command is not None
    done = pipeline.laptop.tm(*command[1].split(), "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ingestion Success" in done.stdout
    return pipeline.ended(ingested_id)


def test_killed_load_changes_nothing_until_replay(pipeline: Pipeline, wording: Wording) -> None:
    pipeline.ingest(OLD, day=11)
    with load_waiting(pipeline, day=11) as ingestion:
        for process in workers(pipeline, "load"):
            process.kill()
        item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"]) == ("load", "fail")
    (alert,) = pipeline.alerts(ingestion.id)
    assert alert["latestState"] == "load"
    assert "Load did not finish" in alert["unchanged"]
    wording("drill-killed-in-load", alert_text(pipeline, ingestion.id))
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


def test_load_waits_for_restarting_database(pipeline: Pipeline, wording: Wording) -> None:
    pipeline.ingest(OLD, day=12)
    with load_waiting(pipeline, day=12) as ingestion, without_database(pipeline):
        time.sleep(3)

    item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"], item["attempt"]) == ("load", "success", 1)
    assert (item["rowsRead"], item["rowsLoaded"], item["rowsRejected"]) == (3, 2, 1)
    assert pipeline.loaded(key_of(12)) == NEW_ROWS
    assert len(pipeline.alerts(ingestion.id)) == 1
    wording("drill-database-restarted", alert_text(pipeline, ingestion.id))


@pytest.mark.deep
def test_run_fails_when_database_is_unreachable_for_two_minutes(
    pipeline: Pipeline, wording: Wording
) -> None:
    """Load waits two minutes. Step Functions would retry, but the emulator ignores error names."""
    pipeline.ingest(OLD, day=16)
    with load_waiting(pipeline, day=16) as ingestion, without_database(pipeline):
        time.sleep(125)

    item = pipeline.ended(ingestion.id)

    assert (item["state"], item["status"]) == ("load", "fail")
    assert pipeline.loaded(key_of(16)) == OLD_ROWS
    text = alert_text(pipeline, ingestion.id)
    wording("drill-database-away", re.sub(r":\d{4,5}\b", ":<port>", text))

    assert replay(pipeline, ingestion.id)["status"] == "success"
    assert pipeline.loaded(key_of(16)) == NEW_ROWS


def test_run_aborted_during_load_is_closed_and_replayed(
    pipeline: Pipeline, wording: Wording
) -> None:
    pipeline.ingest(OLD, day=13)
    stepfunctions = pipeline.laptop.aws.client("stepfunctions")
    with load_waiting(pipeline, day=13) as ingestion:
        run = Run.from_item(item_of(pipeline.log, ingestion))
        refused = pipeline.laptop.tm("replay", ingestion.id)
        stepfunctions.stop_execution(executionArn=run.execution_arn)
        item = pipeline.ended(ingestion.id)

    assert refused.returncode == 1
    assert "is already queued or running" in refused.stderr
    assert (item["state"], item["status"]) == ("load", "fail")
    assert "an operator stopped the run" in item["haltReason"]
    wording("drill-aborted", alert_text(pipeline, ingestion.id))
    # StopExecution does not stop the function, so its transaction may have been committed.
    assert pipeline.loaded(key_of(13)) in (OLD_ROWS, NEW_ROWS)

    assert replay(pipeline, ingestion.id)["status"] == "success"
    assert pipeline.loaded(key_of(13)) == NEW_ROWS


def test_run_timed_out_during_load_is_closed(
    pipeline: Pipeline, unnotified: None, wording: Wording
) -> None:
    """The emulator has no timeouts, and EventBridge refuses events with the source of AWS."""
    ingestion = pipeline.land(NEW, day=19)
    machine = pipeline.outputs["state_machine_arn"].replace(":stateMachine:", ":execution:")
    run = Run(f"{machine}:{ingestion.execution_name()}")
    pipeline.log.open(ingestion, run)
    for state in (State.TRANSFORM, State.TEST):
        pipeline.log.enter(ingestion, run, state)
        pipeline.log.passed(ingestion, run, state, {})
    pipeline.log.enter(ingestion, run, State.LOAD)
    event = json.loads((EVENTS / "execution_failed.json").read_text("utf-8"))
    end = {"executionArn": run.execution_arn, "name": run.execution_name, "status": "TIMED_OUT"}
    nothing = {"error": None, "cause": None, "output": None}
    event["detail"] |= end | nothing | {"input": json.dumps(ingestion.as_event())}

    assert pipeline.invoke("alert", event) == {"sent": True}

    item = pipeline.ended(ingestion.id)
    assert (item["state"], item["status"]) == ("load", "fail")
    wording("drill-timed-out", alert_text(pipeline, ingestion.id))

    assert replay(pipeline, ingestion.id)["status"] == "success"
    assert pipeline.loaded(key_of(19)) == NEW_ROWS


def test_run_fails_when_function_lacks_permission(pipeline: Pipeline, wording: Wording) -> None:
    with without_landing(pipeline):
        item = pipeline.ingest(NEW, day=17)

    assert (item["state"], item["status"]) == ("transform", "fail")
    assert "AccessDenied" in item["haltReason"]
    assert pipeline.loaded(key_of(17)) == []
    wording("drill-permission-gone", alert_text(pipeline, item["ingestedID"]))

    assert replay(pipeline, item["ingestedID"])["status"] == "success"
    assert pipeline.loaded(key_of(17)) == NEW_ROWS


def test_file_with_wrong_header_is_refused(
    pipeline: Pipeline, wording: Wording, tmp_path: Path
) -> None:
    item = pipeline.ingest(NEW.replace("hours", "minutes"), day=18)

    assert (item["state"], item["status"]) == ("transform", "fail")
    wording("drill-wrong-header", alert_text(pipeline, item["ingestedID"]))

    (tmp_path / "f.csv").write_text(NEW)
    drop(pipeline, item["ingestedID"], tmp_path / "f.csv")
    assert pipeline.loaded(key_of(18)) == NEW_ROWS


def look(pipeline: Pipeline) -> dict[str, Any]:
    """Call watch at a time when it considers the files that land now; return its answer."""
    in_a_while = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=11)
    found: dict[str, Any] = pipeline.invoke("watch", {"time": in_a_while.isoformat()})
    assert found["sweepFinished"]
    return found


def test_watch_starts_file_of_lost_s3_event(
    pipeline: Pipeline, unnotified: None, wording: Wording
) -> None:
    """Each call finds files of recent days; the daily sweep finds older ones and wrong keys."""
    look(pipeline)
    today = LandingKey("projectbudgets", dt.datetime.now(dt.UTC).date(), f"{uuid.uuid4()}.csv")
    recent = ingestion_of(pipeline.put("", str(today)))
    old = pipeline.land(NEW, day=20)
    malformed = unmatched_id(pipeline.put(NEW, f"somewhere/{uuid.uuid4()}.csv"))

    found = look(pipeline)

    assert (found["lost"], found["sweptPages"]) == (1, 0)
    assert pipeline.ended(recent.id, recent.table)["foundBy"] == "watch"
    assert pipeline.log.get(old.id, old.table) is None

    # Without the record of its last sweep, watch starts a new one.
    table = pipeline.laptop.aws.resource("dynamodb").Table(pipeline.outputs["log_table"])
    table.delete_item(Key={"ingestedID": "watch", "ingestedTable": "sweep"})
    found = look(pipeline)

    assert found["lost"] == 1
    assert found["sweptPages"] > 0
    assert pipeline.ended(malformed, UNMATCHED)["foundBy"] == "watch"
    assert pipeline.ended(old.id)["foundBy"] == "watch"
    assert pipeline.loaded(key_of(20)) == NEW_ROWS
    wording("drill-event-lost", alert_text(pipeline, old.id))


def test_missing_file_is_reported(pipeline: Pipeline, wording: Wording, tmp_path: Path) -> None:
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    after = day + dt.timedelta(days=1)
    missing_id = f"{day:%Y%m%d}-missing"

    found = [pipeline.invoke("watch", {"time": f"{after}T09:{minute}:00Z"}) for minute in (10, 25)]

    assert [each["missing"] for each in found] == [1, 0]
    item = pipeline.ended(missing_id)
    assert (item["state"], item["status"]) == ("trigger", "missing")
    text = alert_text(pipeline, missing_id)
    folder = f"year={day.year}/month={day.month}/day={day.day}"
    for what, instead in (
        (folder, "<folder>"),
        (f"{day:%Y%m%d}", "<day>"),
        (f"{day}", "<day>"),
        (f"{after}", "<day after>"),
    ):
        text = text.replace(what, instead)
    wording("drill-file-missing", text)

    (tmp_path / "f.csv").write_text(NEW)
    drop(pipeline, missing_id, tmp_path / "f.csv")
    assert pipeline.loaded(f"table={TABLE}/{folder}/f.csv") == NEW_ROWS
    assert len(pipeline.alerts(missing_id)) == 1


def test_alarm_is_sent_to_same_topic(pipeline: Pipeline) -> None:
    """An alarm names its section of the runbook and no ingestion."""
    cloudwatch = pipeline.laptop.aws.client("cloudwatch")
    alarm = f"{pipeline.outputs['name']}-executions-failed"

    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a drill")

    def received() -> list[str]:
        bodies = [each.body for each in pipeline.laptop.tap.alerts()]
        return [each["AlarmDescription"] for each in bodies if each.get("AlarmName") == alarm]

    assert "Alarm: executions-failed." in eventually(received)[-1]
    assert pipeline.alerts("none") == []
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a drill")


@pytest.mark.deep
def test_backfill_restores_lost_rows(pipeline: Pipeline, unnotified: None) -> None:
    """The backfill covers lost S3 events, a refused newest version and deleted rows."""
    lost = [pipeline.land(OLD, day) for day in (21, 22)]
    pipeline.land(NEW, day=22)
    pipeline.land(b"", day=22)
    days = ("--from", "2024-03-21", "--to", "2024-03-22")

    planned = pipeline.laptop.tm("backfill", *days, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "start" in planned.stdout
    assert pipeline.log.get(lost[0].id, TABLE) is None, "a dry run writes nothing"
    done = pipeline.laptop.tm("backfill", *days, "--concurrency", "2")

    assert done.returncode == 1, "the newest version of the 22nd was refused"
    assert "the file is empty" in done.stdout
    assert pipeline.loaded(key_of(21)) == OLD_ROWS
    assert pipeline.loaded(key_of(22)) == NEW_ROWS, "the newest version that can be loaded"

    pipeline.query("DELETE FROM daily_checkins_rows WHERE username IN ('ned', 'jon')")
    again = pipeline.laptop.tm("backfill", *days)

    assert again.returncode == 1
    assert pipeline.loaded(key_of(21)) == OLD_ROWS
    assert pipeline.loaded(key_of(22)) == NEW_ROWS
