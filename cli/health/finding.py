"""What a look at a part of the stack has found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cli.stack import Stack


class Verdict(StrEnum):
    """How it is with a part of the stack."""

    OK = "ok"
    WARNING = "warning"
    """It works; somebody should know all the same."""
    UNKNOWN = "unknown"
    """It cannot be seen from here."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is and, unless all is well, what to do."""

    verdict: Verdict
    what: str
    todo: str | None = None


Check = Callable[[Stack], Iterable[Finding]]


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, what)


def warning(what: str, todo: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(Verdict.WARNING, what, todo)


def unknown(what: str, todo: str) -> Finding:
    """It cannot be seen from here."""
    return Finding(Verdict.UNKNOWN, what, todo)


def wrong(what: str, todo: str) -> Finding:
    """Something is broken."""
    return Finding(Verdict.WRONG, what, todo)


def one_or_all(wrong: list[Finding], well: str) -> list[Finding]:
    """Return what is wrong or, if nothing is, one line that says so."""
    return wrong or [ok(well)]
