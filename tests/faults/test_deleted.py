"""Tests of deleted landed files: loaded rows remain."""

from tests.faults.conftest import NEW_ROWS, Machine
from tests.fixtures.aws import KEY, LANDING


def test_deleted_landed_file_keeps_its_rows(machine: Machine) -> None:
    machine.notify(machine.play())

    machine.s3.delete_object(Bucket=LANDING, Key=KEY)

    assert machine.watch() == {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}
    assert machine.rows() == NEW_ROWS
    assert machine.replay()["detail"]["status"] == "SUCCEEDED", "S3 still has the version"


def test_replay_fails_after_version_is_deleted(machine: Machine) -> None:
    machine.notify(machine.play())
    machine.alerts()
    version = machine.ingestion.source.version_id
    machine.s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=version)

    assert machine.notify(machine.replay())

    assert machine.rows() == NEW_ROWS
    assert (machine.item()["state"], machine.item()["status"]) == ("transform", "fail")
    [alert] = machine.alerts()
    assert "SourceUnreadable" in alert["reason"]
    assert "upload the file again" in alert["reason"]
