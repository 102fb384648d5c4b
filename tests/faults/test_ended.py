"""Tests of a run that times out or is aborted while Load is still running."""

import pytest

from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Machine


@pytest.mark.parametrize(
    ("status", "how", "reason"),
    [
        ("TIMED_OUT", {}, "exceeded the timeout of the state machine"),
        ("ABORTED", {"cause": "by Ned"}, "operator stopped the run: by Ned"),
    ],
)
def test_load_may_outlive_its_run(
    machine: Machine, status: str, how: dict[str, str], reason: str
) -> None:
    def end() -> None:
        assert machine.rows() == OLD_ROWS
        assert machine.notify(machine.end(status, **how))

    machine.play(before_load=end)

    assert machine.rows() == NEW_ROWS, "Load was not stopped"
    item = machine.item()
    assert item["status"] == "fail"
    assert reason in item["haltReason"]
    assert len(machine.alerts()) == 1

    assert machine.replay()["detail"]["status"] == "SUCCEEDED"
    assert machine.rows() == NEW_ROWS
    assert machine.item()["status"] == "success"
