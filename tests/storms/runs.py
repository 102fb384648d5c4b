"""Calls and runs of a storm, and the events of their ends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions.alert.ends import End
from shared.endings import Notice, State
from shared.ingestion import Ingestion, Run
from tests.storms.model import Landed

_EVENT = Path(__file__).parents[1] / "events" / "execution_failed.json"
_END = json.loads(_EVENT.read_text("utf-8"))


@dataclass(eq=False)
class Broke(Exception):
    """A function failed; `name` is Lambda's name of the error."""

    name: str
    cause: str


@dataclass(eq=False)
class Halted(Exception):
    """A run ended without success."""

    status: str
    error: str | None
    cause: str | None


@dataclass(eq=False)
class Call:
    """One call of a function."""

    function: str
    end: str | None
    """The run-end that `alert` is called for."""
    patience: float
    dead: bool = False
    sent: bool = False
    """Whether alert has published its message."""
    marked: bool = False
    """Whether alert has marked the message as sent."""


@dataclass(eq=False)
class Execution:
    """A run, which the storm executes in place of Step Functions."""

    arn: str
    landed: Landed
    input: str
    redrive: int = 0
    state: State = State.TRANSFORM
    """The current state, or the failed one, where a redrive would begin."""
    status: str = "RUNNING"
    verdict: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    cause: str | None = None

    @property
    def manifest(self) -> str | None:
        """The version of the manifest that it verifies."""
        source = Ingestion.from_event(json.loads(self.input)).manifest
        return None if source is None else source.version_id

    @property
    def run(self) -> Run:
        return Run(self.arn, self.redrive)

    @property
    def end(self) -> str:
        """The name of its last end."""
        return f"{self.run.name}/{self.status}"


def left_to_do(found: Mapping[str, int]) -> list[int]:
    """Return the counts of watch's findings, and whether its sweep is unfinished, as numbers."""
    names = ("stuck", "unannounced", "lost", "missing", "recovered", "started", "vouched")
    work = [found[name] for name in names]
    return [*work, not found["sweepFinished"]]


def failed(error: str, message: str) -> Halted:
    return Halted("FAILED", error, json.dumps({"errorMessage": message, "errorType": error}))


def is_logged(run: Execution | None, items: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the log has a step of a run, so watch can find it."""
    if run is None or not run.redrive:
        return True
    steps = items[run.landed.ingestion.id].get("steps", ())
    return any(step.startswith(f"{run.run.name}/") for step in steps)


def output_of(run: Execution) -> str | None:
    return json.dumps({"load": run.verdict}) if run.status == "SUCCEEDED" else None


def status_change(run: Execution) -> dict[str, Any]:
    """Return the run-end event of EventBridge."""
    detail = _END["detail"] | {
        "executionArn": run.arn,
        "name": run.run.execution_name,
        "status": run.status,
        "input": run.input,
        "output": output_of(run),
        "error": run.error,
        "cause": run.cause,
        "redriveCount": run.redrive,
    }
    return {**_END, "resources": [run.arn], "detail": detail}


def end_of(event: Mapping[str, Any]) -> str:
    """Return the name of the end that an event is about."""
    if event["detail-type"] == Notice.REJECTED:
        return str(event["detail"]["ingestedID"])
    return End.from_event(event["detail"]).name


def text_of(body: Any) -> str:
    return body.decode() if isinstance(body, bytes) else str(body)
