"""Fixture `machine`: the pipeline, with a simulation of Step Functions and EventBridge.

Runs the real functions in this process, with moto's AWS and a real PostgreSQL.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.botocore_stubber import BotocoreStubber
from moto.stepfunctions.models import stepfunctions_backends

import functions.alert.handler
import functions.load.handler
import functions.test.handler
import functions.transform.handler
import functions.watch.handler
from functions.load.rows import StagedRows
from shared import settings
from shared.ingestion import Run
from shared.ingestion_log import IngestionLog
from shared.intake import Intake
from shared.staging import Staging
from tests.fixtures.aws import REGION, STAGING, item_of, lambda_context, land, steps
from tests.fixtures.database import Database
from tests.fixtures.messaging import Received, intake_of
from tests.terraform.states_language import rendered

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TASKS = {
    "Transform": functions.transform.handler,
    "Test": functions.test.handler,
    "Load": functions.load.handler,
}
VERDICTS = {"refused": "Refused", "failed_tests": "FailedTests"}
ONE_RUN = [
    ("trigger", "queued"),
    ("trigger", "success"),
    *((state, status) for state in map(str.lower, TASKS) for status in ("running", "success")),
]
"""The history of a run without faults."""
AT = "2024-03-03 00:00:00 UTC"
HEADER = "user,timestamp,hours,project"
OLD = "\n".join([HEADER, *(f"ned,{AT},1.{n},x" for n in range(3))])
NEW = "\n".join([HEADER, *(f"{'jon' if n else ''},{AT},2.{n},x" for n in range(9))])
"""The first row is rejected."""
OLD_ROWS = [f"ned 1.{n}0" for n in range(3)]
NEW_ROWS = [f"jon 2.{n}0" for n in range(1, 9)]

Event = dict[str, Any]


class Machine:
    """A key with `OLD` loaded, and `NEW` landed and admitted."""

    def __init__(
        self,
        s3: "S3Client",
        database: Database,
        intake: Intake,
        notices: Received,
        alerts: Received,
    ) -> None:
        self.s3 = s3
        self.database = database
        self.intake = intake
        self._notices, self._alerts = notices, alerts
        self.retried: list[str] = []
        """The errors after which a task was retried."""
        self._states = rendered()["States"]
        self._requests = 0
        self.land(OLD)
        self.notify(self.play())
        self.land(NEW)

    def land(self, body: str) -> None:
        """Land a version of the key; the other methods then refer to it."""
        self.ingestion = land(self.s3, body.encode())
        self.intake.gate.recover()  # as watch does
        self.intake.admit(self.ingestion.source)

    def play(self, before_load: Callable[[], object] = lambda: None) -> Event:
        """Run the tasks as the state machine does, without waits; return the run-end event."""
        event = Run.from_item(self.item()).input_of(self.ingestion)
        left = [*TASKS]
        while left:
            name = left.pop(0)
            if name == "Load":
                before_load()
            try:
                verdict = self._task(name, event)
            except Exception as error:
                cause = json.dumps({"errorMessage": str(error)})
                return self.end("FAILED", error=type(error).__name__, cause=cause)
            if verdict["outcome"] in VERDICTS:
                error_name = VERDICTS[verdict["outcome"]]
                return self.end("FAILED", error=error_name, cause=verdict["reason"])
            event[name.lower()] = verdict
            if verdict["outcome"] == "rows_refused":
                left = ["Test", "Load"]
        return self.end("SUCCEEDED", output=json.dumps(event))

    def _task(self, name: str, event: Event) -> Event:
        run = Run.from_item(self.item())
        execution = {"arn": run.execution_arn, "redrive": run.redrive}
        left = {id(retrier): retrier["MaxAttempts"] for retrier in self._states[name]["Retry"]}
        while True:
            try:
                verdict: Event = TASKS[name].handler(
                    event | {"execution": execution}, lambda_context()
                )
            except Exception as error:
                kind = type(error).__name__
                for retrier in self._states[name]["Retry"]:
                    if kind in retrier["ErrorEquals"] and left[id(retrier)]:
                        left[id(retrier)] -= 1
                        self.retried.append(kind)
                        break
                else:
                    raise
            else:
                return verdict

    def end(self, status: str, **how: str) -> Event:
        """End the current run, and return its run-end event."""
        arn = self.item()["executionArn"]
        execution = stepfunctions_backends[ACCOUNT][REGION].describe_execution(arn)
        for name, value in {"status": status, **how}.items():
            setattr(execution, name, value)
        detail = {
            "executionArn": arn,
            "input": json.dumps(self.ingestion.as_event()),
            "status": status,
        }
        return {"detail-type": "Step Functions Execution Status Change", "detail": detail | how}

    def notify(self, event: Event, tries: int = 1) -> bool:
        """Call alert with an event, up to `tries` times; return whether it succeeded."""
        self._requests += 1
        for _ in range(tries):
            with contextlib.suppress(Exception):
                functions.alert.handler.handler(event, lambda_context(f"request-{self._requests}"))
                return True
        return False

    def watch(self) -> Event:
        """Call watch, then alert with each of its notices; return what watch found."""
        found = functions.watch.handler.handler({}, lambda_context())
        for notice in self._notices():
            self.notify(notice)
        return {name: found[name] for name in ("stuck", "unannounced", "lost", "missing")}

    def replay(self) -> Event:
        """Run the ingestion again, as `tm replay` does; return the run-end event."""
        self.intake.gate.recover()  # as watch does
        assert self.intake.replay(self.item()) is not None
        return self.play()

    def item(self) -> Event:
        return item_of(self.intake.log, self.ingestion)

    def steps(self) -> list[tuple[str, str]]:
        return steps(self.item())

    def alerts(self) -> list[Event]:
        """Return the alerts of the ingestion since the last call."""
        messages = [json.loads(each["Message"]) for each in self._alerts()]
        return [alert for alert in messages if alert["ingestedID"] == self.ingestion.id]

    def rejects(self) -> list[Event]:
        key = Staging(STAGING, self.ingestion).rejects.removeprefix(f"s3://{STAGING}/")
        body = self.s3.get_object(Bucket=STAGING, Key=key)["Body"].read().decode()
        return [json.loads(line) for line in body.splitlines()]

    def rows(self) -> list[str]:
        """Return the rows of the table, and check that the ledger agrees."""
        [[loaded, rows]] = self.database.run(
            "SELECT rows_loaded, ARRAY(SELECT username || ' ' || hours FROM daily_checkins "
            "WHERE source_id = source.id ORDER BY source_line) FROM source"
        )
        assert len(rows) == loaded
        return list(rows)


@pytest.fixture
def machine(
    s3: "S3Client",
    log: IngestionLog,
    migrated: Database,
    notices: Received,
    alerts: Received,
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    """The pipeline, with an old version of a key loaded and a new one landed."""
    # Retries of boto3 would only slow the tests down.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    arn = boto3.client("stepfunctions", region_name=REGION).create_state_machine(
        name="tm", definition=json.dumps(rendered()), roleArn=f"arn:aws:iam::{ACCOUNT}:role/tm"
    )["stateMachineArn"]
    for name, value in {
        "STATE_MACHINE_ARN": arn,
        "HARD_TESTING": "false",
        "DATABASE_SECRET_ARN": migrated.loader.secret_arn,
        "POWERTOOLS_SERVICE_NAME": "load",
    }.items():
        monkeypatch.setenv(name, value)
    settings.read.cache_clear()
    # Split a small file into several parts; let watch and alert ignore grace periods.
    monkeypatch.setattr("shared.content.CHUNK_BYTES", 60)
    monkeypatch.setattr("functions.load.rows._BATCH_ROWS", 1)
    monkeypatch.setattr("functions.watch.reconciliation.GRACE", dt.timedelta(seconds=-5))
    monkeypatch.setattr("shared.ingestion_log.CLAIM", dt.timedelta(seconds=-5))
    return Machine(s3, migrated, intake_of(log, arn, 5), notices, alerts)


def in_the_middle_of_copy(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call `act` once, after the first chunk is sent."""
    chunks = StagedRows.batches
    calls = [act]  # of which one of Load's threads takes the only one

    def interrupted(self: StagedRows, parts: Iterable[str]) -> Iterator[pa.Table]:
        for chunk in chunks(self, parts):
            yield chunk
            with contextlib.suppress(IndexError):
                calls.pop()()

    monkeypatch.setattr(StagedRows, "batches", interrupted)


class Refusals:
    """Makes AWS answer certain calls with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._rules: dict[str, tuple[str, Callable[[str], bool]]] = {}
        answer = BotocoreStubber.process_request

        def process(stubber: BotocoreStubber, request: Any) -> Any:
            headers, body = (_text(part) for part in (request.headers, request.body))
            for operation, (code, when) in self._rules.items():
                called = f".{operation}'" in headers or f"Action={operation}&" in body
                if called and when(body):
                    error = {"__type": code, "message": "refused by the test"}
                    return 400, {"content-type": "application/json"}, json.dumps(error)
            return answer(stubber, request)

        monkeypatch.setattr(BotocoreStubber, "process_request", process)

    def add(self, operation: str, code: str, when: Callable[[str], bool] = lambda _: True) -> None:
        """Refuse calls of an operation, all or those whose body matches `when`."""
        self._rules[operation] = code, when

    def stop(self) -> None:
        self._rules.clear()


def _text(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    return Refusals(monkeypatch)
