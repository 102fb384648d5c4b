"""What a state says about the data it saw; the state machine's choices read `outcome`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.endings import Outcome
from shared.text import bounded


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, its reason in words unless it is `ok`, and counts of rows, parts or warnings.

    A long reason is cut: it goes through the state machine and the log to the alert.
    """

    outcome: Outcome
    reason: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reason is not None:
            object.__setattr__(self, "reason", bounded(self.reason))

    def as_result(self) -> dict[str, Any]:
        """Return what the function answers to the state machine."""
        return {"outcome": str(self.outcome), "reason": self.reason, **self.counts}

    def as_figures(self) -> dict[str, Any]:
        """Return what may stand in a log: no reason, for it may quote the file."""
        return {"outcome": str(self.outcome), **self.counts}
