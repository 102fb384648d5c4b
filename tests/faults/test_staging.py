"""Tests of staged objects that are missing in Load: expired, or deleted by hand."""

from collections.abc import Callable

import pytest

from shared import parquet
from shared.staging import Staging, part_name
from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Event, Machine, in_the_middle_of_copy
from tests.fixtures.aws import STAGING


def _check_failure_and_replay(machine: Machine, end: Event) -> None:
    assert end["detail"]["error"] == "StagingIncomplete"
    assert "replay the ingestion" in end["detail"]["cause"]
    assert machine.rows() == OLD_ROWS

    assert machine.notify(end)

    item = machine.item()
    assert (item["state"], item["status"]) == ("load", "fail")
    [alert] = machine.alerts()
    assert "StagingIncomplete" in alert["reason"]
    assert alert["repair"].endswith(f"tm replay {machine.ingestion.id}")

    assert machine.replay()["detail"]["status"] == "SUCCEEDED"
    assert machine.rows() == NEW_ROWS


@pytest.mark.parametrize(
    "gone",
    [
        lambda staging: staging.clean_prefix + part_name(1),
        lambda staging: staging.rejects,
        lambda staging: f"{staging.root}/",
    ],
    ids=["a part", "the rejects", "everything"],
)
def test_load_fails_if_staged_object_is_missing(
    machine: Machine, gone: Callable[[Staging], str]
) -> None:
    staging = Staging(STAGING, machine.ingestion)

    end = machine.play(before_load=lambda: parquet.delete(gone(staging)))

    _check_failure_and_replay(machine, end)


def test_load_fails_if_staged_object_is_deleted_during_copy(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = Staging(STAGING, machine.ingestion).clean_prefix
    # Another connection could read the other parts before they are deleted.
    monkeypatch.setattr("functions.load.loading._CONNECTIONS", 1)
    in_the_middle_of_copy(monkeypatch, lambda: parquet.delete(prefix))

    _check_failure_and_replay(machine, machine.play())
