"""Tests that kill Load (SIGKILL) before any of its network operations.

The real function runs in a child process with DynamoDB, S3, Secrets Manager and PostgreSQL of the
laptop cloud. `make test` kills it at a few points, `make test-deep` at many.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pg8000.native
import pytest

from local.postgres import connected
from shared.gate import Gate
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.intake import Intake
from shared.odcs import load_all
from tests.faults.children import Call, Point, call
from tests.faults.conftest import ONE_RUN
from tests.fixtures.aws import ingestion_of, item_of, steps, task_event
from tests.fixtures.database import eventually
from tests.fixtures.laptop import Laptop

BUCKET = "tm-faults-landing"
KEY = "table=dailycheckins/year=2024/month=5/day=1/killed.csv"
OLD_ROWS, NEW_ROWS = 600, 3_000
COPY, SWITCH, COMMIT = b"COPY", b"SET load_id", b"COMMIT"
LOGGED = b'/load/success"'
"""Part of only the last write of Load to the log."""
KILLED = {"Error": "Runtime.ExitError", "Cause": "Runtime exited with error: signal: killed"}


@dataclass(frozen=True)
class Content:
    """The content of the database for the key: its row in the ledger, and its rows."""

    version: str
    ingestion: str
    read: int
    loaded: int
    rejected: int
    rows: list[str]


@dataclass(frozen=True)
class Staged:
    """A version of the key after Test: the event for Load, and the content expected after it."""

    ingestion: Ingestion
    event: Mapping[str, Any]
    content: Content


class Scene:
    """A key with its old version loaded and its new one staged."""

    def __init__(self, laptop: Laptop, database: pg8000.native.Connection) -> None:
        outputs, client = laptop.stack.outputs, laptop.aws.client
        configuration = client("lambda").get_function_configuration
        self._environments = {
            name: laptop.aws.environment()
            | configuration(FunctionName=function)["Environment"]["Variables"]
            for name, function in outputs["function_names"].items()
        }
        self._database, self._s3, self._tap = database, client("s3"), laptop.tap
        self._lambda, self._alert = client("lambda"), outputs["function_names"]["alert"]
        self._s3.create_bucket(Bucket=BUCKET)
        enabled = {"Status": "Enabled"}
        self._s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=enabled)
        self._items = laptop.aws.resource("dynamodb").Table(outputs["log_table"])
        self._log = IngestionLog(self._items)
        machine = _machine(client("stepfunctions"), outputs["state_machine_arn"])
        deployed = self._environments["trigger"]["CONTRACTS_HASH"]
        gate = Gate(self._log, client("stepfunctions"), machine, 100, deployed)
        self._intake = Intake(load_all(), gate, client("events"), client("s3"))
        self.old = self._stage(OLD_ROWS)
        assert self.load(self.old.event).answer
        database.run("CREATE TEMPORARY TABLE old_ledger AS SELECT * FROM source WHERE false")
        database.run("INSERT INTO old_ledger SELECT * FROM source WHERE source_key = :k", k=KEY)
        [[load]] = database.run("SELECT load_id FROM old_ledger")
        for name, load_id in (("load", "id"), ("daily_checkins_rows", "load_id")):
            database.run(
                f"CREATE TEMPORARY TABLE old_{name} AS SELECT * FROM {name} "
                f"WHERE {load_id} = {load}"
            )
        database.run(f"SET tm.load = {load}")
        self.new = self._stage(NEW_ROWS)
        self._staged_item = self.item()

    def reset(self) -> None:
        """Restore the state before Load of the new version."""
        run = self._database.run
        self.clear()
        run("INSERT INTO source OVERRIDING SYSTEM VALUE SELECT * FROM old_ledger")
        run("INSERT INTO load OVERRIDING SYSTEM VALUE SELECT * FROM old_load")
        run("INSERT INTO daily_checkins_rows SELECT * FROM old_daily_checkins_rows")
        self._items.put_item(Item=self._staged_item)

    def load(self, event: Mapping[str, Any], kill_at: Point | None = None) -> Call:
        return self._call("load", event, kill_at)

    def replay(self) -> Call:
        """Run the new version again from the first state, as `tm replay` does."""
        run = self._intake.replay(self.item())
        assert isinstance(run, Run)
        self._intake.gate.close(run)  # this state machine sends no run-end events
        event = task_event(self.new.ingestion, run)
        for function in ("transform", "test"):
            event[function] = self._call(function, event).answer
        return self.load(event)

    def end(self) -> list[dict[str, Any]]:
        """Call alert with the run-end event of a run whose Load was killed; return the alerts.

        The state machine's runs fail immediately, which simulates that all retries failed.
        """
        arn = self.item()["executionArn"]
        run = self._intake.gate.stepfunctions.describe_execution(executionArn=arn)
        names = {"executionArn", "status", "input", "error", "cause"}
        detail = {name: value for name, value in run.items() if name in names}
        before = len(self._tap.alerts())
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        # The deployed function, because only its role may publish to the topic.
        answer = self._lambda.invoke(FunctionName=self._alert, Payload=json.dumps(event))
        assert json.load(answer["Payload"]) == {"sent": True}
        messages = [alert.body for alert in self._tap.alerts()[before:]]
        # Messages of alarms have no ingestion.
        return [body for body in messages if body.get("ingestedID") == self.new.ingestion.id]

    def item(self) -> dict[str, Any]:
        return item_of(self._log, self.new.ingestion)

    def content(self) -> Content:
        """Return the content of the database for the key, in one consistent read."""
        [row] = self._database.run(
            "SELECT version_id, ingested_id, rows_read, rows_loaded, rows_rejected, ARRAY("
            "SELECT username || ' ' || hours || ' ' || source_line FROM daily_checkins "
            "WHERE source_id = source.id ORDER BY source_line) FROM source WHERE source_key = :key",
            key=KEY,
        )
        return Content(*row)

    def clear(self) -> None:
        run = self._database.run
        loads = (
            "SELECT load.id FROM load JOIN source ON source.id = source_id WHERE source_key = :key"
        )
        run(f"DELETE FROM daily_checkins_rows WHERE load_id IN ({loads})", key=KEY)
        run(f"DELETE FROM load WHERE id IN ({loads})", key=KEY)
        run("DELETE FROM source WHERE source_key = :key", key=KEY)
        for ingestion in (self.old.ingestion, self.new.ingestion):
            key = {"ingestedID": ingestion.id, "ingestedTable": ingestion.table}
            self._items.delete_item(Key=key)

    def has_no_session(self) -> bool:
        """Return whether the sessions of Load, and so its locks, are gone."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'loader'"
        return bool(self._database.run(sql) == [[0]])

    def _call(self, function: str, event: Mapping[str, Any], kill_at: Point | None = None) -> Call:
        return call(function, event, self._environments[function], kill_at)

    def _stage(self, count: int) -> Staged:
        """Land a version of `count` rows, 1% of them bad, and run Transform and Test."""
        rows = [("" if i % 100 == 50 else f"user{i}", f"{i % 24}.25") for i in range(count)]
        lines = [f"{user},2024-05-01 00:00:00 UTC,{hours},x\n" for user, hours in rows]
        body = "user,timestamp,hours,project\n" + "".join(lines)
        version = self._s3.put_object(Bucket=BUCKET, Key=KEY, Body=body.encode())["VersionId"]
        ingestion = ingestion_of(Source(BUCKET, KEY, version, len(body)))
        self._intake.admit(ingestion.source)
        self._intake.gate.close(self._intake.gate.run(ingestion, attempt=1))
        event = task_event(ingestion, Run.from_item(item_of(self._log, ingestion)))
        for function in ("transform", "test"):
            event[function] = self._call(function, event).answer
        good = [f"{user} {hours} {line}" for line, (user, hours) in enumerate(rows, 2) if user]
        content = Content(version, ingestion.id, count, len(good), count - len(good), good)
        return Staged(ingestion, event, content)


