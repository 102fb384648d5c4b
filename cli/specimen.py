"""Test files for `tm smoke`, generated from a contract: good rows and one bad row per rule.

A specimen states the expected result of every row without calling the pipeline's code. The tests
compare it with Transform and Test.
"""

import datetime as dt
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cli.errors import CommandError
from cli.values import Flaw, Values
from shared.contract import Contract
from shared.dialect import Dialect
from shared.quality import Required, UniqueRows

SHARE = 20
"""Minimum number of good rows per bad row; `max_rejected_percent` of the contract can raise it.
Less than 5 percent are rejected, so with its default threshold the alarm `reject-rate` stays off.
"""
_MOST = 10_000
"""Maximum number of rows unless the contract demands more. If few rows may be rejected, the file
has fewer bad rows, or none."""
_VARIETY = 7  # number of different texts in a column that may repeat values

Row = list[str]
_Way = tuple[str | None, Flaw]  # a column (None for the row as a whole) and its flaw


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that `rule` of `column` must reject; `column` is None for the row as a whole."""

    line: int
    column: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Specimen:
    """A file and its expected results."""

    content: bytes
    good: int
    """Number of rows that must be loaded."""
    bad: tuple[Bad, ...]
    key: str | None
    """Lookup key of good rows, if the table has a lookup."""
    keyed: int
    """Number of good rows with that key."""
    refused: bytes
    """The same rows under a header that the contract does not allow; if columns are found by
    position, after a line that names another delimiter. As JSON lines, rows of another table."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.good + len(self.bad)


def specimen(contract: Contract, token: str, now: dt.datetime) -> Specimen:
    """Generate a file of a table.

    `token` is unique letters and digits for the lookup key. `now` has a time zone.

    Raises:
        CommandError: a column has no valid value, or too few for the required number of rows; or
            the contract requires a trailer or a manifest.
    """
    footer = contract.dialect.footer
    if contract.manifest is not None or (footer is not None and footer.totals):
        what, option = (
            ("trailer", "") if contract.manifest is None else ("manifest", " --manifest MANIFEST")
        )
        raise CommandError(
            f"The contract of {contract.table} requires a {what}, which cannot be generated: use "
            f"files of its supplier and `tm drop FILE --table {contract.table}{option} --follow`."
        )
    key = None if contract.lookup is None else contract.lookup.key
    columns = [
        Values(column, contract, now, f"tm-smoke-{token}" if column.name == key else None)
        for column in contract.columns
    ]
    flaws: list[_Way] = [(None, Flaw(rule, None)) for rule in _rules_of_rows(contract)]
    flaws += [(column.column.name, flaw) for column in columns for flaw in column.flaws()]
    flaws += [
        (rule.of, Flaw(rule.name, None, frozenset({rule.name}), rule.columns))
        for rule in contract.unique_rows
        if rule.severity == "error"
    ]
    least, most = _bounds(contract)
    most = min(most, max(least, _MOST))
    number = min(max((_share(contract) + 1) * len(flaws), least), most)
    for rule in contract.unique_rows:
        columns = _telling_apart(rule, columns, number, key)
    texts = [_texts(each, number, once=each.column.name == key) for each in columns]
    # A missing value cannot violate `unique`.
    missing = {c.column.name for c, t in zip(columns, texts, strict=True) if c.is_missing(t[0])}
    flaws = [
        (name, flaw)
        for name, flaw in flaws
        if flaw.text is not None or not missing.intersection(flaw.columns or (name,))
    ]
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
    before, body = _before(header, contract), body + _footer(contract)
    refused = _wrong_beginning(header, contract) + body
    if contract.file_format == "jsonLines":
        before, refused = "", json.dumps({"no column": 1})
    first = before.count(_line_end(contract)[-1]) + 1
    keys = [row[header.index(key)] for row in rows[:good]] if key else []
    return Specimen(
        content=(before + body).encode(contract.encoding),
        good=good,
        bad=tuple(Bad(n, name, flaw.rule) for n, (name, flaw) in enumerate(flaws, first + good)),
        key=keys[0] if keys else None,
        keyed=keys.count(keys[0]) if keys else 0,
        refused=refused.encode(contract.encoding),
    )


def _rules_of_rows(contract: Contract) -> list[str]:
    """Return the rules that a row can fail as a whole."""
    match contract.file_format:
        case "csv":
            return ["columnCount", *(["quoting"] if contract.dialect.quote_char else [])]
        case "jsonLines":
            is_unknown_refused = contract.header_policy.unknown == "refuse"
            return ["json", *(["unknownColumn"] if is_unknown_refused else []), "repeatedColumn"]


def _wrong_header(contract: Contract) -> list[str]:
    header = list(contract.header)
    needed = [i for i, column in enumerate(contract.columns) if not column.optional] or [0]
    header[needed[0]] = "no column"
    return header


def _bounds(contract: Contract) -> tuple[int, int]:
    least = max((rule.minimum or 1 for rule in contract.row_counts), default=1)
    greatest = [rule.maximum for rule in contract.row_counts if rule.maximum is not None]
    return least, min(greatest, default=sys.maxsize)


