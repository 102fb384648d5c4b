"""Tests of `tm remove`: interrupted at each of its calls and repeated, and later events."""

import io
import json
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import boto3
import botocore.client
import pytest

import functions.load.handler
from cli import remove
from cli.errors import CommandError
from cli.stack import Stack
from shared.odcs import load_all
from tests.faults.conftest import NEW_ROWS, OLD, OLD_ROWS, Machine
from tests.fixtures.aws import KEY, LANDING, LOG_TABLE, REGION, STAGING, lambda_context
from tests.fixtures.operator import API, MACHINE, OUTPUTS, have_contracts
from tests.storms.scheduler import Killed


@dataclass
class Operator:
    """Runs the command, which is killed before the call number `kill_at` (from 0)."""

    machine: Machine
    kill_at: int | None = None
    calls: list[str] = field(default_factory=list)
    _inside: bool = False

    def remove(self) -> remove.Removed:
        self.calls = []
        call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

        def counted(client: Any, operation: str, arguments: Any) -> Any:
            # Calls of the functions are not calls of the operator.
            if self._inside:
                return call(client, operation, arguments)
            return self._counted(operation, lambda: call(client, operation, arguments))

        with mock.patch.object(botocore.client.BaseClient, "_make_api_call", counted):
            return remove.remove(self._stack(), remove.find(self._stack(), KEY))

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        """Call Load, as Lambda's Invoke does."""
        assert FunctionName == "tm-load"
        return {"Payload": self._counted("Invoke", lambda: self._load(json.loads(Payload)))}

    def _load(self, event: dict[str, Any]) -> io.BytesIO:
        self._inside = True
        try:
            answer = functions.load.handler.handler(event, lambda_context())
        finally:
            self._inside = False
        return io.BytesIO(json.dumps(answer).encode())

    def _counted(self, operation: str, call: Any) -> Any:
        if len(self.calls) == self.kill_at:
            raise Killed
        self.calls.append(operation)
        return call()

    def _stack(self) -> Stack:
        def client(service: str, **_: Any) -> Any:
            session: Any = boto3
            return self if service == "lambda" else session.client(service, region_name=REGION)

        return Stack(
            client=client,
            outputs=OUTPUTS,
            apply="",
            table=boto3.resource("dynamodb", region_name=REGION).Table(LOG_TABLE),
            landing_bucket=LANDING,
            staging_bucket=STAGING,
            state_machine_arn=MACHINE,
            api_url=API,
            api_auth=mock.Mock(),
        )


@pytest.fixture
def operator(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Operator:
    have_contracts(load_all(), monkeypatch)
    return Operator(machine)


def left(machine: Machine) -> dict[str, Any]:
    run = machine.database.run
    versions = machine.s3.list_object_versions(Bucket=LANDING)
    staged = machine.s3.list_objects_v2(Bucket=STAGING)
    return {
        "versions": [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())],
        "staged": [each["Key"] for each in staged.get("Contents", ())],
        "rows": run("SELECT count(*) FROM daily_checkins")[0][0],
        "ledger": run("SELECT count(*) FROM source")[0][0],
        "in the log": [
            "removedAt" not in item
            for item in machine.intake.log.of_day(machine.ingestion.data_date)
        ],
    }


NOTHING = {"versions": [], "staged": [], "rows": 0, "ledger": 0, "in the log": [False, False]}


def loaded(machine: Machine) -> None:
    """Load a new version of the key, and delete the key without a version."""
    machine.notify(machine.play())
    machine.s3.delete_object(Bucket=LANDING, Key=KEY)
    assert machine.rows() == NEW_ROWS


def test_remove_deletes_everything_of_key(operator: Operator, machine: Machine) -> None:
    loaded(machine)
    machine.s3.put_object(Bucket=LANDING, Key=f"{KEY}.bak", Body=b"another")
    staged = len(left(machine)["staged"])

    removed = operator.remove()

    assert removed == remove.Removed(2, staged, len(NEW_ROWS), None)
    assert staged > 4
    [other] = left(machine)["versions"]
    assert other["Key"] == f"{KEY}.bak"
    machine.s3.delete_object(Bucket=LANDING, Key=other["Key"], VersionId=other["VersionId"])
    assert left(machine) == NOTHING
    assert operator.remove() == remove.Removed(0, 0, 0, None), "once more"


@pytest.mark.deep
def test_repeated_remove_completes_interrupted_one(operator: Operator, machine: Machine) -> None:
    interrupted = 0
    while True:
        machine.land(OLD)
        machine.notify(machine.play())
        operator.kill_at = interrupted
        try:
            operator.remove()
        except Killed:
            interrupted += 1
        else:
            break
        operator.kill_at = None

        operator.remove()

        found = left(machine)
        assert not any(found.pop("in the log")), operator.calls
        assert not any(found.values()), (interrupted, found)
    assert interrupted == len(operator.calls) > 10


def test_late_events_do_not_restore_removed_file(operator: Operator, machine: Machine) -> None:
    """Covers a duplicate event, watch, a replay, and a run that was under way."""
    under_way = machine.play(before_load=operator.remove)
    machine.notify(under_way)

    assert under_way["detail"]["error"] == "StagingIncomplete"
    assert machine.intake.admit(machine.ingestion.source) == "known"
    assert machine.watch() == {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}
    machine.notify(machine.replay())
    assert (machine.item()["state"], machine.item()["status"]) == ("transform", "fail")
    assert "removedAt" in machine.item()
    found = left(machine)
    assert (found["versions"], found["rows"], found["ledger"]) == ([], 0, 0)


def test_remove_keeps_file_that_lands_meanwhile(operator: Operator, machine: Machine) -> None:
    loaded(machine)
    deleted: list[Any] = []
    delete = remove._delete

    def land_too(*arguments: Any) -> None:
        delete(*arguments)
        if not deleted:
            machine.land(OLD)
            machine.play()
        deleted.append(arguments)

    with mock.patch.object(remove, "_delete", land_too):
        removed = operator.remove()

    assert removed.kept == machine.ingestion.source.version_id
    assert machine.rows() == OLD_ROWS
    assert "removedAt" not in machine.item()
    assert machine.replay()["detail"]["status"] == "SUCCEEDED"


def test_remove_reports_objects_that_s3_keeps(operator: Operator, machine: Machine) -> None:
    loaded(machine)
    refusal = {"Errors": [{"Key": KEY, "Code": "AccessDenied", "Message": "it is held"}]}
    client = mock.Mock(wraps=machine.s3, delete_objects=mock.Mock(return_value=refusal))
    stack = mock.Mock(s3=client, landing_bucket=LANDING)

    with pytest.raises(CommandError, match=r"it is held\. Allow your identity s3:Delete"):
        remove._delete(stack, LANDING, [(KEY, "a version")])

    assert machine.rows() == NEW_ROWS
