"""Verdict of a state about a file; the state machine branches on its `outcome`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.endings import Outcome
from shared.text import bounded


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why a file does not match its contract, written for its sender."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome, its reason unless it is `ok`, and counts of rows, parts or warnings.

    A long reason is truncated, because it passes through the state machine and the log. `advice` is
    lines of the contract that would accept the file, at most 4 KiB; only the log has it.
    """

    outcome: Outcome
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    advice: str | None = None

    def __post_init__(self) -> None:
        if self.reason is not None:
            object.__setattr__(self, "reason", bounded(self.reason))

    def as_result(self) -> dict[str, Any]:
        """Return the function's answer to the state machine."""
        return {"outcome": str(self.outcome), "reason": self.reason, **self.counts}

    def as_figures(self) -> dict[str, Any]:
        """Return the fields for a log line, without the reason, which may quote the file."""
        return {"outcome": str(self.outcome), **self.counts}
