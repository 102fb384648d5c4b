"""Run-end events of EventBridge, and how they close the log."""

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

_MAX_CAUSE = 1_500  # characters of Step Functions' cause in a reason, which adds words of its own

_NOT_READY = {
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.EC2ThrottledException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
}
"""Errors of a call while Lambda still prepares the function, e.g. after weeks without a call.

https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-lifecycle
"""


@dataclass(frozen=True, slots=True)
class End:
    """A run-end event.

    `status` is that of the execution: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    """

    ingestion: Ingestion
    run: Run
    status: str
    error: str | None
    cause: str | None
    output: Mapping[str, Any]

    @classmethod
    def from_event(cls, detail: Mapping[str, Any]) -> Self:
        """Parse the detail of an execution status change; raise InvalidEvent if it is invalid."""
        try:
            task_input = json.loads(detail["input"])
            redrive = int(detail.get("redriveCount") or 0)
            return cls(
                ingestion=Ingestion.from_event(task_input),
                run=Run(detail["executionArn"], redrive, task_input.get("contracts")),
                status=detail["status"],
                error=detail.get("error"),
                cause=detail.get("cause"),
                output=json.loads(detail.get("output") or "{}"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the run-end event has a missing or invalid field ({error}); invoke alert only "
                "with events of Step Functions or watch"
            ) from error

    @property
    def name(self) -> str:
        """A name for this event, unique within the ingestion."""
        return f"{self.run.name}/{self.status}"

    @property
    def file_at_fault(self) -> bool:
        """Whether the run failed because of the file."""
        return ENDINGS[self.failure].file_at_fault

    @property
    def failure(self) -> Kind:
        """The outcome, if the run failed."""
        return failure(self.status, self.error)

    def kind(self, item: Mapping[str, Any]) -> Kind:
        """Return the outcome; only the closed log item shows superseded files and rejected rows."""
        match item["status"]:
            case Status.SUPERSEDED:
                return Kind.SUPERSEDED
            case Status.SUCCESS:
                return Kind.LOADED_WITH_REJECTS if item.get("rowsRejected") else Kind.LOADED
        return self.failure

    @property
    def reason(self) -> str:
        """Why the run failed, in words for people."""
        match self.status:
            case "TIMED_OUT":
                return "the run exceeded the timeout of the state machine"
            case "ABORTED":
                cause = bounded(self.cause or "no cause given", _MAX_CAUSE)
                return f"an operator stopped the run: {cause}"
        answer = f"{self.error}: {bounded(_message(self.cause), _MAX_CAUSE)}"
        if self.error in _NOT_READY:
            return f"Lambda did not prepare the function within five minutes ({answer})"
        match self.failure:
            case Kind.CRASHED:
                return f"the function crashed ({answer})"
            case Kind.TIMED_OUT:
                return f"the function exceeded its timeout ({answer})"
        return answer

    def close(self, log: IngestionLog) -> dict[str, Any]:
        """Close the log item if the functions did not, and return the item as of this run's end."""
        # A run that an operator started has no item yet.
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
        return self._before_replay(item)

    def _item(self, log: IngestionLog) -> dict[str, Any]:
        return log.get(self.ingestion.id, self.ingestion.table) or {}

    def _state(self, item: Mapping[str, Any]) -> State:
        """Return the last state that this run entered."""
        steps = item.get("steps", ())
        entered = [s for s in State if f"{self.run.name}/{s}/{Status.RUNNING}" in steps]
        if entered:
            return entered[-1]
        # A redrive that entered no state failed in the state where the run failed before.
        is_current = item["executionArn"] == self.run.execution_arn
        return State(item["state"]) if is_current else State.TRIGGER

    def _before_replay(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item as of this run's end; a replay or redrive has changed it since."""
        kept = ("ingestedID", "ingestedTable", "bucket", "sourceKey", "versionId", "size")
        past = {name: item[name] for name in (*kept, "dataDate", "foundBy") if name in item}
        past |= {"executionArn": self.run.execution_arn, "redrive": self.run.redrive}
        if self.status != "SUCCEEDED":
            reason = f"{self.reason} (the ingestion has been run again since)"
            past |= {"state": self._state(item), "status": Status.FAIL, "haltReason": reason}
            return past
        verdict = self._load_verdict()
        past |= {"state": State.LOAD, "status": STATUS_OF[verdict.outcome]}
        past |= {"haltReason": verdict.reason}
        return {**past, **verdict.counts}

    def _load_verdict(self) -> Verdict:
        load = self.output["load"]
        counts = {name: count for name, count in load.items() if isinstance(count, int)}
        return Verdict(Outcome(load["outcome"]), load["reason"], counts)


def _message(cause: str | None) -> str:
    # Lambda's cause is JSON with a stack trace. People need only the message.
    try:
        return str(json.loads(cause or "")["errorMessage"])
    except (KeyError, TypeError, ValueError):
        return cause or "no cause given"
