"""Tests of the gate: concurrency limit and order, also after crashes at any step."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.endings import State, Status
from shared.gate import Gate
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.intake import Admission, Intake
from tests.fixtures.aws import CONTRACTS_HASH, KEY, item_of
from tests.fixtures.messaging import intake_of

MOST = 2


@pytest.fixture
def intake(log: IngestionLog, state_machine: str) -> Intake:
    return intake_of(log, state_machine, MOST)


@pytest.fixture
def gate(intake: Intake) -> Gate:
    return intake.gate


def land(intake: Intake, number: int) -> Admission:
    """Admit version `number` of a key."""
    return intake.admit(Source("landing", KEY, f"v{number}", 10))


def land_first(intake: Intake, count: int) -> None:
    for number in range(count):
        land(intake, number)


def versions(log: IngestionLog, status: Status) -> list[str]:
    """Return the versions with a status, in the order in which they got it."""
    return [str(item["versionId"]) for item in log.with_status(status)]


def running(gate: Gate) -> int:
    found = gate.stepfunctions.list_executions(
        stateMachineArn=gate.state_machine_arn, statusFilter="RUNNING"
    )
    return len(found["executions"])


def run_of(gate: Gate, version: str) -> tuple[Ingestion, Run]:
    [item] = (
        item
        for status in Status
        for item in gate.log.with_status(status)
        if item["versionId"] == version
    )
    return Ingestion.from_item(item), Run.from_item(item)


def end(gate: Gate, version: str) -> Run:
    """End a run as Load does, without a run-end event."""
    ingestion, run = run_of(gate, version)
    gate.log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {})
    gate.stepfunctions.stop_execution(executionArn=run.execution_arn)
    return run


def test_duplicate_event_does_not_let_file_overtake(intake: Intake, gate: Gate) -> None:
    land_first(intake, 4)

    assert land(intake, 3) == Admission.QUEUED

    assert versions(gate.log, Status.QUEUED) == ["v2", "v3"]


def test_arrival_starts_longest_queued_file(intake: Intake, gate: Gate) -> None:
    """The call that handled a run-end event freed the slot, then crashed."""
    land_first(intake, 3)
    gate.close(end(gate, "v0"))

    assert land(intake, 3) == Admission.QUEUED

    assert versions(gate.log, Status.RUNNING) == ["v1", "v2"]


def test_open_starts_known_item_that_index_does_not_have(
    intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IngestionLog, "queued", lambda _: iter(()))

    assert land(intake, 0) == Admission.STARTED


def test_open_ignores_stale_index(
    intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_first(intake, 3)
    stale = list(gate.log.queued())
    gate.close(end(gate, "v0"))
    gate.open()
    gate.close(end(gate, "v2"))
    monkeypatch.setattr(IngestionLog, "queued", lambda _: iter(stale))

    assert gate.open() == []

    assert len(gate.log.slots()) == 1, "v1's"


def crash(monkeypatch: pytest.MonkeyPatch, where: str, call: Callable[[], Any]) -> None:
    """Make a call that crashes at a step."""
    with monkeypatch.context() as broken:
        broken.setattr(where, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            call()


STEPS = [
    "shared.ingestion_log.IngestionLog.slots",
    "shared.ingestion_log.IngestionLog.claim_slot",
    "shared.ingestion_log.IngestionLog.begin",
    "shared.gate.Gate.start",
]


@pytest.mark.parametrize("step", STEPS)
def test_retry_starts_run_after_crash_of_trigger(
    step: str, intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch, step, lambda: land(intake, 0))

    assert land(intake, 0) == Admission.STARTED

    assert running(gate) == len(gate.log.slots()) == 1


@pytest.mark.parametrize("step", STEPS)
def test_retry_starts_next_run_after_crash_of_watch(
    step: str, intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_first(intake, 4)
    over = end(gate, "v0")
    gate.close(over)
    crash(monkeypatch, step, gate.open)

    gate.close(over)
    gate.open()

    assert running(gate) == len(gate.log.slots()) == MOST
    assert versions(gate.log, Status.QUEUED) == ["v3"]


@pytest.mark.parametrize("step", STEPS)
def test_recover_starts_run_after_crash_of_trigger(
    step: str, intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(intake, 0)
    crash(monkeypatch, step, lambda: land(intake, 1))
    # This one gets no slot if the crashed call holds one.
    land(intake, 2)

    gate.recover()
    gate.open()

    assert running(gate) == len(gate.log.slots()) == MOST
    assert "v1" in versions(gate.log, Status.RUNNING)


def test_concurrent_calls_start_run_once(
    intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Gate.start

    def late(self: Gate, ingestion: Ingestion, run: Run) -> bool:
        monkeypatch.setattr(Gate, "start", start)
        assert gate.recover() == 1
        return start(self, ingestion, run)

    monkeypatch.setattr(Gate, "start", late)
    land(intake, 0)

    assert running(gate) == len(gate.log.slots()) == 1


def test_recover_frees_slot_without_log_item(gate: Gate) -> None:
    assert gate.log.claim_slot("20240303-0000000000/dailycheckins/gone", MOST)

    assert gate.recover() == 1
    assert gate.log.slots() == set()


def test_concurrent_opens_use_both_slots(
    intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_first(intake, 5)
    for version in ("v0", "v1"):
        gate.close(end(gate, version))
    begin = IngestionLog.begin

    def late(self: IngestionLog, ingestion: Ingestion, run: Run) -> bool:
        monkeypatch.setattr(IngestionLog, "begin", begin)
        gate.open()  # another call, which begins the same file first
        return begin(self, ingestion, run)

    monkeypatch.setattr(IngestionLog, "begin", late)
    gate.open()

    assert running(gate) == len(gate.log.slots()) == MOST
    assert versions(gate.log, Status.QUEUED) == ["v4"]


@pytest.mark.parametrize("is_over", [True, False])
def test_recover_frees_slot_claimed_after_start(
    is_over: bool, intake: Intake, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_first(intake, 3)
    gate.close(end(gate, "v0"))
    claim = IngestionLog.claim_slot

    def late(self: IngestionLog, name: str, most: int) -> bool:
        monkeypatch.setattr(IngestionLog, "claim_slot", claim)
        gate.open()  # another call starts the run
        if is_over:
            gate.close(end(gate, "v2"))
        else:  # Load writes the outcome before the execution ends
            gate.log.finish(*run_of(gate, "v2"), State.LOAD, Status.SUCCESS, {})
        return claim(self, name, most)

    monkeypatch.setattr(IngestionLog, "claim_slot", late)
    gate.open()
    gate.recover()

    assert len(gate.log.slots()) == running(gate) == (1 if is_over else 2)


def test_lower_limit_keeps_current_runs(intake: Intake, gate: Gate) -> None:
    land_first(intake, 4)
    lower = Gate(gate.log, gate.stepfunctions, gate.state_machine_arn, 1, CONTRACTS_HASH)

    lower.close(end(gate, "v0"))
    assert lower.open() == []
    lower.close(end(gate, "v1"))
    assert len(lower.open()) == 1


def test_replay_waits_behind_queued_files(intake: Intake, gate: Gate) -> None:
    land(intake, 0)
    ingestion, _ = run_of(gate, "v0")
    gate.close(end(gate, "v0"))
    for number in (1, 2, 3):
        land(intake, number)

    run = intake.replay(item_of(gate.log, ingestion))

    assert isinstance(run, Run)
    assert versions(gate.log, Status.QUEUED) == ["v3", "v0"]
    for version in ("v1", "v2"):
        gate.close(end(gate, version))
    assert len(gate.open()) == 2
    assert gate.status(run) == "RUNNING"


def test_replay_of_queued_file_keeps_its_run(intake: Intake, gate: Gate) -> None:
    land_first(intake, 3)
    _, waiting = run_of(gate, "v2")
    [item] = gate.log.queued()

    assert intake.replay(item) == waiting

    assert versions(gate.log, Status.QUEUED) == ["v2"]


def test_close_frees_slot_of_lost_run_end_event(intake: Intake, gate: Gate) -> None:
    land_first(intake, 5)
    end(gate, "v0")

    gate.close(end(gate, "v1"))

    assert [each.source.version_id for each in gate.open()] == ["v2", "v3"]


def test_close_keeps_slot_until_execution_ends(intake: Intake, gate: Gate) -> None:
    """Load logs the outcome before the execution ends, and is retried if it then crashes."""
    land_first(intake, 3)
    ingestion, run = run_of(gate, "v0")
    gate.log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {})

    gate.close(Run(f"{run.execution_arn}-another"))

    assert gate.open() == []
    assert running(gate) == MOST
