"""Tests that each function needs every permission of its role.

Each test removes one permission (one action on one resource) at a time; the function's work must
then fail. The functions run in this process with their roles' credentials, on the emulator, which
checks the role for every API call.
"""

import contextlib
import datetime as dt
import functools
import hashlib
import importlib
import io
import itertools
import json
import tomllib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pyarrow as pa
import pyarrow.parquet
import pytest

from shared import contract_store, database, settings
from shared.endings import Status
from shared.gate import Gate
from shared.ingestion import Ingestion, Run, Source
from shared.intake import Admission, Intake
from shared.landing_key import LandingKey
from shared.odcs import CONTRACTS, load_all
from shared.staging import Staging, part_name
from tests.fixtures.aws import lambda_context, packed, task_event
from tests.fixtures.contracts import requiring_manifests
from tests.fixtures.lookup import request
from tests.fixtures.pipeline import AT, Pipeline, checkins, eventually, key_of, refusing

LISTED = tomllib.loads(Path(__file__).with_name("permissions.toml").read_text())
UNSHOWN = {action for entry in LISTED["unshown"] for action in entry["actions"]}

Event = dict[str, Any]
Permission = dict[str, Any]
"""A statement with one action and one resource."""

NOTHING = {"Effect": "Deny", "Action": "iam:CreateUser", "Resource": "*"}
"""Placeholder for an empty policy, which IAM does not allow."""

BODY = checkins(f"ned,{AT},1,x", f",{AT},2,x", f"jon,{AT},many,x")
"""A valid row, one that Test rejects, and one that Transform cannot cast."""


@functools.cache
def client(pipeline: Pipeline, service: str) -> Any:
    """Return a client with root credentials. Cached, because creating one is slow."""
    return pipeline.laptop.aws.client(service)


@dataclass
class Function:
    """A function of the laptop cloud, called with the current permissions of its role."""

    pipeline: Pipeline
    name: str

    @functools.cached_property
    def configuration(self) -> Event:
        name = self.pipeline.outputs["function_names"][self.name]
        return dict(client(self.pipeline, "lambda").get_function_configuration(FunctionName=name))

    @property
    def role(self) -> str:
        return str(self.configuration["Role"].rpartition("/")[2])

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        """Set the function's environment variables and credentials in this process."""
        credentials = self._assume_role()
        variables = {
            **self.pipeline.laptop.aws.environment(),
            **self.configuration["Environment"]["Variables"],
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.delenv("AWS_PROFILE", raising=False)
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            patch.setattr(
                contract_store, "_once", functools.cache(contract_store._once.__wrapped__)
            )
            settings.read.cache_clear()
            yield
        settings.read.cache_clear()

    def call(self, event: Event, request_id: str = "request-1") -> Event:
        contract_store._once.cache_clear()  # as in a new process
        module = importlib.import_module(f"functions.{self.name}.handler")
        return dict(module.handler(event, lambda_context(request_id)))

    def permissions(self) -> list[Permission]:
        return [
            statement | {"Action": action, "Resource": resource}
            for statement in self._policy()["Statement"]
            if statement["Effect"] == "Allow"
            for action, resource in product(statement["Action"], statement["Resource"])
        ]

    @contextlib.contextmanager
    def allowed(self, permissions: list[Permission]) -> Iterator[None]:
        """Reduce the role to these permissions."""
        policy = self._policy()
        self._put(policy | {"Statement": permissions or [NOTHING]})
        try:
            yield
        finally:
            self._put(policy)

    def _assume_role(self) -> Event:
        iam, sts = (client(self.pipeline, name) for name in ("iam", "sts"))
        trust = iam.get_role(RoleName=self.role)["Role"]["AssumeRolePolicyDocument"]
        anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        opened = trust | {"Statement": [anybody]}
        iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=json.dumps(opened))
        try:
            session = sts.assume_role(RoleArn=self.configuration["Role"], RoleSessionName=self.name)
        finally:
            iam.update_assume_role_policy(RoleName=self.role, PolicyDocument=json.dumps(trust))
        return dict(session["Credentials"])

    def _policy(self) -> Event:
        iam = client(self.pipeline, "iam")
        answer = iam.get_role_policy(RoleName=self.role, PolicyName=self.name)
        return dict(answer["PolicyDocument"])

    def _put(self, policy: Event) -> None:
        iam = client(self.pipeline, "iam")
        iam.put_role_policy(
            RoleName=self.role, PolicyName=self.name, PolicyDocument=json.dumps(policy)
        )


