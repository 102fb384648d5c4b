"""Files whose contract requires a manifest: in which order they and their manifests may land."""

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from shared.endings import State, Status
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.intake import Admission, Intake, Unvouched
from shared.odcs import load_all
from tests.fixtures.aws import KEY, LANDING, ingestion_of, item_of, steps
from tests.fixtures.contracts import requiring_manifests
from tests.fixtures.messaging import intake_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = KEY.rpartition("/")[0]


@dataclass
class Desk:
    """An intake, and a landing bucket whose events it gets."""

    intake: Intake
    s3: "S3Client"
    stepfunctions: Any

    def put(self, key: str = KEY) -> Source:
        version = self.s3.put_object(Bucket=LANDING, Key=key, Body=b"x")["VersionId"]
        return Source(LANDING, key, version, 1)

    def land(self, key: str = KEY) -> Ingestion:
        """Land a file and handle its event."""
        source = self.put(key)
        self.intake.admit(source)
        return ingestion_of(source)

    def vouch(self, key: str = f"{KEY}.ctl") -> Source:
        """Land a manifest and handle its event."""
        source = self.put(key)
        assert self.intake.admit(source) == Admission.MANIFEST
        return source

    def item(self, ingestion: Ingestion) -> dict[str, Any]:
        return item_of(self.intake.log, ingestion)

    def status(self, ingestion: Ingestion) -> str:
        return str(self.item(ingestion)["status"])

    def end(self, ingestion: Ingestion, status: Status = Status.SUCCESS) -> None:
        """End the current run: it loads the file, or Transform refuses it."""
        item = self.item(ingestion)
        state = State.LOAD if status is Status.SUCCESS else State.TRANSFORM
        assert self.intake.log.finish(ingestion, Run.from_item(item), state, status, {}, None)
        self.stepfunctions.stop_execution(executionArn=item["executionArn"])
        self.intake.gate.close(Run.from_item(item))

    def manifests(self) -> list[tuple[str, str | None]]:
        """Return the version of the file and of the manifest of each run, in order."""
        machine = self.intake.gate.state_machine_arn
        runs = self.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
        found = [self.intake.gate.describe(each["executionArn"]) for each in runs]
        inputs = [json.loads(run["input"]) for run in sorted(found, key=lambda r: r["startDate"])]
        return [
            (each["source"]["versionId"], each.get("manifest", {}).get("versionId"))
            for each in inputs
        ]


@pytest.fixture
def desk(log: IngestionLog, state_machine: str, s3: "S3Client") -> Desk:
    intake = replace(intake_of(log, state_machine, 5), contracts=requiring_manifests())
    return Desk(intake, s3, intake.gate.stepfunctions)


def version(ingestion: Ingestion) -> str:
    return ingestion.source.version_id


def test_file_waits_for_its_manifest(desk: Desk) -> None:
    file = desk.land()
    assert desk.intake.admit(file.source) == Admission.WAITING
    assert (desk.status(file), desk.manifests()) == ("waiting", [])
    assert "waits for its manifest" in desk.item(file)["haltReason"]

    manifest = desk.vouch()

    assert desk.manifests() == [(version(file), manifest.version_id)]
    item = desk.item(file)
    assert item["manifest"] == {"key": f"{KEY}.ctl", "versionId": manifest.version_id, "size": 1}
    assert "haltReason" not in item
    assert steps(item) == [("trigger", each) for each in ("waiting", "queued", "success")]


def test_manifest_may_land_first(desk: Desk) -> None:
    manifest = desk.vouch()

    file = desk.land()

    assert desk.manifests() == [(version(file), manifest.version_id)]


def test_event_of_manifest_starts_one_run(desk: Desk) -> None:
    file = desk.land()
    manifest = desk.vouch()

    desk.intake.admit(manifest)
    assert desk.intake.admit(file.source) == Admission.STARTED, "the run never began"

    assert len(desk.manifests()) == 1


