"""A run that Step Functions ends from outside, while a Load that knows nothing of it goes on."""

import pytest

from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Machine


@pytest.mark.parametrize(
    ("status", "how", "reason"),
    [
        ("TIMED_OUT", {}, "exceeded the timeout of the state machine"),
        ("ABORTED", {"cause": "by Ned"}, "operator stopped the run: by Ned"),
    ],
)
def test_a_load_that_outlives_its_run(
    machine: Machine, status: str, how: dict[str, str], reason: str
) -> None:
    def end() -> None:
        assert machine.rows() == OLD_ROWS
        assert machine.tell(machine.end(status, **how))

    machine.play(before_load=end)

    assert machine.rows() == NEW_ROWS, "nobody told it"
    item = machine.item()
    assert item["status"] == "fail"
    assert reason in item["haltReason"]
    assert len(machine.alerts()) == 1

    assert machine.replay()["detail"]["status"] == "SUCCEEDED"
    assert machine.rows() == NEW_ROWS
    assert machine.item()["status"] == "success"
