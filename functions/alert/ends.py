"""The end of a run, as EventBridge tells it, and what it means for the log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.endings import ENDINGS, STATUS_OF, Kind, Outcome, State, Status, failure
from shared.errors import InvalidEvent
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.text import bounded
from shared.verdict import Verdict

_CAUSE = 1_500
"""Characters of what Step Functions gives as the cause: room is left for what we say about it."""

_NOT_READY = {
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.EC2ThrottledException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
}
"""Lambda refused the call because it was still preparing the function, as after weeks without one.

https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-lifecycle
"""


@dataclass(frozen=True, slots=True)
class End:
    """How one run of an ingestion ended.

    `status` is Step Functions': SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    """

    ingestion: Ingestion
    run: Run
    status: str
    error: str | None
    cause: str | None
    output: Mapping[str, Any]

    @classmethod
    def from_event(cls, detail: Mapping[str, Any]) -> Self:
        """Take an end out of a "Step Functions Execution Status Change".

        Raises:
            InvalidEvent: a field is missing or of the wrong form.
        """
        try:
            begun_with = json.loads(detail["input"])
            redrive = int(detail.get("redriveCount") or 0)
            return cls(
                ingestion=Ingestion.from_event(begun_with),
                run=Run(detail["executionArn"], redrive, begun_with.get("contracts")),
                status=detail["status"],
                error=detail.get("error"),
                cause=detail.get("cause"),
                output=json.loads(detail.get("output") or "{}"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the status change lacks or garbles {error}; Step Functions and the watch "
                "function send it"
            ) from error

    @property
    def name(self) -> str:
        """What tells this end from any other of the same ingestion."""
        return f"{self.run.name}/{self.status}"

    @property
    def file_at_fault(self) -> bool:
        """Whether the run failed by a verdict on the file."""
        return ENDINGS[self.failure].file_at_fault

    @property
    def failure(self) -> Kind:
        """How it failed, if it did."""
        return failure(self.status, self.error)

    def kind(self, item: Mapping[str, Any]) -> Kind:
        """Return how it ended, by its closed log item: that says more than Step Functions can."""
        match item["status"]:
            case Status.SUPERSEDED:
                return Kind.SUPERSEDED
            case Status.SUCCESS:
                return Kind.LOADED_WITH_REJECTS if item.get("rowsRejected") else Kind.LOADED
        return self.failure

    @property
    def reason(self) -> str:
        """Why it did not succeed, for a person."""
        match self.status:
            case "TIMED_OUT":
                return "the run took longer than the state machine allows"
            case "ABORTED":
                cause = bounded(self.cause or "no cause was given", _CAUSE)
                return f"the run was stopped by hand: {cause}"
        said = f"{self.error}: {bounded(_message(self.cause), _CAUSE)}"
        if self.error in _NOT_READY:
            return f"Lambda could not make the function ready within five minutes ({said})"
        match self.failure:
            case Kind.CRASHED:
                return f"the function died ({said})"
            case Kind.TIMED_OUT:
                return f"the function took longer than it may ({said})"
        return said

    def close(self, log: IngestionLog) -> dict[str, Any]:
        """Close the log item if the functions could not, and return it as this run left it.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        # A run that was started by hand has no item yet.
        log.open(self.ingestion, self.run)
        item = self._item(log)
        if Run.from_item(item) == self.run and item["status"] != Status.RUNNING:
            return item
        if self.status == "SUCCEEDED":
            log.leave(self.ingestion, self.run, State.LOAD, self._load_verdict())
        else:
            log.finish(self.ingestion, self.run, self._state(item), Status.FAIL, {}, self.reason)
        item = self._item(log)
        if Run.from_item(item) == self.run:
            return item
        return self._as_it_was(item)

    def _item(self, log: IngestionLog) -> dict[str, Any]:
        return log.get(self.ingestion.id, self.ingestion.table) or {}

    def _state(self, item: Mapping[str, Any]) -> State:
        """Return the last state that this run has entered."""
        steps = item.get("steps", ())
        entered = [s for s in State if f"{self.run.name}/{s}/{Status.RUNNING}" in steps]
        if entered:
            return entered[-1]
        # A redrive that came to nothing failed where the run had failed before.
        is_current = item["executionArn"] == self.run.execution_arn
        return State(item["state"]) if is_current else State.TRIGGER

    def _as_it_was(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item for a run that was replayed or redriven before its end was heard of."""
        its = ("ingestedID", "ingestedTable", "bucket", "sourceKey", "versionId", "size")
        past = {name: item[name] for name in (*its, "dataDate", "foundBy") if name in item}
        past |= {"executionArn": self.run.execution_arn, "redrive": self.run.redrive}
        if self.status != "SUCCEEDED":
            state, reason = self._state(item), f"{self.reason} (it was run again since)"
            return past | {"state": state, "status": Status.FAIL, "haltReason": reason}
        verdict = self._load_verdict()
        past |= {"state": State.LOAD, "status": STATUS_OF[verdict.outcome]}
        past |= {"haltReason": verdict.reason}
        return {**past, **verdict.counts}

    def _load_verdict(self) -> Verdict:
        load = self.output["load"]
        counts = {name: count for name, count in load.items() if isinstance(count, int)}
        return Verdict(Outcome(load["outcome"]), load["reason"], counts)


def _message(cause: str | None) -> str:
    # Lambda's cause is JSON with a stack trace, of which a person wants the message.
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return cause or "no cause was given"