def _telling_apart(
    rule: UniqueRows, columns: list[Values], rows: int, key: str | None
) -> list[Values]:
    """Return the columns, of which one of the rule's now has another value in each row."""

    def suits(values: Values) -> tuple[int, bool]:
        several = sum(1 for _ in itertools.islice(values.good(), rows))
        return several, values.column.name != key  # the rows should have the same key

    best = max((each for each in columns if each.column.name in rule.columns), key=suits)
    return [replace(each, tells_apart=True) if each is best else each for each in columns]


def _texts(values: Values, rows: int, *, once: bool) -> list[str]:
    """Return texts of a column for that many good rows: one per row if unique, else a few."""
    number = rows if values.is_unique else 1 if once else _VARIETY
    found = list(itertools.islice(values.good(), number))
    if found:
        return found
    column, nothing = values.column, values.missing
    if nothing is not None and not any(isinstance(rule, Required) for rule in column.rules):
        return [nothing] * number
    raise CommandError(
        f"No valid value was found for the column {column.name!r} of {values.contract.table}: add "
        "`examples` that satisfy its rules to the contract."
    )


def _fitting(
    contract: Contract, flaws: list[_Way], least: int, most: int
) -> tuple[int, list[_Way]]:
    """Return the number of good rows and the flaws of a file that the pipeline loads."""
    while True:
        flaws = flaws[: min(most // 2, int(most * contract.max_rejected_percent / 100))]
        good = min(max(_share(contract) * len(flaws), least - len(flaws), 1), most - len(flaws))
        rows = good + len(flaws)
        if not least <= rows <= most:
            raise CommandError(
                f"A file of {contract.table} must have at least {least} rows, but a unique column "
                f"has values for only {most}: add more `examples` to the contract."
            )
        failed = Counter((name, rule) for name, flaw in flaws for rule in flaw.breaks)
        halting = {
            (column, rule.name)
            for column, rule in contract.checks
            if rule.threshold and not rule.threshold.is_met(failed[column, rule.name], rows)
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
    """Return a row as a line with one flaw; `first` is the first row of the file."""
    match way:
        case None, Flaw(rule="columnCount"):
            return _line([*row, row[0]], contract)
        case None, Flaw(rule="json"):
            return _line(row, contract).replace("{", "", 1)
        case None, Flaw(rule="unknownColumn" | "repeatedColumn" as rule):
            key = "no column" if rule == "unknownColumn" else contract.header[0]
            more = json.dumps({key: None}, ensure_ascii=False).removesuffix("}")
            return _line(row, contract).replace("{", f"{more}, ", 1)
        case None, _:
            quote = contract.dialect.quote_char
            rest = [contract.dialect.record(row[1:])] if row[1:] else []
            first_cell = f"{quote}text{quote}behind its quote"
            return contract.dialect.delimiter.join([first_cell, *rest]) + _line_end(contract)
    name, flaw = way
    spoilt = dict(zip(contract.header, row, strict=True))
    for each in flaw.columns or (str(name),):
        repeated = first[contract.header.index(each)]
        spoilt[each] = repeated if flaw.text is None else flaw.text
    return _line(spoilt.values(), contract)


def _before(header: Row, contract: Contract) -> str:
    """Return what precedes the rows, with the whole names in the first header row."""
    dialect = contract.dialect
    skipped = _skipped(dialect)
    if not dialect.header:
        return skipped
    first, *further = dialect.header_rows
    if further and len(header) == 1 and dialect.quote_char is None:
        raise CommandError(
            f"A file of {contract.table} cannot be generated: the name of its only column has "
            "several parts, which may be empty, but without a quoteChar an empty one is a blank "
            "line."
        )
    rows = {first: header} | dict.fromkeys(further, [""] * len(header))
    numbers = range(1, dialect.header_rows[-1] + 1)
    return skipped + "".join(_line(rows.get(n, ["title"]), contract) for n in numbers)


def _skipped(dialect: Dialect) -> str:
    return f"skipped{dialect.line_terminator}" * dialect.skip_lines


def _wrong_beginning(header: Row, contract: Contract) -> str:
    dialect = contract.dialect
    if not contract.by_position:
        return _before(_wrong_header(contract), contract)
    other = next(each for each in ",;" if each != dialect.delimiter)
    before = _before(header, contract)
    rest = before.removeprefix(skipped := _skipped(dialect))
    return f"{skipped}sep={other}{dialect.line_terminator}{rest}"


def _footer(contract: Contract) -> str:
    # A footer that a pattern recognizes may be absent.
    dialect = contract.dialect
    lines = dialect.footer.lines if dialect.footer else None
    return f"footer{dialect.line_terminator}" * (lines or 0)


def _line(cells: Iterable[str], contract: Contract) -> str:
    match contract.file_format:
        case "csv":
            return contract.dialect.record(cells) + _line_end(contract)
        case "jsonLines":
            values = {
                column.name: None if text in contract.missing(column) else text
                for column, text in zip(contract.columns, cells, strict=True)
            }
            return json.dumps(values, ensure_ascii=False) + _line_end(contract)


def _line_end(contract: Contract) -> str:
    dialect = contract.dialect
    return dialect.delimiter * dialect.trailing_delimiter + dialect.line_terminator
