"""Watch and files that wait for their manifest."""

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.alert.handler import handler as alert
from functions.watch import reconciliation
from functions.watch.handler import handler
from shared.contract_set import Contracts
from shared.endings import State, Status
from shared.gate import Gate
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog, is_alert_settled
from shared.intake import Admission, Intake
from shared.settings import WatchSettings, read
from tests.fixtures.aws import KEY, LANDING, item_of, lambda_context, land
from tests.fixtures.contracts import requiring_manifests
from tests.fixtures.messaging import Received

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOTHING = {"vouched": 0, "unvouched": 0}


@pytest.fixture(autouse=True)
def contracts(state_machine: str, monkeypatch: pytest.MonkeyPatch) -> Contracts:
    """Contracts of which one requires manifests; and no grace period."""
    found = requiring_manifests()
    monkeypatch.setattr("functions.watch.handler.deployed", lambda _: found)
    monkeypatch.setattr(reconciliation, "GRACE", dt.timedelta(seconds=-5))
    return found


@pytest.fixture
def file(s3: "S3Client", contracts: Contracts) -> Ingestion:
    """A file that waits for its manifest."""
    landed = land(s3, b"x")
    intake = Intake(contracts, Gate.of(read(WatchSettings)), boto3.client("events"), s3)
    assert intake.admit(landed.source) == Admission.WAITING
    return landed


def watch(**event: Any) -> dict[str, int]:
    found = handler(event, lambda_context())
    return {name: found[name] for name in NOTHING}


def vouch(s3: "S3Client") -> str:
    """Land the manifest; its event is lost."""
    return s3.put_object(Bucket=LANDING, Key=f"{KEY}.ctl", Body=b"x")["VersionId"]


def test_watch_starts_file_whose_manifest_event_was_lost(
    s3: "S3Client", file: Ingestion, log: IngestionLog
) -> None:
    assert watch() == NOTHING

    manifest = vouch(s3)

    assert watch() == NOTHING | {"vouched": 1}
    assert watch() == NOTHING
    item = item_of(log, file)
    assert (item["status"], item["manifest"]["versionId"]) == ("running", manifest)


def test_watch_repeats_run_that_was_refused_after_manifest_landed(
    s3: "S3Client", file: Ingestion, log: IngestionLog
) -> None:
    vouch(s3)
    watch()
    manifest = vouch(s3)
    run = Run.from_item(item_of(log, file))
    log.finish(file, run, State.TRANSFORM, Status.FAIL, {}, "the manifest says 2 rows")

    assert watch() == NOTHING | {"vouched": 1}

    item = item_of(log, file)
    assert (item["attempt"], item["manifest"]["versionId"]) == (2, manifest)


def test_watch_continues_where_it_ran_out_of_time(
    s3: "S3Client", file: Ingestion, contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Intake(contracts, Gate.of(read(WatchSettings)), boto3.client("events"), s3)
    files = [file, *(land(s3, b"x", KEY.replace(".csv", f"-{n}.csv")) for n in range(3))]
    assert {intake.admit(each.source) for each in files} == {Admission.WAITING}
    clock, settled = iter(range(0, 1000, 40)), list[str]()

    def settle(_: Intake, item: dict[str, Any]) -> Admission:
        settled.append(item["ingestedID"])
        return Admission.WAITING

    monkeypatch.setattr(Intake, "settle", settle)
    monkeypatch.setattr(reconciliation, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    for _ in range(5):
        watch()

    ids = [each.id for each in files]
    assert settled == [*ids, ids[0]], "each call has time for one file; the last begins anew"


def test_watch_reports_late_manifest_once(
    file: Ingestion, log: IngestionLog, notices: Received, alerts: Received
) -> None:
    landed = dt.datetime.fromisoformat(item_of(log, file)["updatedAt"])
    in_time, late = (landed + dt.timedelta(hours=hours, minutes=1) for hours in (23, 24))
    assert watch(time=in_time.isoformat()) == NOTHING
    assert watch(time=late.isoformat()) == NOTHING | {"unvouched": 1}

    [notice] = [each for each in notices() if each["detail"]["ingestedID"] == file.id]
    assert alert(notice, lambda_context()) == {"sent": True}
    assert alert(notice, lambda_context("another")) == {"sent": False}

    assert watch(time=late.isoformat()) == NOTHING
    [message] = alerts()
    assert message["Subject"] == "Ingestion Fail: dailycheckins 2024-03-03, missing"
    assert f"tm replay {file.id} --without-manifest" in message["Message"]
    assert f"its manifest '{KEY}.ctl'" in message["Message"]
    assert log.release(item_of(log, file), None)
    assert not is_alert_settled(item_of(log, file)), "the outcome of its run is reported too"