def test_manifest_without_placeholder_vouches_for_all_files_of_folder(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.intake = replace(desk.intake, contracts=requiring_manifests(name="all.ok"))
    early = [desk.land(f"{FOLDER}/{name}.csv") for name in "ab"]

    manifest = desk.vouch(f"{FOLDER}/all.ok")
    late = desk.land(f"{FOLDER}/c.csv")

    started = {(version(each), manifest.version_id) for each in [*early, late]}
    assert (set(desk.manifests()), len(desk.manifests())) == (started, 3)


def test_version_of_manifest_vouches_for_one_accepted_version(desk: Desk) -> None:
    first = desk.land()
    manifest = desk.vouch()
    desk.end(first)

    second = desk.land()
    assert desk.status(second) == "waiting"
    renewed = desk.vouch()

    assert desk.manifests() == [
        (version(first), manifest.version_id),
        (version(second), renewed.version_id),
    ]


def test_manifest_of_refused_version_vouches_for_corrected_one(desk: Desk) -> None:
    manifest = desk.vouch()
    refused = desk.land()
    desk.end(refused, Status.FAIL)

    corrected = desk.land()

    assert desk.manifests()[1:] == [(version(corrected), manifest.version_id)]
    # Otherwise one version of the manifest could vouch for two accepted versions.
    found = desk.intake.replay(desk.item(refused))
    assert isinstance(found, Unvouched)
    assert f"version {version(corrected)} of the file landed before" in found.reason


def test_file_loaded_without_its_manifest_leaves_it_to_newer_version(desk: Desk) -> None:
    manifest = desk.vouch()
    waived = desk.land()
    desk.end(waived, Status.FAIL)
    assert isinstance(desk.intake.replay(desk.item(waived), without_manifest=True), Run)
    desk.end(waived)

    newer = desk.land()

    assert desk.manifests()[2:] == [(version(newer), manifest.version_id)]


def test_refused_file_runs_again_when_corrected_manifest_lands(desk: Desk) -> None:
    wrong = desk.vouch()
    file = desk.land()
    desk.end(file, Status.FAIL)

    desk.intake.admit(wrong)
    assert len(desk.manifests()) == 1, "that manifest refused the file"
    corrected = desk.vouch()

    assert desk.manifests() == [
        (version(file), wrong.version_id),
        (version(file), corrected.version_id),
    ]
    desk.end(file)
    desk.vouch()
    assert len(desk.manifests()) == 2, "the file is accepted"
    assert not list(desk.intake.log.registered(LANDING, wrong.key)), "and is not looked at again"


def test_newest_version_is_started(desk: Desk) -> None:
    older, newer = desk.land(), desk.land()

    manifest = desk.vouch()

    assert desk.manifests() == [(version(newer), manifest.version_id)]
    assert desk.status(older) == "superseded"
    assert f"version {version(newer)} of the file landed before" in desk.item(older)["haltReason"]


def test_manifest_starts_no_removed_or_deleted_file(desk: Desk) -> None:
    removed = desk.land()
    desk.s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=version(removed))
    desk.intake.log.removed(removed.id, removed.table)
    deleted = desk.land(f"{FOLDER}/b.csv")
    desk.s3.delete_object(Bucket=LANDING, Key=f"{FOLDER}/b.csv")

    desk.vouch()
    desk.vouch(f"{FOLDER}/b.csv.ctl")

    assert desk.manifests() == []
    assert [desk.status(removed), desk.status(deleted)] == ["superseded", "waiting"]


def test_replay_keeps_manifest_and_may_waive_it(desk: Desk) -> None:
    file = desk.land()
    unvouched = desk.intake.replay(desk.item(file))
    assert unvouched == Unvouched(f"its manifest '{KEY}.ctl' has not landed")

    assert isinstance(desk.intake.replay(desk.item(file), without_manifest=True), Run)
    waived = desk.item(file)["history"][1]
    assert waived["reason"] == "an operator loads the file without its manifest"
    desk.end(file, Status.FAIL)
    manifest = desk.vouch()
    assert len(desk.manifests()) == 1, "an operator decides about a waived file"
    for _ in range(2):
        assert isinstance(desk.intake.replay(desk.item(file)), Run)
        desk.end(file, Status.FAIL)

    used = (None, manifest.version_id, manifest.version_id)
    assert desk.manifests() == [(version(file), each) for each in used]


def test_file_is_started_if_contract_requires_no_manifest_any_more(desk: Desk) -> None:
    file = desk.land()

    intake = replace(desk.intake, contracts=load_all())

    assert intake.settle(desk.item(file)) == Admission.STARTED
    assert desk.manifests() == [(version(file), None)]


@pytest.mark.parametrize("is_first", [True, False], ids=["file first", "manifest first"])
def test_crash_at_any_call_loses_and_doubles_nothing(
    is_first: bool, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    class Crash(BaseException):
        pass

    def crash_after(calls: int, source: Source) -> bool:
        numbers = itertools.count()

        def counted(*request: Any) -> Any:
            if next(numbers) == calls:
                raise Crash
            return call(*request)

        with monkeypatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", counted)
            try:
                desk.intake.admit(source)
            except Crash:
                return True
        return False

    expected, crashed, number = set(), True, itertools.count()
    while crashed:
        calls = next(number)
        key = f"{FOLDER}/{calls}.csv"
        names = (key, f"{key}.ctl") if is_first else (f"{key}.ctl", key)
        desk.intake.admit(first := desk.put(names[0]))
        crashed = crash_after(calls, second := desk.put(names[1]))
        pair = (first, second) if is_first else (second, first)
        if crashed and calls % 2:
            desk.intake.admit(second)  # Lambda retries
        file = ingestion_of(pair[0])
        # What watch does: it finds files that are not logged, and looks for manifests.
        if not desk.intake.is_known(file.source):
            desk.intake.admit(file.source)
        desk.intake.settle(desk.item(file))
        desk.intake.gate.recover()
        desk.intake.gate.open()

        desk.end(file)
        expected.add((version(file), pair[1].version_id))
    assert calls > 10
    assert (set(desk.manifests()), len(desk.manifests())) == (expected, len(expected))
