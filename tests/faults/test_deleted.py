"""A landed file that somebody deletes: what is loaded stays."""

from tests.faults.conftest import NEW_ROWS, Machine
from tests.fixtures.aws import KEY, LANDING


def test_a_landed_file_that_is_deleted_leaves_its_rows(machine: Machine) -> None:
    machine.tell(machine.play())

    machine.s3.delete_object(Bucket=LANDING, Key=KEY)

    assert machine.watch() == {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}
    assert machine.rows() == NEW_ROWS
    assert machine.replay()["detail"]["status"] == "SUCCEEDED", "the version itself is still there"


def test_a_version_that_is_deleted_for_good_cannot_be_replayed(machine: Machine) -> None:
    machine.tell(machine.play())
    machine.alerts()
    version = machine.ingestion.source.version_id
    machine.s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=version)

    assert machine.tell(machine.replay())

    assert machine.rows() == NEW_ROWS
    assert (machine.item()["state"], machine.item()["status"]) == ("transform", "fail")
    [alert] = machine.alerts()
    assert "SourceUnreadable" in alert["reason"]
    assert "upload the file again" in alert["reason"]
