"""Control totals: what a trailer or a manifest says of a file, compared with what the file has."""

import decimal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from shared import regex
from shared.text import listed, quoted

SIZE, ROWS = "size", "rows"
SUM = "sum_"
"""Before the physical name of a column: its sum."""
BEFORE_MARK, AFTER_MARK = 38, 30
"""Maximum digits before and after the decimal mark of a number that is summed exactly."""
_EXACT = decimal.Context(prec=200, traps=[decimal.Inexact])

Total = int | str | Decimal
"""A number of bytes or rows, a hash in lower case, or a sum."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a source says of a file: texts, or numbers of JSON, by the names of the totals.

    `source` is e.g. "the trailer", for messages.
    """

    source: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a source says of a file: totals by their names."""

    source: str
    totals: Mapping[str, Total]


@dataclass(frozen=True, slots=True)
class Sum:
    """The exact sum of a column, and the number of rows in which it has no readable number."""

    total: Decimal = Decimal(0)
    unreadable: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        """Return the sum of both parts of a column."""
        total = _EXACT.add(self.total, other.total)
        return Sum(total, self.unreadable + other.unreadable)


def group_problems(pattern: str, fields: Iterable[str], summed: Iterable[str]) -> Iterator[str]:
    """Yield which named groups of a pattern are neither one of `fields` nor a sum.

    `summed` are the physical names of the columns that have a sum.
    """
    known = [*fields, *(f"{SUM}{name}" for name in summed)]
    for name in regex.groups(pattern):
        if name not in known:
            yield (
                f"has the group {quoted(name)}, but only {listed(known)} are known (sums are of "
                "columns of the types integer and number): correct the group's name"
            )


def differences(claim: Claim, found: Mapping[str, int | str | Sum]) -> Iterator[str]:
    """Yield in which of the totals that were `found` a claim differs from the file."""
    for name, total in claim.totals.items():
        match found.get(name):
            case None:
                continue
            case Sum(value, unreadable):
                note = f" ({_counted(unreadable, 'row')} without a number)" if unreadable else ""
            case value:
                note = ""
        if value != total:
            says = f"{claim.source} says {_named(name, total)}"
            yield f"{says}, but the file has {_plain(value)}{note}"


def _named(name: str, total: Total) -> str:
    match name, total:
        case "rows", int():
            return _counted(total, "row")
        case "size", int():
            return _counted(total, "byte")
        case "md5" | "sha256", _:
            return f"the {name.upper()} {total}"
        case _:
            return f"a sum of {_plain(total)} for {name.removeprefix(SUM)}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def _plain(total: Total) -> str:
    match total:
        case int():
            return f"{total:,}"
        case str():
            return total
        case Decimal():
            return f"{_EXACT.normalize(total):f}"