Work = Callable[[], object]
"""Calls a function so that it needs every permission, and checks the results."""


@contextlib.contextmanager
def landed(pipeline: Pipeline, body: str) -> Iterator[tuple[Ingestion, Run]]:
    """Land a file without an S3 event and log its ingestion; remove both at the end."""
    ingestion = pipeline.land(body, day=1, name=f"{uuid.uuid4()}.csv")
    machine = pipeline.outputs["state_machine_arn"].replace(":stateMachine:", ":execution:")
    run = Run(f"{machine}:{ingestion.execution_name()}")
    pipeline.log.open(ingestion, run)
    try:
        yield ingestion, run
    finally:
        forget(pipeline, ingestion)


def forget(pipeline: Pipeline, ingestion: Ingestion) -> None:
    """Remove a landed file and its log item, so that watch does not find them."""
    source = ingestion.source
    client(pipeline, "s3").delete_object(
        Bucket=source.bucket, Key=source.key, VersionId=source.version_id
    )
    table = pipeline.laptop.aws.resource("dynamodb").Table(pipeline.outputs["log_table"])
    table.delete_item(Key={"ingestedID": ingestion.id, "ingestedTable": ingestion.table})


@contextlib.contextmanager
def leftover(pipeline: Pipeline, *prefixes: str) -> Iterator[None]:
    """Write a part of an earlier attempt to each prefix; check that the function deletes it."""
    s3 = client(pipeline, "s3")
    bucket = pipeline.outputs["staging_bucket"]
    keys = [prefix.removeprefix(f"s3://{bucket}/") + part_name(99) for prefix in prefixes]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    yield
    for key in keys:
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key)


def answer(pipeline: Pipeline, name: str, event: Event) -> Event:
    """Return the answer of another function, called with its own role."""
    function = Function(pipeline, name)
    with function.environment():
        return function.call(event)


@contextlib.contextmanager
def migrate(function: Function) -> Iterator[Work]:
    s3, outputs = client(function.pipeline, "s3"), function.pipeline.outputs
    kept = {"Bucket": outputs["config_bucket"], "Key": f"kept/{outputs['contracts_hash']}.json"}

    def work() -> None:
        s3.delete_object(**kept)
        assert "daily_checkins" in function.call({"contracts": "any"})["tables"]
        s3.head_object(**kept)

    yield work


