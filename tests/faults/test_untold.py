"""The alert that fails: the log is closed all the same, and the team is told in the end."""

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.stepfunctions.models import stepfunctions_backends

from shared import parquet
from shared.ingestion_log import IngestionLog
from shared.staging import Staging
from tests.faults.conftest import OLD, Event, Machine, Refusals
from tests.fixtures.aws import REGION, STAGING


def _failed(machine: Machine) -> Event:
    """Let Load fail, which it does not log itself."""
    staging = Staging(STAGING, machine.ingestion)
    end = machine.play(before_load=lambda: parquet.delete(staging.clean_prefix))
    assert machine.item()["status"] == "running"
    return end


@pytest.mark.parametrize("code", ["AuthorizationError", "Throttled"])
def test_a_topic_that_refuses_is_told_once_it_does_not(
    machine: Machine, refusals: Refusals, code: str
) -> None:
    refusals.add("Publish", code)

    assert not machine.tell(_failed(machine), tries=3)

    assert machine.item()["status"] == "fail", "the log is closed all the same"
    assert machine.watch()["unannounced"] == 1
    assert machine.alerts() == []

    refusals.stop()
    assert machine.watch()["unannounced"] == 1
    assert len(machine.alerts()) == 1
    assert machine.watch()["unannounced"] == 0
    assert machine.alerts() == []


def test_an_end_that_alert_never_heard_of_is_closed_and_told_by_watch(machine: Machine) -> None:
    _failed(machine)

    assert machine.watch() == {"stuck": 1, "unannounced": 0, "lost": 0, "missing": 0}

    assert machine.item()["status"] == "fail"
    assert len(machine.alerts()) == 1
    assert machine.watch() == {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}
    assert machine.alerts() == []


def test_an_alert_killed_between_the_message_and_its_mark_sends_it_twice(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = _failed(machine)
    with monkeypatch.context() as broken:
        broken.setattr(IngestionLog, "alert_sent", lambda *_: 1 / 0)
        assert not machine.tell(end)
    assert len(machine.alerts()) == 1

    assert machine.watch()["unannounced"] == 1

    assert len(machine.alerts()) == 1, "at least once, for nobody knows whether it was sent"
    assert machine.watch()["unannounced"] == 0


def test_an_end_that_was_never_told_before_the_replay(machine: Machine) -> None:
    _failed(machine)
    first = machine.item()["executionArn"]
    assert machine.tell(machine.replay())
    assert [alert["executionArn"] for alert in machine.alerts()] != [first]

    assert machine.watch()["unannounced"] == 1

    assert [alert["executionArn"] for alert in machine.alerts()] == [first]


def test_an_end_that_step_functions_has_forgotten(machine: Machine) -> None:
    """It forgets an execution 90 days after its end: a file may be replayed after that."""
    _failed(machine)
    assert machine.tell(machine.replay())
    backend = stepfunctions_backends[ACCOUNT][REGION]
    backend.describe_state_machine(machine.intake.gate.state_machine_arn).executions.clear()
    machine.land(OLD)
    _failed(machine)

    assert machine.watch() == {"stuck": 1, "unannounced": 0, "lost": 0, "missing": 0}

    assert len(machine.alerts()) == 1, "what it says of the others"
