"""Reference implementation of Transform and Test, with the standard library only.

It is slow and reads whole files into memory. It shares only the models of contracts with the
functions, so that any difference between the two is an error in one of them.
"""

import csv
import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

from shared.contract import (
    Allowed,
    AnyRule,
    Column,
    Contract,
    Format,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Unique,
)

LONGEST_LINE = 16 * 1024 * 1024
_INTEGER_LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}

Failure = tuple[int, str | None, str, str]
"""Line, column (None for the whole row), rule and severity."""


class _Refused(Exception):
    """The file does not match its contract."""


class _InvalidValue(Exception):
    """The text is not a value of the column's type."""


@dataclass
class Reading:
    """Expected result for a file, with rows by the physical line on which they begin."""

    refused: str | None = None
    clean: dict[int, dict[str, Any]] = field(default_factory=dict)
    raw: dict[int, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    halted: bool = False

    @property
    def rejected(self) -> set[int]:
        """The lines of rows that are not loaded."""
        return {line for line, _, _, severity in self.failures if severity == "error"}

    @property
    def loaded(self) -> dict[int, dict[str, Any]]:
        """The values of the loaded rows by line."""
        return {line: row for line, row in self.clean.items() if line not in self.rejected}

    @property
    def repeats(self) -> int:
        """The number of clean rows that are equal to an earlier one."""
        return len(self.clean) - len({tuple(row.values()) for row in self.clean.values()})


def read(body: bytes, contract: Contract, now: dt.datetime) -> Reading:
    """Read a whole file; dates after `now` are in the future."""
    reading = Reading()
    try:
        _read(body, contract, now, reading)
    except _Refused as refusal:
        return Reading(refused=str(refusal))
    return reading


def _read(body: bytes, contract: Contract, now: dt.datetime, reading: Reading) -> None:
    lines = _lines(body, contract.encoding)
    header = _header(lines[0], contract)
    for number, row in _rows(lines, contract.delimiter, reading):
        if len(row) != len(header):
            reading.failures.append((number, None, "columnCount", "error"))
            continue
        texts = dict(zip(header, row, strict=True))
        values: dict[str, Any] = {}
        for column in contract.columns:
            try:
                values[column.name] = _value(texts[column.name], column, contract)
            except _InvalidValue:
                reading.failures.append((number, column.name, column.logical_type, "error"))
        if len(values) == len(contract.columns):
            reading.clean[number] = values
    if not reading.raw:
        raise _Refused("no row")
    for column in contract.columns:
        for rule in column.rules:
            _judge(column, rule, contract, now, reading)
    reading.failures.sort(key=lambda failure: failure[0])
    reading.halted = not _is_kept(contract, reading)


def _lines(body: bytes, encoding: str) -> list[str]:
    if not body:
        raise _Refused("empty")
    if encoding == "utf-16" and body[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise _Refused("no byte order mark")
    try:
        text = body.decode(encoding)
    except UnicodeError as error:
        raise _Refused("encoding") from error
    text = text.removeprefix("\ufeff")
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    if not lines[-1]:
        lines.pop()
    if any(len(line.removesuffix("\n").encode()) > LONGEST_LINE for line in lines):
        raise _Refused("line too long")
    return lines or [""]


def _header(line: str, contract: Contract) -> list[str]:
    try:
        header = next(csv.reader([line], delimiter=contract.delimiter, strict=True), [])
    except csv.Error as error:
        raise _Refused("header") from error
    known = [name for name in header if name in contract.header]
    if sorted(known) != sorted(contract.header):
        raise _Refused("missing or repeated columns")
    if contract.header_policy.unknown == "refuse" and known != header:
        raise _Refused("unknown columns")
    if contract.header_policy.order == "contract" and known != list(contract.header):
        raise _Refused("order of columns")
    return header


def _rows(lines: list[str], delimiter: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line; an invalid row is one line."""
    i = 1
    while i < len(lines):
        reader = csv.reader(lines[i:], delimiter=delimiter, strict=True)
        try:
            row = next(reader)
            taken = reader.line_num
        except csv.Error:
            row, taken = ["?"], 1
            reading.failures.append((i + 1, None, "quoting", "error"))
        if row:
            raw = "".join(lines[i : i + taken])
            reading.raw[i + 1] = raw.removesuffix("\n").removesuffix("\r")
        if row and (i + 1, None, "quoting", "error") not in reading.failures:
            yield i + 1, row
        i += taken


def _value(text: str, column: Column, contract: Contract) -> Any:
    if text in contract.null_tokens:
        return None
    match column.logical_type:
        case "string":
            if "\0" in text:
                raise _InvalidValue
            return text
        case "integer":
            return _integer(text, column)
        case "number":
            return _number(text, column, contract.decimal_mark)
        case "boolean":
            if text not in column.true_tokens + column.false_tokens:
                raise _InvalidValue
            return text in column.true_tokens
        case "date" | "timestamp":
            return _moment(text, column)


def _integer(text: str, column: Column) -> int:
    if not re.fullmatch("[+-]?[0-9]{1,38}", text):
        raise _InvalidValue
    limit = _INTEGER_LIMITS[column.physical_type]
    if not -limit <= int(text) < limit:
        raise _InvalidValue
    return int(text)


def _number(text: str, column: Column, mark: str) -> Decimal:
    sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    parts = digits.split(mark)
    if len(parts) > 2 or not all(re.fullmatch("[0-9]{1,38}", part) for part in parts):
        raise _InvalidValue
    precision, scale = column.limits.precision, column.limits.scale
    with localcontext(prec=100):
        exact = Decimal(sign + ".".join(parts))
        rounded = exact.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
        if abs(rounded) >= 10 ** (precision - scale):
            raise _InvalidValue
    return rounded


def _moment(text: str, column: Column) -> dt.date | dt.datetime:
    found = set()
    for each in column.formats:
        for parts in _matches(each.pattern, text, each.locale):
            try:
                found.add(_real(parts, column, each))
            except (ValueError, OverflowError):  # not a date, or outside the calendar in UTC
                continue
    if len(found) != 1:
        raise _InvalidValue
    return found.pop()


def _real(parts: dict[str, str], column: Column, form: Format) -> dt.date | dt.datetime:
    month = parts.get("MMMM", "")
    number = MONTHS[form.locale].split().index(month) + 1 if month else int(parts["M"])
    date = dt.date(int(parts["y"]), number, int(parts["d"]))
    if column.logical_type == "date":
        return date
    hour = int(parts.get("H", 0))
    if "h" in parts:
        if not 1 <= int(parts["h"]) <= 12:
            raise ValueError("no such hour")
        hour = int(parts["h"]) % 12 + (12 if parts["a"] == "PM" else 0)
    time = dt.time(
        hour,
        int(parts.get("m", 0)),
        int(parts.get("s", 0)),
        int(parts.get("S", "0").ljust(6, "0")),
        tzinfo=ZoneInfo(form.timezone or column.timezone),
    )
    early = dt.datetime.combine(date, time).astimezone(dt.UTC)
    late = dt.datetime.combine(date, time.replace(fold=1)).astimezone(dt.UTC)
    if early != late:
        raise ValueError("a clock change skips or repeats this hour")
    return early


def _matches(pattern: str, text: str, locale: str) -> Iterator[dict[str, str]]:
    """Yield the texts of a Java pattern's letters, for every way to match the whole text."""
    if not pattern:
        if not text:
            yield {}
        return
    if pattern[0] == "[":
        inner, rest = pattern[1:].split("]", 1)
        yield from _matches(inner + rest, text, locale)
        yield from _matches(rest, text, locale)
        return
    if pattern[0] == "'":
        literal, rest = pattern[1:].split("'", 1)
        if text.startswith(literal):
            yield from _matches(rest, text.removeprefix(literal), locale)
        return
    letter = pattern[0]
    if not letter.isalpha():
        if text[:1] == letter:
            yield from _matches(pattern[1:], text[1:], locale)
        return
    rest = pattern.lstrip(letter)
    run = pattern.removesuffix(rest)
    for taken in _prefixes(run, text, locale):
        for others in _matches(rest, text.removeprefix(taken), locale):
            yield {"MMMM" if run == "MMMM" else letter: taken} | others


def _prefixes(run: str, text: str, locale: str) -> Iterator[str]:
    """Yield the prefixes of the text that a run of one letter matches."""
    if run in ("a", "MMMM"):
        words = ("AM", "PM") if run == "a" else MONTHS[locale].split()
        yield from (word for word in words if text.startswith(word))
        return
    lengths = (1, 2) if len(run) == 1 else (len(run),)
    for length in lengths:
        digits = text[:length]
        if len(digits) == length and all(digit in "0123456789" for digit in digits):
            yield digits


def _judge(
    column: Column, rule: AnyRule, contract: Contract, now: dt.datetime, reading: Reading
) -> None:
    earlier = set()
    for line, row in sorted(reading.clean.items()):
        value = row[column.name]
        if isinstance(rule, Required):
            kept = value is not None
        elif value is None:
            kept = True
        elif isinstance(rule, Unique):
            kept = value not in earlier
            earlier.add(value)
        else:
            kept = _fulfils(value, rule, contract, now)
        if not kept:
            reading.failures.append((line, column.name, rule.name, rule.severity))


def _fulfils(value: Any, rule: AnyRule, contract: Contract, now: dt.datetime) -> bool:
    match rule:
        case Length(minimum=low, maximum=high):
            return _is_between(len(value), low, high)
        case Range(minimum=low, maximum=high):
            return _is_between(value, low, high)
        case Pattern(regex=regex):
            return re.fullmatch(regex, value, re.ASCII) is not None
        case Allowed(values=values):
            return value in values
        case NotInFuture() if isinstance(value, dt.datetime):
            return value <= now
        case NotInFuture():
            today: dt.date = now.astimezone(ZoneInfo(contract.timezone)).date()
            return bool(value <= today)
    raise AssertionError(rule)


def _is_between(value: Any, low: Any, high: Any) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def _is_kept(contract: Contract, reading: Reading) -> bool:
    """Return whether the file as a whole fulfils the contract."""
    rows = len(reading.raw)
    for bounds in contract.row_counts:
        if not _is_between(rows, bounds.minimum, bounds.maximum):
            return False
    rejected = len(reading.rejected)
    if rejected == rows or 100 * rejected > contract.max_rejected_percent * rows:
        return False
    failed = Counter((column, rule) for _, column, rule, _ in reading.failures)
    for column in contract.columns:
        for rule in column.rules:
            if (limit := rule.threshold) is None:
                continue
            count = Decimal(failed[column.name, rule.name])
            if limit.unit == "percent":
                count = count * 100 / rows
            if not (count < limit.limit or (limit.inclusive and count == limit.limit)):
                return False
    return True