def _machine(stepfunctions: Any, like: str) -> str:
    """Create a state machine whose runs fail at once with the error of a killed Load."""
    states = {"Load": {"Type": "Fail", **KILLED}}
    arn: str = stepfunctions.create_state_machine(
        name="tm-faults",
        definition=json.dumps({"StartAt": "Load", "States": states}),
        roleArn=stepfunctions.describe_state_machine(stateMachineArn=like)["roleArn"],
    )["stateMachineArn"]
    return arn


@pytest.fixture(scope="module")
def scene(laptop: Laptop) -> Iterator[Scene]:
    with connected(laptop.stack.database) as database:
        scene = Scene(laptop, database)
        yield scene
        scene.clear()


@pytest.fixture(scope="module")
def points(scene: Scene, pytestconfig: pytest.Config) -> list[Point]:
    """Return the points to kill Load: from the switch on all, or every third; and some before."""
    scene.reset()
    made = scene.load(scene.new.event)
    before = next(i for i, (_, sent) in enumerate(made.operations) if SWITCH in sent)
    is_deep = pytestconfig.getoption("--hypothesis-profile") == "deep"
    some, step = (30, 1) if is_deep else (3, 3)
    return [
        *(Point(number) for number in range(0, before, max(before // some, 1))),
        *(Point(number, SWITCH) for number in range(0, len(made.operations) - before, step)),
        Point(0, LOGGED),  # the points before may all precede the COMMIT
    ]


def killed(scene: Scene, point: Point) -> bool:
    """Kill Load, check that the rows are of one version, and return whether they are the new."""
    scene.reset()
    call = scene.load(scene.new.event, kill_at=point)
    # The number of received pieces varies, so Load may end before the last point.
    assert call.killed or point.marker or point.number >= len(call.operations)

    assert scene.content() in (scene.old.content, scene.new.content)
    eventually(scene.has_no_session, within=5)
    is_new = scene.content() == scene.new.content
    assert is_new or scene.content() == scene.old.content
    assert call.sent(COMMIT) or not is_new
    assert scene.item()["status"] == "running" or call.sent(LOGGED)
    return is_new


def counts(item: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(item[name]) for name in ("rowsRead", "rowsLoaded", "rowsRejected"))


@pytest.mark.scaled
@pytest.mark.timeout(1200)
def test_retry_of_killed_load_succeeds(scene: Scene, points: list[Point]) -> None:
    outcomes = []
    for point in points:
        outcomes.append(killed(scene, point))

        retried = scene.load(scene.new.event)

        assert retried.answer is not None, (point, retried.error)
        assert retried.answer["outcome"] == "ok"
        assert scene.content() == scene.new.content, point
        item = scene.item()
        assert (item["state"], item["status"]) == ("load", "success")
        assert counts(item) == (NEW_ROWS, NEW_ROWS - NEW_ROWS // 100, NEW_ROWS // 100)
        assert steps(item) == ONE_RUN, point
    assert set(outcomes) == {False, True}


def test_run_of_killed_load_is_alerted_and_replayed(scene: Scene) -> None:
    outcomes = []
    # During COPY, before and after the COMMIT of the switch
    for point in (Point(2, COPY), Point(1, SWITCH), Point(0, LOGGED)):
        outcomes.append(killed(scene, point))

        [alert] = scene.end()

        item = scene.item()
        assert (item["state"], item["status"]) == ("load", "fail")
        assert (alert["status"], alert["latestState"]) == ("Ingestion Fail", "load")
        assert "signal: killed" in alert["reason"]
        assert "never a mix" in alert["unchanged"]
        assert alert["repair"].endswith(f"tm replay {scene.new.ingestion.id}")

        replayed = scene.replay()

        assert replayed.answer is not None, (point, replayed.error)
        assert scene.content() == scene.new.content
        item = scene.item()
        assert (item["state"], item["status"]) == ("load", "success")
        assert "haltReason" not in item
        assert steps(item) == [*ONE_RUN[:-1], ("load", "fail"), *ONE_RUN]
    assert set(outcomes) == {False, True}
