"""Tests of throttled calls to DynamoDB (log writes) and Step Functions (starts of runs)."""

import re

import botocore.exceptions
import pytest

from tests.faults.conftest import NEW, NEW_ROWS, OLD_ROWS, ONE_RUN, Machine, Refusals


def _step(request: str) -> str:
    found = re.search(r'":mark": {"S": "[^"]*?/0/([^"]+)"}', request)
    assert found is not None
    return found[1]


def test_run_succeeds_if_each_log_write_is_throttled_once(
    machine: Machine, refusals: Refusals
) -> None:
    refused: dict[str, list[str]] = {}

    def first(request: str) -> bool:
        if _step(request) in refused:
            return False
        refused[_step(request)] = machine.rows()
        return True

    refusals.add("UpdateItem", "ThrottlingException", first)

    end = machine.play()

    assert end["detail"]["status"] == "SUCCEEDED"
    assert machine.retried == ["LogUnavailable"] * 6
    assert [tuple(step.split("/")) for step in refused] == ONE_RUN[2:]
    assert refused["load/running"] == OLD_ROWS
    assert refused["load/success"] == NEW_ROWS, "they are committed, and are loaded again"
    assert machine.rows() == NEW_ROWS
    assert machine.steps() == ONE_RUN
    item = machine.item()
    assert (item["status"], item["rowsLoaded"]) == ("success", len(NEW_ROWS))


@pytest.mark.parametrize(
    ("step", "rows"), [("transform/running", OLD_ROWS), ("load/success", NEW_ROWS)]
)
def test_watch_closes_run_after_log_outage(
    machine: Machine, refusals: Refusals, step: str, rows: list[str]
) -> None:
    refusals.add("UpdateItem", "ProvisionedThroughputExceededException", lambda text: step in text)
    end = machine.play()
    assert end["detail"]["error"] == "LogUnavailable"
    assert machine.retried == ["LogUnavailable"] * 6
    assert machine.rows() == rows
    refusals.add("UpdateItem", "ProvisionedThroughputExceededException")
    assert not machine.notify(end, tries=3)
    assert machine.item()["status"] == "running"

    refusals.stop()
    assert machine.watch()["stuck"] == 1

    assert machine.item()["status"] == "fail"
    [alert] = machine.alerts()
    assert "LogUnavailable" in alert["reason"]
    assert machine.replay()["detail"]["status"] == "SUCCEEDED"
    assert machine.rows() == NEW_ROWS


def test_watch_starts_run_whose_start_was_throttled(machine: Machine, refusals: Refusals) -> None:
    refusals.add("StartExecution", "ThrottlingException")
    with pytest.raises(botocore.exceptions.ClientError, match="Throttling"):
        machine.land(NEW.replace("jon", "bran"))
    assert (machine.item()["state"], machine.item()["status"]) == ("trigger", "running")

    refusals.stop()
    machine.watch()
    assert machine.play()["detail"]["status"] == "SUCCEEDED"
    assert machine.rows() == [row.replace("jon", "bran") for row in NEW_ROWS]