@contextlib.contextmanager
def either(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Yield the hashes of a contract set that is only deployed, and of one that is only kept."""
    s3, bucket = client(pipeline, "s3"), pipeline.outputs["config_bucket"]
    deployed, former = pipeline.outputs["contracts_hash"], packed(CONTRACTS) + b" "
    copy, digest = f"kept/{deployed}.json", hashlib.sha256(former).hexdigest()
    s3.delete_object(Bucket=bucket, Key=copy)
    s3.put_object(Bucket=bucket, Key=f"kept/{digest}.json", Body=former)
    yield deployed, digest
    s3.put_object(Bucket=bucket, Key=copy, Body=packed(CONTRACTS))


@contextlib.contextmanager
def transform(function: Function) -> Iterator[Work]:
    with landed(function.pipeline, BODY) as (ingestion, run):
        staging = Staging(function.pipeline.outputs["staging_bucket"], ingestion)

        def work(contracts: str) -> None:
            with leftover(function.pipeline, staging.clean_prefix, staging.suspect_prefix):
                verdict = function.call(task_event(ingestion, run, contracts=contracts))
            assert (verdict["rowsClean"], verdict["rowsSuspect"]) == (2, 1)

        with either(function.pipeline) as sets:
            yield lambda: [*map(work, sets)]


@contextlib.contextmanager
def examine(function: Function) -> Iterator[Work]:
    with landed(function.pipeline, BODY) as (ingestion, run):
        staging = Staging(function.pipeline.outputs["staging_bucket"], ingestion)
        transformed = answer(function.pipeline, "transform", task_event(ingestion, run))
        with io.BytesIO() as part:
            pyarrow.parquet.write_table(pa.table({"line": [2], "reason": ["it is Ned"]}), part)
            client(function.pipeline, "s3").put_object(
                Bucket=staging.place,
                Key=staging.refused_prefix.removeprefix(f"s3://{staging.place}/") + part_name(0),
                Body=part.getvalue(),
            )
        event = task_event(ingestion, run, transform=transformed, load={"refusedParts": 1})

        def work(contracts: str) -> None:
            with leftover(function.pipeline, staging.failed_tests_prefix):
                assert function.call(event | {"contracts": contracts})["rowsRejected"] == 3

        with either(function.pipeline) as sets:
            yield lambda: [*map(work, sets)]


@contextlib.contextmanager
def load(function: Function) -> Iterator[Work]:
    """Load a newer version of a loaded file."""
    pipeline = function.pipeline
    with landed(pipeline, BODY) as (ingestion, run):
        transformed = answer(pipeline, "transform", task_event(ingestion, run))
        tested = answer(pipeline, "test", task_event(ingestion, run, transform=transformed))
        event = task_event(ingestion, run, transform=transformed, test=tested)
        key = ingestion.source.key

        def work() -> None:
            for contracts in sets:
                of_set = event | {"contracts": contracts}
                pipeline.query("DELETE FROM daily_checkins_rows WHERE username = 'ned'")
                pipeline.query(
                    "UPDATE source SET version_id = 'old' WHERE source_key = :key", key=key
                )
                assert function.call(of_set)["rowsLoaded"] == 1
                assert len(pipeline.loaded(key)) == 1
            with refusing(pipeline, "ned"):
                assert function.call(event)["rowsRefused"] == 1

        with either(pipeline) as sets:
            work()
            yield work


@contextlib.contextmanager
def alert(function: Function) -> Iterator[Work]:
    """Send an alert for a run without a log item, with rejects."""
    pipeline = function.pipeline
    bucket = pipeline.outputs["landing_bucket"]
    sent = []

    def work() -> None:
        key = LandingKey.parse(key_of(1))
        assert key is not None
        ingestion = Ingestion.of(Source(bucket, str(key), str(uuid.uuid4()), 1), key)
        sent.append(ingestion)
        staging = Staging(pipeline.outputs["staging_bucket"], ingestion)
        rule = {"severity": "error", "column": "user", "rule": "required", "count": 1}
        rule |= {"reason": "user is missing", "examples": [{"line": 3}]}
        report = {"rules": [rule]}
        client(pipeline, "s3").put_object(
            Bucket=staging.place,
            Key=staging.report.removeprefix(f"s3://{staging.place}/"),
            Body=json.dumps(report),
        )
        counts = {"rowsRead": 2, "rowsLoaded": 1, "rowsRejected": 1}
        verdict = {"outcome": "ok", "reason": None, **counts}
        detail = {
            "executionArn": f"{pipeline.outputs['state_machine_arn']}:{ingestion.id}",
            "status": "SUCCEEDED",
            "input": json.dumps(ingestion.as_event()),
            "output": json.dumps({"load": verdict}),
        }
        event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
        assert function.call(event) == {"sent": True}
        [message] = pipeline.alerts(ingestion.id)
        assert [each["line"] for each in message["topRejects"]] == [3]

    try:
        yield work
    finally:
        for each in sent:
            forget(pipeline, each)


@contextlib.contextmanager
def api(function: Function) -> Iterator[Work]:
    handler = importlib.import_module("functions.api.handler")

    def forget_all() -> None:
        handler.session.close()
        handler.app.cache_clear()
        handler.log.cache_clear()

    def work() -> None:
        forget_all()
        assert function.call(request("/get", user="nobody"))["statusCode"] == 200
        assert function.call(request("/ingestions"))["statusCode"] == 200
        assert function.call(request("/ingestions/20240303-0000000000"))["statusCode"] == 404

    try:
        yield work
    finally:
        forget_all()


def gate_of(pipeline: Pipeline) -> Gate:
    return Gate(
        pipeline.log,
        client(pipeline, "stepfunctions"),
        pipeline.outputs["state_machine_arn"],
        pipeline.outputs["max_concurrency"],
        pipeline.outputs["contracts_hash"],
    )


def may_start(pipeline: Pipeline, runs: int) -> bool:
    """Start queued files; return whether `runs` executions are free afterwards."""
    gate = gate_of(pipeline)
    gate.recover()
    gate.open()
    return not pipeline.log.count(Status.QUEUED) and len(pipeline.log.slots()) + runs <= gate.most


@contextlib.contextmanager
def trigger(function: Function) -> Iterator[Work]:
    """Send a file, a duplicate, two without a version or a day, and one of no contract."""
    pipeline = function.pipeline

    def work() -> None:
        eventually(lambda: may_start(pipeline, 3))
        name, unversioned, undated = (f"{uuid.uuid4()}.csv" for _ in range(3))
        keys = [key_of(2, name), name, f"erp/budgets-{undated}", key_of(2, unversioned)]
        sources = [pipeline.put("", key) for key in keys]
        objects = [
            {"key": each.key, "versionId": each.version_id, "size": each.size} for each in sources
        ]
        del objects[-1]["versionId"]
        bucket = {"name": sources[0].bucket}
        records = [{"s3": {"bucket": bucket, "object": each}} for each in objects]
        counts = Counter(function.call({"Records": [records[0], *records]}))
        # A file is waiting if the stack's watch starts another one at the same time.
        assert counts["started"] + counts["queued"] == 3
        assert (counts["known"], counts["rejected"]) == (1, 1)
        vouch()

    def vouch() -> None:
        """Send two versions of a file, and twice their manifest."""
        key = key_of(2, f"{uuid.uuid4()}.csv")
        sources = [pipeline.put("", key), pipeline.put("", key), pipeline.put("", f"{key}.ctl")]
        names = [{"key": each.key, "versionId": each.version_id, "size": 0} for each in sources]
        events = [{"bucket": {"name": sources[0].bucket}, "object": each} for each in names]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("functions.trigger.handler.deployed", lambda _: requiring_manifests())
            for event in (*events, events[-1]):
                function.call({"Records": [{"s3": event}]})
        # The newer version is started, and the older one need not be looked at again.
        [item] = pipeline.log.registered(sources[0].bucket, f"{key}.ctl")
        assert item["versionId"] == sources[1].version_id
        assert item["manifest"]["versionId"] == sources[2].version_id

    yield work


@contextlib.contextmanager
def watch(function: Function) -> Iterator[Work]:
    """Recover a lost run-end event and a lost S3 event, and report a missing file."""
    pipeline = function.pipeline
    ingestion = pipeline.land("", day=3, name=f"{uuid.uuid4()}.csv")
    intake = Intake(
        load_all(), gate_of(pipeline), client(pipeline, "events"), client(pipeline, "s3")
    )
    eventually(lambda: may_start(pipeline, 1))
    assert intake.admit(ingestion.source) in {Admission.STARTED, Admission.QUEUED}
    item = pipeline.ended(ingestion.id)
    table = pipeline.laptop.aws.resource("dynamodb").Table(pipeline.outputs["log_table"])
    # watch reports a missing file once, so each attempt uses other days.
    now = dt.datetime.now(dt.UTC)
    later = (now + dt.timedelta(weeks=weeks) for weeks in itertools.count(10))

    def look() -> dict[str, int]:
        recent = LandingKey("projectbudgets", now.date(), f"{uuid.uuid4()}.csv")
        pipeline.put("", str(recent))
        table.update_item(
            Key={name: item[name] for name in ("ingestedID", "ingestedTable")},
            UpdateExpression="SET #status = :running",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":running": "running"},
        )
        return function.call({})

    def work() -> None:
        # On a slow machine, the event of an earlier attempt may close the item only now.
        found = next((each for each in (look() for _ in range(5)) if each["stuck"]), {"lost": 0})
        assert found["lost"] >= 1
        assert function.call({"time": next(later).isoformat()})["missing"] >= 1
        vouch()

    def vouch() -> None:
        """Let watch find the manifest of a file, because its event was lost."""
        file = pipeline.put("", key_of(2, f"{uuid.uuid4()}.csv"))
        awaits = replace(intake, contracts=requiring_manifests())
        assert awaits.admit(file) == Admission.WAITING
        pipeline.put("", f"{file.key}.ctl")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("functions.watch.handler.deployed", lambda _: requiring_manifests())
            assert function.call({})["vouched"] >= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.watch.reconciliation.GRACE", dt.timedelta(seconds=-5))
        yield work


WORKS: dict[str, Callable[[Function], contextlib.AbstractContextManager[Work]]] = {
    "migrate": migrate,
    "transform": transform,
    "test": examine,
    "load": load,
    "alert": alert,
    "api": api,
    "trigger": trigger,
    "watch": watch,
}


# The tests of the other functions take a second or two each, so they are deep.
QUICK = {"api", "migrate"}


def failure(function: Function, permissions: list[Permission], work: Work) -> str | None:
    """Return the error of the work with these permissions, or None."""
    with function.allowed(permissions):
        try:
            work()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def check(function: Function, permissions: list[Permission], work: Work, unshown: set[str]) -> None:
    """Check that the work needs all of these permissions, except those with unshown actions."""
    shown = [each for each in permissions if each["Action"] not in unshown]
    assert failure(function, shown, work) is None, (
        "the work needs an action that is listed as unshown"
    )
    for permission in shown:
        others = [each for each in permissions if each is not permission]
        output = failure(function, others, work)
        assert output is not None, f"{permission} is not needed, or WORKS does not use it"
        refused = f"not authorized to perform: {permission['Action']} "
        # S3 answers HEAD without a message, and alert works without the report.
        assert refused in output or "(403)" in output or output.startswith("AssertionError"), output
    assert failure(function, permissions, work) is None


@pytest.mark.usefixtures("unnotified")
# awswrangler tries again to write a failed file when it is garbage-collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.deep) for name in WORKS]
)
def test_function_needs_every_permission(name: str, pipeline: Pipeline) -> None:
    function = Function(pipeline, name)
    with function.environment(), WORKS[name](function) as work:
        check(function, function.permissions(), work, UNSHOWN)


def test_spare_permission_is_found(pipeline: Pipeline) -> None:
    function = Function(pipeline, "api")
    spare = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::any"}
    with function.environment(), api(function) as work:
        permissions = function.permissions()

        with pytest.raises(AssertionError, match=r"'s3:ListBucket'.* is not needed"):
            check(function, [*permissions, spare], work, UNSHOWN)
        with pytest.raises(AssertionError, match="listed as unshown"):
            check(function, permissions, work, UNSHOWN | {"secretsmanager:GetSecretValue"})


def test_ca_bundle_needs_one_permission(pipeline: Pipeline) -> None:
    """No role has this permission, because the laptop cloud's database does not use TLS."""
    s3 = client(pipeline, "s3")
    bucket, key = "tm-config", "database_ca_bundle/hash.pem"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=b"-----BEGIN CERTIFICATE-----")
    permission = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{key}",
    }

    def work() -> None:
        database.authorities.cache_clear()
        assert database.authorities(f"s3://{bucket}/{key}") == "-----BEGIN CERTIFICATE-----"

    function = Function(pipeline, "api")
    with function.environment():
        check(function, [permission], work, UNSHOWN)


def test_works_cover_every_function(pipeline: Pipeline) -> None:
    assert WORKS.keys() == pipeline.outputs["function_names"].keys()


def test_only_lambda_may_assume_a_functions_role(pipeline: Pipeline) -> None:
    """Not even the root user may assume it, whom the emulator allows everything else."""
    sts = client(pipeline, "sts")
    for name in WORKS:
        arn = Function(pipeline, name).configuration["Role"]
        with pytest.raises(botocore.exceptions.ClientError, match="not authorized"):
            sts.assume_role(RoleArn=arn, RoleSessionName="anybody")


@pytest.mark.deep
def test_emulator_ignores_the_state_machines_role(pipeline: Pipeline) -> None:
    iam = client(pipeline, "iam")
    stepfunctions = client(pipeline, "stepfunctions")
    machine = stepfunctions.describe_state_machine(
        stateMachineArn=pipeline.outputs["state_machine_arn"]
    )
    role = machine["roleArn"].rpartition("/")[2]
    [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        item = pipeline.ingest(checkins(f"ned,{AT},1,x"), day=9, name=f"{uuid.uuid4()}.csv")
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))

    assert {action for each in policy["Statement"] for action in each["Action"]} <= UNSHOWN
    assert item["status"] == "success"
