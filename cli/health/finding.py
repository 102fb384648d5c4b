"""Findings of the checks of `tm doctor`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cli.stack import Stack


class Verdict(StrEnum):
    """The state of a part of the stack."""

    OK = "ok"
    WARNING = "warning"
    """The part works, but needs attention."""
    UNKNOWN = "unknown"
    """The part cannot be checked from here."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check: what was found and, unless it is ok, what to do."""

    verdict: Verdict
    what: str
    todo: str | None = None


Check = Callable[[Stack], Iterable[Finding]]


def ok(what: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(Verdict.OK, what)


def warning(what: str, todo: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(Verdict.WARNING, what, todo)


def unknown(what: str, todo: str) -> Finding:
    """Return a finding for something that cannot be checked from here."""
    return Finding(Verdict.UNKNOWN, what, todo)


def wrong(what: str, todo: str) -> Finding:
    """Return a finding for a problem."""
    return Finding(Verdict.WRONG, what, todo)


def one_or_all(wrong: list[Finding], well: str) -> list[Finding]:
    """Return the problems or, if there are none, one finding with the text `well`."""
    return wrong or [ok(well)]
