"""How an ingestion moves and ends: its states, and each kind of end with all that stands for it.

An end has a status in the log, a name for people, and what tells `alert` of it: the verdict of a
state, an error of the state machine, or a notice where there was no run. `ENDINGS` is the one place
that says which belong together.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The states of an ingestion, in their order."""

    TRIGGER = "trigger"
    TRANSFORM = "transform"
    TEST = "test"
    LOAD = "load"


TASKS = tuple(state for state in State if state is not State.TRIGGER)
"""The states that are tasks of the state machine, which trigger starts."""


class Status(StrEnum):
    """What can be said of an ingestion, or of one step of it."""

    WAITING = "waiting"
    """Logged, and not started yet."""
    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    MISSING = "missing"


UNDER_WAY = frozenset({Status.WAITING, Status.RUNNING})
"""The statuses of what will end by itself."""


class Outcome(StrEnum):
    """How a state can end without anything being broken."""

    OK = "ok"
    REFUSED = "refused"
    """Transform: the file is not the contract's."""
    FAILED_TESTS = "failed_tests"
    """Test: rows failed and hard testing halts on that."""
    ROWS_REFUSED = "rows_refused"
    """Load: PostgreSQL refuses rows; Test rejects them, and Load tries again without them."""
    SUPERSEDED = "superseded"
    """Load: a newer version of the same key is loaded already."""


class Notice(StrEnum):
    """What an event of our own is about, as EventBridge's `detail-type`."""

    REJECTED = "Ingestion Rejected"
    """An object that no contract takes; detail: `ingestedID`, `ingestedTable`."""
    MISSING = "File Missing"
    """A day whose file is not loaded though it should be; detail: `ingestedID`, `ingestedTable`."""
    ENDED = "Ingestion Ended"
    """A run whose end nobody was told of; detail: as Step Functions' own status change."""


class Kind(StrEnum):
    """How an ingestion can end. docs/runbook.md has a section on each, under this name."""

    LOADED = "Loaded"
    LOADED_WITH_REJECTS = "Loaded With Rejects"
    SUPERSEDED = "Superseded"
    """A newer version of the same key was loaded already."""
    REFUSED = "Refused"
    """Transform's verdict: the file is not the contract's."""
    FAILED_TESTS = "Failed Tests"
    """Test's verdict."""
    BROKEN = "Broken"
    """A function raised an error."""
    CRASHED = "Crashed"
    """A function died without one."""
    TIMED_OUT = "Timed Out"
    """A function, a state or the whole run took longer than it may."""
    ABORTED = "Aborted"
    """Somebody stopped the run."""
    REJECTED = "Rejected"
    """The object's key fits no contract, or it has no version, so there was no run."""
    MISSING = "Missing"
    """A day's file was not loaded by the time that its contract promises."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a kind of end shows in the log, in Step Functions and in events.

    Attributes:
        status: of the log item.
        outcome: of the state that ends the run by its verdict.
        errors: with which the state machine fails: its own for a verdict on the file, and Lambda's
            and Step Functions' words for a function that did not answer.
        execution: Step Functions' status of the run, where that alone says it.
        notice: what tells `alert`, where there was no run.
    """

    status: Status
    outcome: Outcome | None = None
    errors: tuple[str, ...] = ()
    execution: str | None = None
    notice: Notice | None = None

    @property
    def is_good(self) -> bool:
        """Whether nobody has to do anything about the file as a whole."""
        return self.status in {Status.SUCCESS, Status.SUPERSEDED}

    @property
    def file_at_fault(self) -> bool:
        """Whether the run failed by a verdict on the file."""
        return self.outcome is not None and not self.is_good


_ENDINGS = {
    Kind.LOADED: Ending(Status.SUCCESS, Outcome.OK),
    Kind.LOADED_WITH_REJECTS: Ending(Status.SUCCESS, Outcome.OK),
    Kind.SUPERSEDED: Ending(Status.SUPERSEDED, Outcome.SUPERSEDED),
    Kind.REFUSED: Ending(Status.FAIL, Outcome.REFUSED, ("Refused",)),
    Kind.FAILED_TESTS: Ending(Status.FAIL, Outcome.FAILED_TESTS, ("FailedTests",)),
    Kind.BROKEN: Ending(Status.FAIL),
    Kind.CRASHED: Ending(
        Status.FAIL, errors=("Lambda.Unknown", "Runtime.ExitError", "Runtime.OutOfMemory")
    ),
    Kind.TIMED_OUT: Ending(
        Status.FAIL, errors=("Sandbox.Timedout", "States.Timeout"), execution="TIMED_OUT"
    ),
    Kind.ABORTED: Ending(Status.FAIL, execution="ABORTED"),
    Kind.REJECTED: Ending(Status.REJECTED, notice=Notice.REJECTED),
    Kind.MISSING: Ending(Status.MISSING, notice=Notice.MISSING),
}
ENDINGS: Mapping[Kind, Ending] = {kind: _ENDINGS[kind] for kind in Kind}
"""All ends; where one is missing, this module cannot be imported. Two share the outcome `ok`: the
log item's `rowsRejected` tells them apart."""

_STATUSES = {ending.outcome: ending.status for ending in ENDINGS.values()}
STATUS_OF: Mapping[Outcome, Status] = {
    outcome: _STATUSES[outcome] for outcome in Outcome if outcome is not Outcome.ROWS_REFUSED
}
"""The status of the log item after a verdict that ends the run: `ok` does so only in Load."""
WITHOUT_RUN: Mapping[Notice, Kind] = {
    ending.notice: kind for kind, ending in ENDINGS.items() if ending.notice is not None
}
"""The ends of what had no run."""


def failure(execution: str, error: str | None) -> Kind:
    """Return how a run failed.

    Args:
        execution: Step Functions' status of it.
        error: the state machine's, if it has one.
    """
    by_execution = (kind for kind, each in ENDINGS.items() if each.execution == execution)
    by_error = (kind for kind, each in ENDINGS.items() if error in each.errors)
    return next(itertools.chain(by_execution, by_error), Kind.BROKEN)
