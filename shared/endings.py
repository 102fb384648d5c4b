"""States and outcomes of an ingestion.

`ENDINGS` maps each kind of outcome to its status in the log and to what reports it to `alert`: the
verdict of a state, an error of the state machine, or a notice if there was no run.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The states of an ingestion, in order."""

    TRIGGER = "trigger"
    TRANSFORM = "transform"
    TEST = "test"
    LOAD = "load"


TASKS = tuple(state for state in State if state is not State.TRIGGER)
"""The states that are tasks of the state machine."""


class Status(StrEnum):
    """The status of an ingestion, or of one of its steps."""

    WAITING = "waiting"
    """Logged, but its manifest has not landed."""
    QUEUED = "queued"
    """Logged, and not started yet, because all slots are taken."""
    RUNNING = "running"
    SUCCESS = "success"
    FAIL = "fail"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    MISSING = "missing"


UNDER_WAY = frozenset({Status.QUEUED, Status.RUNNING})
"""The statuses of ingestions that end without another file."""
PENDING = UNDER_WAY | {Status.WAITING}
"""The statuses of ingestions that have not ended."""


class Outcome(StrEnum):
    """The verdict of a state that ended without an error."""

    OK = "ok"
    REFUSED = "refused"
    """Transform: the file does not match the contract."""
    FAILED_TESTS = "failed_tests"
    """Test: rows were rejected, and hard testing halts the run."""
    ROWS_REFUSED = "rows_refused"
    """Load: PostgreSQL refuses rows; Test rejects them and Load retries without them."""
    SUPERSEDED = "superseded"
    """Load: a newer version of the same key is already loaded."""


class Notice(StrEnum):
    """The `detail-type` of the pipeline's own EventBridge events."""

    REJECTED = "Ingestion Rejected"
    """An object matches no contract; detail: `ingestedID`, `ingestedTable`."""
    MISSING = "File Missing"
    """The file of a day was not loaded in time, or its manifest did not land in time; detail:
    `ingestedID`, `ingestedTable`."""
    ENDED = "Ingestion Ended"
    """A run whose end event was lost; detail: as in Step Functions' status change event."""


class Kind(StrEnum):
    """The outcomes of an ingestion; docs/runbook.md has a section with the name of each."""

    LOADED = "Loaded"
    LOADED_WITH_REJECTS = "Loaded With Rejects"
    SUPERSEDED = "Superseded"
    REFUSED = "Refused"
    FAILED_TESTS = "Failed Tests"
    """These three are verdicts: see `Outcome`."""
    BROKEN = "Broken"
    """A function raised an error."""
    CRASHED = "Crashed"
    """A function ended without an error, e.g. out of memory."""
    TIMED_OUT = "Timed Out"
    """A function, a state or the whole run exceeded its timeout."""
    ABORTED = "Aborted"
    """The run was stopped."""
    REJECTED = "Rejected"
    """The key matches no contract, or the object has no version; there was no run."""
    MISSING = "Missing"
    """The file of a day was not loaded by the time that its contract promises, or the manifest of a
    file did not land in time."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a kind of outcome appears in the log, in Step Functions and in events.

    Attributes:
        status: status of the log item.
        outcome: verdict of the state that ended the run.
        errors: error names of the execution: the state machine's own for a verdict on the file,
            Lambda's and Step Functions' for a function that did not answer.
        execution: status of the execution, if it identifies the kind.
        notice: notice to `alert`, if there was no run.
    """

    status: Status
    outcome: Outcome | None = None
    errors: tuple[str, ...] = ()
    execution: str | None = None
    notice: Notice | None = None

    @property
    def is_good(self) -> bool:
        """Whether the file as a whole needs no action."""
        return self.status in {Status.SUCCESS, Status.SUPERSEDED}

    @property
    def file_at_fault(self) -> bool:
        """Whether the run failed because of the file, i.e. by a verdict."""
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
"""All outcomes; a missing one fails the import of this module. `rowsRejected` of the log item
distinguishes the two with the verdict `ok`."""

_STATUSES = {ending.outcome: ending.status for ending in ENDINGS.values()}
STATUS_OF: Mapping[Outcome, Status] = {
    outcome: _STATUSES[outcome] for outcome in Outcome if outcome is not Outcome.ROWS_REFUSED
}
"""The status of the log item after a verdict that ends the run; `ok` ends it only in Load."""
WITHOUT_RUN: Mapping[Notice, Kind] = {
    ending.notice: kind for kind, ending in ENDINGS.items() if ending.notice is not None
}
"""The outcomes without a run."""


def failure(execution: str, error: str | None) -> Kind:
    """Return the outcome of a failed run from the status and error name of its execution."""
    by_execution = (kind for kind, each in ENDINGS.items() if each.execution == execution)
    by_error = (kind for kind, each in ENDINGS.items() if error in each.errors)
    return next(itertools.chain(by_execution, by_error), Kind.BROKEN)
