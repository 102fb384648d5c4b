"""Tests of staged objects that are missing in Load: expired, or deleted by hand."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from functions.load.rows import StagedRows
from shared import parquet
from shared.staging import Staging, part_name
from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Event, Machine
from tests.fixtures.aws import STAGING


def _a_part(staging: Staging) -> str:
    return staging.clean_prefix + part_name(1)


def _the_rejects(staging: Staging) -> str:
    return staging.rejects


def _everything(staging: Staging) -> str:
    return f"{staging.root}/"


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


@pytest.mark.parametrize("gone", [_a_part, _the_rejects, _everything])
def test_load_fails_if_staged_object_is_missing(
    machine: Machine, gone: Callable[[Staging], str]
) -> None:
    staging = Staging(STAGING, machine.ingestion)

    end = machine.play(before_load=lambda: parquet.delete(gone(staging)))

    _check_failure_and_replay(machine, end)


def test_load_fails_if_staged_object_is_deleted_during_copy(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = StagedRows.batches

    def vanishing(self: StagedRows, source_id: int) -> Iterator[pa.Table]:
        rest = chunks(self, source_id)
        yield next(rest)
        parquet.delete(Staging(STAGING, machine.ingestion).clean_prefix)
        yield from rest

    with monkeypatch.context() as broken:
        broken.setattr(StagedRows, "batches", vanishing)
        end = machine.play()

    _check_failure_and_replay(machine, end)
