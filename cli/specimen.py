"""A file for `tm smoke`, made of a contract alone: good rows, and a bad one for each way to fail.

It says of every row what must become of it, and asks no function: the tests hold it against them.
"""

import csv
import datetime as dt
import io
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cli.errors import CommandError
from cli.values import Flaw, Values
from shared.contract import Contract, Required

SHARE = 20
"""Good rows for each bad one, unless the contract's `max_rejected_percent` asks for more: less than
5 percent are rejected, so the alarm `reject-rate` stays off unless `reject_rate_percent` is below
its default."""
_MOST = 10_000
"""Rows, unless the contract asks for more: where few may be rejected, fewer ways to fail are tried,
and none where none may."""
_VARIETY = 7
"""How many texts take turns in a column that may repeat them."""

Row = list[str]
_Way = tuple[str | None, Flaw]
"""A column, None for the row as a whole, and how it fails."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that must be rejected: by `rule` of `column`, which is None for the row as a whole."""

    line: int
    column: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Specimen:
    """What lands, and what must become of it."""

    content: bytes
    good: int
    """How many rows must be loaded."""
    bad: tuple[Bad, ...]
    key: str | None
    """What the look-up finds the good rows by, if the table has a look-up."""
    keyed: int
    """How many of them it finds so."""
    refused: bytes
    """The same rows under a header that lacks the first column."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.good + len(self.bad)


def specimen(contract: Contract, token: str, now: dt.datetime) -> Specimen:
    """Return a file of a table.

    Args:
        contract: the table's.
        token: letters and digits that nobody else uses, for the look-up's key.
        now: when the future begins, with a time zone.

    Raises:
        CommandError: there is no value for a column, or too few rows for the contract.
    """
    key = None if contract.lookup is None else contract.lookup.key
    columns = [
        Values(column, contract, now, f"tm-smoke-{token}" if column.name == key else None)
        for column in contract.columns
    ]
    flaws: list[_Way] = [(None, Flaw(rule, None)) for rule in ("columnCount", "quoting")]
    flaws += [(column.column.name, flaw) for column in columns for flaw in column.flaws()]
    least, most = _bounds(contract)
    most = min(most, max(least, _MOST))
    texts = [
        _texts(
            each,
            min(max((_share(contract) + 1) * len(flaws), least), most),
            once=each.column.name == key,
        )
        for each in columns
    ]
    # Nothing repeats what is missing.
    missing = {c.column.name for c, t in zip(columns, texts, strict=True) if c.is_missing(t[0])}
    flaws = [(name, flaw) for name, flaw in flaws if name not in missing or flaw.text is not None]
    room = [len(each) for each, column in zip(texts, columns, strict=True) if column.is_unique]
    good, flaws = _fitting(contract, flaws, least, min([most, *room]))
    rows = [[each[n % len(each)] for each in texts] for n in range(good + len(flaws))]
    header = list(contract.header)
    body = "".join(
        [_line(row, contract) for row in rows[:good]]
        + [
            _spoilt(row, way, contract, rows[0])
            for row, way in zip(rows[good:], flaws, strict=True)
        ]
    )
    keys = [row[header.index(key)] for row in rows[:good]] if key else []
    return Specimen(
        content=(_line(header, contract) + body).encode(contract.encoding),
        good=good,
        bad=tuple(Bad(n, name, flaw.rule) for n, (name, flaw) in enumerate(flaws, 2 + good)),
        key=keys[0] if keys else None,
        keyed=keys.count(keys[0]) if keys else 0,
        refused=(_line(["no column", *header[1:]], contract) + body).encode(contract.encoding),
    )


def _bounds(contract: Contract) -> tuple[int, int]:
    """Return how many rows a file must have, and may have."""
    least = max((rule.minimum or 1 for rule in contract.row_counts), default=1)
    greatest = [rule.maximum for rule in contract.row_counts if rule.maximum is not None]
    return least, min(greatest, default=sys.maxsize)


def _texts(values: Values, rows: int, *, once: bool) -> list[str]:
    """Return the texts of a column for so many good rows: those that take turns, or one a row."""
    number = rows if values.is_unique else 1 if once else _VARIETY
    found = list(itertools.islice(values.good(), number))
    if found:
        return found
    column, nothing = values.column, values.contract.null_tokens
    if nothing and not any(isinstance(rule, Required) for rule in column.rules):
        return [nothing[0]] * number
    raise CommandError(
        f"No value is found for the column {column.name!r} of {values.contract.table}: give it "
        "`examples` in the contract that fulfil its rules."
    )


def _fitting(
    contract: Contract, flaws: list[_Way], least: int, most: int
) -> tuple[int, list[_Way]]:
    """Return how many good rows to take, and which flaws, so that the file as a whole is loaded."""
    while True:
        flaws = flaws[: min(most // 2, int(most * contract.max_rejected_percent / 100))]
        good = min(max(_share(contract) * len(flaws), least - len(flaws), 1), most - len(flaws))
        rows = good + len(flaws)
        if not least <= rows <= most:
            raise CommandError(
                f"A file of {contract.table} must have {least} rows or more, and a column whose "
                f"values must not repeat has values for {most}: give it more `examples`."
            )
        failed = Counter((name, rule) for name, flaw in flaws for rule in flaw.breaks)
        halting = {
            (column.name, rule.name)
            for column in contract.columns
            for rule in column.rules
            if rule.threshold and not rule.threshold.is_kept(failed[column.name, rule.name], rows)
        }
        kept = [(name, flaw) for name, flaw in flaws if not _breaks(name, flaw) & halting]
        if len(kept) == len(flaws):
            return good, flaws
        flaws = kept


def _share(contract: Contract) -> int:
    limit = contract.max_rejected_percent
    return max(SHARE, math.ceil(100 / limit)) if limit else 0


def _breaks(name: str | None, flaw: Flaw) -> set[tuple[str | None, str]]:
    return {(name, rule) for rule in flaw.breaks}


def _spoilt(row: Row, way: _Way, contract: Contract, first: Row) -> str:
    """Return a row as a line that fails in one way; `first` is the first row of the file."""
    match way:
        case None, Flaw(rule="columnCount"):
            return _line([*row, row[0]], contract)
        case None, _:
            rest = contract.delimiter + _line(row[1:], contract) if row[1:] else "\r\n"
            return f'"text"behind its quote{rest}'
    name, flaw = way
    place = contract.header.index(str(name))
    text = first[place] if flaw.text is None else flaw.text
    return _line([*row[:place], text, *row[place + 1 :]], contract)


def _line(cells: Iterable[str], contract: Contract) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=contract.delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue()
