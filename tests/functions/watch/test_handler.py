import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import pytest

from functions.watch import reconciliation
from functions.watch.handler import handler
from shared.endings import State, Status
from shared.errors import InvalidContract, LogUnavailable, NoticeUndelivered
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.intake import Admission, Intake
from shared.landing_key import LandingKey
from shared.odcs import load_all
from tests.fixtures.aws import KEY, LANDING, REGION, lambda_context, land, mark_alerted
from tests.fixtures.contracts import contract_set
from tests.fixtures.messaging import Received

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOTHING = {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}


@pytest.fixture(autouse=True)
def machine(s3: "S3Client", state_machine: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state machine; and no grace period."""
    monkeypatch.setattr(reconciliation, "GRACE", dt.timedelta(seconds=-5))
    return state_machine


def watch(event: dict[str, Any] | None = None) -> dict[str, int]:
    """Run watch on its schedule; return its counts."""
    found = handler(event or {}, lambda_context())
    return {name: found[name] for name in NOTHING}


def started(machine: str, ingestion: Ingestion, log: IngestionLog) -> Run:
    arn = boto3.client("stepfunctions", region_name=REGION).start_execution(
        stateMachineArn=machine,
        name=ingestion.execution_name(),
        input=json.dumps(ingestion.as_event()),
    )["executionArn"]
    log.open(ingestion, Run(arn))
    return Run(arn)


def test_watch_ignores_running_execution(
    machine: str, s3: "S3Client", log: IngestionLog, notices: Received
) -> None:
    run = started(machine, ingestion := land(s3, b"x"), log)
    log.enter(ingestion, run, State.TRANSFORM)

    assert watch() == NOTHING
    assert notices() == []


def test_watch_starts_run_that_never_started(
    machine: str, s3: "S3Client", log: IngestionLog
) -> None:
    ingestion = land(s3, b"x")
    arn = machine.replace("stateMachine", "execution") + ":" + ingestion.execution_name()
    log.open(ingestion, Run(arn))

    assert watch()["stuck"] == 1

    client = boto3.client("stepfunctions", region_name=REGION)
    assert client.describe_execution(executionArn=arn)["status"] == "RUNNING"


def test_watch_continues_after_error_of_one_ingestion(
    machine: str,
    s3: "S3Client",
    log: IngestionLog,
    notices: Received,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for status in (None, Status.FAIL):
        bad = land(s3, b"bad")
        log.open(bad, run := Run("no-arn"))
        if status is not None:
            log.finish(bad, run, State.LOAD, status, {}, "x")
    stuck = started(machine, land(s3, b"stuck"), log)
    boto3.client("stepfunctions", region_name=REGION).stop_execution(
        executionArn=stuck.execution_arn, error="x", cause="by Ned"
    )
    log.reject(Source(LANDING, "nonsense", "v1", 1), "invalid key")
    lost = [land(s3, b"lost"), land(s3, b"lost, cannot be admitted")]
    admit = Intake.admit

    def fails_once(self: Intake, source: Source) -> Admission:
        if source == lost[1].source:
            raise NoticeUndelivered("for a test")
        return admit(self, source)

    monkeypatch.setattr(Intake, "admit", fails_once)

    with pytest.raises(botocore.exceptions.ClientError, match="InvalidArn"):
        watch()

    ended, rejected = notices()
    assert ended["detail-type"] == "Ingestion Ended"
    assert rejected["detail-type"] == "Ingestion Rejected"
    assert ended["detail"]["executionArn"] == stuck.execution_arn
    assert log.get(lost[0].id, lost[0].table) is not None
    (watched,) = (vars(record) for record in caplog.records if record.message == "watched")
    assert (watched["stuck"], watched["unannounced"], watched["lost"]) == (1, 1, 1)
    failed = [vars(line) for line in caplog.records if line.message == "cannot be reconciled"]
    reasons = [line["reason"].split(":")[0] for line in failed]
    assert reasons == ["InvalidArn", "InvalidArn", "NoticeUndelivered"]
    assert failed[-1]["ingestedID"] == lost[1].id


def test_watch_stops_if_log_is_unavailable(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise watch would wait for the log once per object until its timeout."""
    requests = []
    for body in (b"x", b"y"):
        land(s3, body)

    def refuse(_: IngestionLog, *key: str) -> None:
        requests.append(key)
        raise LogUnavailable

    monkeypatch.setattr(IngestionLog, "progress", lambda *_: None)
    monkeypatch.setattr(IngestionLog, "get", refuse)

    with pytest.raises(LogUnavailable):
        watch()

    assert len(requests) == 1


def test_watch_fails_at_end_on_invalid_contract(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = contract_set(load_all(), {"budgets": "budgets.odcs.yaml: it is broken"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: found)
    ours = land(s3, b"ours")
    land(s3, b"theirs", KEY.replace("dailycheckins", "budgets"))

    with pytest.raises(InvalidContract, match=r"^budgets\.odcs\.yaml: it is broken$"):
        watch()

    assert [each["ingestedID"] for each in log.with_status(Status.RUNNING)] == [ours.id]
    (rejected,) = log.with_status(Status.REJECTED)
    assert rejected["haltReason"] == (
        "the contract of table 'budgets' is invalid: budgets.odcs.yaml: it is broken"
    )


def test_watch_starts_file_once_contract_is_valid(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    ours = land(s3, b"ours", str(LandingKey("dailycheckins", today, "f.csv")))
    with monkeypatch.context() as patch:
        broken = contract_set({}, {ours.table: "dailycheckins.odcs.yaml: it is broken"})
        patch.setattr("shared.contract_store._once", lambda *_: broken)
        with pytest.raises(InvalidContract):
            watch()
    assert log.get(ours.id, ours.table) is None

    assert watch()["lost"] == 1
    assert log.get(ours.id, ours.table) is not None


def test_watch_ignores_new_file(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "GRACE", dt.timedelta(minutes=10))
    land(s3, b"x", KEY)

    assert watch() == NOTHING
    assert list(log.with_status(Status.RUNNING)) == []


def test_watch_repeats_notice_of_missing_file_until_alert(
    log: IngestionLog, notices: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The log uses the real clock, and the schedule's event below is up to 57 hours ahead of it.
    monkeypatch.setattr(reconciliation, "LOOKBACK", dt.timedelta(days=3))
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    after = {"time": f"{day + dt.timedelta(days=1)}T09:10:00Z"}

    assert watch() == NOTHING, "the stack was created today"
    assert watch(after)["missing"] == 1

    missing_id = f"{day:%Y%m%d}-missing"
    [first] = notices()
    assert first["detail-type"] == "File Missing"
    assert first["detail"] == {"ingestedID": missing_id, "ingestedTable": "dailycheckins"}
    assert watch(after) == NOTHING | {"unannounced": 1}
    assert [each["detail"] for each in notices()] == [first["detail"]]
    mark_alerted(log, missing_id, "dailycheckins", "File Missing")
    assert watch(after) == NOTHING
