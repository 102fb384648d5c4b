"""Tests of failing alerts: the log item is closed, and the alert is sent later."""

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.stepfunctions.models import stepfunctions_backends

from shared import parquet
from shared.ingestion_log import IngestionLog
from shared.staging import Staging
from tests.faults.conftest import OLD, Event, Machine, Refusals
from tests.fixtures.aws import REGION, STAGING


def _failed(machine: Machine) -> Event:
    """Let Load fail without a log entry; return the run-end event."""
    staging = Staging(STAGING, machine.ingestion)
    end = machine.play(before_load=lambda: parquet.delete(staging.clean_prefix))
    assert machine.item()["status"] == "running"
    return end


@pytest.mark.parametrize("code", ["AuthorizationError", "Throttled"])
def test_watch_repeats_alert_that_topic_refused(
    machine: Machine, refusals: Refusals, code: str
) -> None:
    refusals.add("Publish", code)

    assert not machine.notify(_failed(machine), tries=3)

    assert machine.item()["status"] == "fail", "the log item is closed anyway"
    assert machine.watch()["unannounced"] == 1
    assert machine.alerts() == []

    refusals.stop()
    assert machine.watch()["unannounced"] == 1
    assert len(machine.alerts()) == 1
    assert machine.watch()["unannounced"] == 0
    assert machine.alerts() == []


def test_watch_closes_and_alerts_lost_run_end_event(machine: Machine) -> None:
    _failed(machine)

    assert machine.watch() == {"stuck": 1, "unannounced": 0, "lost": 0, "missing": 0}

    assert machine.item()["status"] == "fail"
    assert len(machine.alerts()) == 1
    assert machine.watch() == {"stuck": 0, "unannounced": 0, "lost": 0, "missing": 0}
    assert machine.alerts() == []


def test_alert_killed_before_mark_is_sent_twice(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = _failed(machine)
    with monkeypatch.context() as broken:
        broken.setattr(IngestionLog, "alert_sent", lambda *_: 1 / 0)
        assert not machine.notify(end)
    assert len(machine.alerts()) == 1

    assert machine.watch()["unannounced"] == 1

    assert len(machine.alerts()) == 1, "at least once, because it is unknown whether it was sent"
    assert machine.watch()["unannounced"] == 0


def test_watch_alerts_end_before_replay(machine: Machine) -> None:
    _failed(machine)
    first = machine.item()["executionArn"]
    assert machine.notify(machine.replay())
    assert [alert["executionArn"] for alert in machine.alerts()] != [first]

    assert machine.watch()["unannounced"] == 1

    assert [alert["executionArn"] for alert in machine.alerts()] == [first]


def test_watch_ignores_executions_that_step_functions_deleted(machine: Machine) -> None:
    """Step Functions deletes an execution 90 days after its end; a replay may be later."""
    _failed(machine)
    assert machine.notify(machine.replay())
    backend = stepfunctions_backends[ACCOUNT][REGION]
    backend.describe_state_machine(machine.intake.gate.state_machine_arn).executions.clear()
    machine.land(OLD)
    _failed(machine)

    assert machine.watch() == {"stuck": 1, "unannounced": 0, "lost": 0, "missing": 0}

    assert len(machine.alerts()) == 1, "the alerts of the other executions"
