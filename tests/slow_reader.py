"""Reference implementation of Transform and Test, with the standard library only.

It is slow and reads whole files into memory. It shares only the models of contracts with the
functions, so that any difference between the two is an error in one of them.
"""

import datetime as dt
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

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
from shared.dialect import Dialect

LONGEST_LINE = 16 * 1024 * 1024
_INTEGER_LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
NAMES = {
    ("MMMM", "en"): (
        "January February March April May June July August September October November December"
    ),
    ("MMMM", "de"): (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
    ),
    ("MMMM", "ru"): (
        "января февраля марта апреля мая июня июля августа сентября октября ноября декабря"
    ),
    **dict.fromkeys([("a", "en"), ("a", "de"), ("a", "ru")], "AM PM"),
    ("MMM", "en"): "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    ("LLLL", "ru"): (
        "январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь"
    ),
    ("EEE", "en"): "Mon Tue Wed Thu Fri Sat Sun",
    ("EEEE", "de"): "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
}
"""Names by pattern letters and locale."""
_EXPRESSIONS = {
    **dict.fromkeys(("yy", "MM", "dd", "HH", "hh", "mm", "ss"), "[0-9]{2}"),
    **dict.fromkeys(("M", "d", "H", "h"), "[0-9]{1,2}"),
    "yyyy": "[0-9]{4}",
    "Q": "[1-4]",
    "VV": "[A-Za-z0-9_+/-]{1,50}",
    "X": "Z|[+-][0-9]{2}([0-9]{2})?",
    "XX": "Z|[+-][0-9]{4}",
    "XXX": "Z|[+-][0-9]{2}:[0-9]{2}",
    "x": "[+-][0-9]{2}([0-9]{2})?",
    "xx": "[+-][0-9]{4}",
    "xxx": "[+-][0-9]{2}:[0-9]{2}",
    "Z": "[+-][0-9]{4}",
    **{"S" * length: f"[0-9]{{{length}}}" for length in range(1, 10)},
}
_ISO = re.compile(
    "(?P<y>[0-9]{4})-(?P<M>[0-9]{2})-(?P<d>[0-9]{2})"
    "([Tt ](?P<H>[0-9]{2}):(?P<m>[0-9]{2})(:(?P<s>[0-9]{2})([.,](?P<S>[0-9]+))?)?"
    "(?P<X>[Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)

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
    text = "".join(_lines(body, contract.encoding)).removesuffix("\n") + "\n"
    header, end = _header(text, contract)
    for number, row in _rows(text, end, contract.dialect, reading):
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


def _header(text: str, contract: Contract) -> tuple[list[str], int]:
    """Return the names in the first record, and where it ends."""
    at = 0
    while _is_ignored(_line(text, at), contract.dialect):
        at += len(_line(text, at))
        if at == len(text):
            raise _Refused("no header")
    found = _record(text, at, contract.dialect)
    if found is None:
        raise _Refused("header")
    end, names = found
    header = [unicodedata.normalize("NFC", name) for name in names]
    known = [name for name in header if name in contract.header]
    if sorted(known) != sorted(contract.header):
        raise _Refused("missing or repeated columns")
    if contract.header_policy.unknown == "refuse" and known != header:
        raise _Refused("unknown columns")
    if contract.header_policy.order == "contract" and known != list(contract.header):
        raise _Refused("order of columns")
    return header, end


def _rows(
    text: str, at: int, dialect: Dialect, reading: Reading
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line; an invalid row is one line."""
    for number, raw, values in records(text, at, dialect):
        reading.raw[number] = raw
        if values is None:
            reading.failures.append((number, None, "quoting", "error"))
        else:
            yield number, values


def records(
    text: str, at: int, dialect: Dialect, longest: int = LONGEST_LINE
) -> Iterator[tuple[int, str, list[str] | None]]:
    """Yield the first line, the text and the values of each record; None if it is invalid.

    `at` is where the first record begins, `longest` the most bytes of a
    record of several lines. The text ends with
    a line end.
    """
    number = 1 + text.count("\n", 0, at)
    while at < len(text):
        line = _line(text, at)
        found = _record(text, at, dialect)
        is_long = found is not None and len(text[at : found[0]].encode()) > longest
        if found is not None and is_long and found[0] > at + len(line):
            found = None
        end = at + len(line) if found is None or _is_ignored(line, dialect) else found[0]
        if not _is_ignored(line, dialect):
            raw = text[at:end].removesuffix("\n").removesuffix("\r")
            yield number, raw, None if found is None else found[1]
        number += text.count("\n", at, end)
        at = end


def _line(text: str, at: int) -> str:
    return text[at : text.index("\n", at) + 1]


def _is_ignored(line: str, dialect: Dialect) -> bool:
    text = line.lstrip(" ") if dialect.skip_initial_space else line
    is_comment = dialect.comment_char is not None and line.startswith(dialect.comment_char)
    return is_comment or text in {"\n", "\r\n"}


def _record(text: str, at: int, dialect: Dialect) -> tuple[int, list[str]] | None:
    """Return the end and the values of the record that begins at `at`; None if it is invalid."""
    values = []
    while (value := _next_value(text, at, dialect)) is not None:
        at, content = value
        values.append(content)
        for end in ("\r\n", "\n"):
            if text.startswith(end, at):
                return at + len(end), values
        if not text.startswith(dialect.delimiter, at):
            return None
        at += len(dialect.delimiter)
    return None


def _next_value(text: str, at: int, dialect: Dialect) -> tuple[int, str] | None:
    """Return the end and the content of a value; None if it is not closed."""
    quote, content, begin = dialect.quote_char, "", at
    while dialect.skip_initial_space and text.startswith(" ", at):
        begin = at = at + 1
    is_quoted = quote is not None and text.startswith(quote, at)
    at += is_quoted
    while at < len(text):
        if text[at] == dialect.escape_char:
            if at + 1 == len(text):
                return None
            is_long = text.startswith(dialect.delimiter, at + 1)
            length = len(dialect.delimiter) if is_long else 1
            content += text[at + 1 : at + 1 + length]
            at += 1 + length
        elif is_quoted and text[at] == quote:
            if not dialect.double_quote or text[at + 1 : at + 2] != quote:
                return at + 1, content
            content += quote
            at += 2
        elif not is_quoted and _ends_value(text, at, begin, dialect):
            break
        else:
            content += text[at]
            at += 1
    return None if is_quoted else (at, content)


def _ends_value(text: str, at: int, begin: int, dialect: Dialect) -> bool:
    if text[at] == dialect.quote_char:
        return not dialect.lenient_quotes or at == begin
    return text[at] in "\r\n" or text.startswith(dialect.delimiter, at)


def _value(text: str, column: Column, contract: Contract) -> Any:
    if text in contract.dialect.null_sequence:
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
        for parts in _parts(text, each):
            try:
                found.add(_real(parts, column, each))
            except (ValueError, OverflowError):  # not a date, or outside the calendar in UTC
                continue
    if len(found) != 1:
        raise _InvalidValue
    return found.pop()


def _parts(text: str, form: Format) -> Iterator[dict[str, str]]:
    match form.pattern:
        case "iso8601":
            if found := _ISO.fullmatch(text):
                yield {name: part for name, part in found.groupdict().items() if part}
        case "epochSeconds":
            if found := re.fullmatch(r"(-?[0-9]{1,12})(\.([0-9]+))?", text):
                yield {"epoch": text, "S": found[3] or ""}
        case "epochMillis":
            if re.fullmatch("-?[0-9]{1,15}", text):
                yield {"epoch": str(Decimal(text).scaleb(-3))}
        case pattern:
            yield from _matches(pattern, text, form.locale)


def _real(parts: dict[str, str], column: Column, form: Format) -> dt.date | dt.datetime:
    fraction = parts.get("S", "")
    if fraction[6:].strip("0") and form.beyond_microseconds != "truncate":
        raise ValueError("more precise than microseconds")
    if "epoch" in parts:
        with localcontext(prec=200_000):
            micros = int(Decimal(parts["epoch"]).scaleb(6))
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
    date = _date(parts, form)
    if column.logical_type == "date":
        if parts.keys() & {"H", "h"}:
            raise ValueError("a date has no time")
        return date
    if "a" in parts and "h" in parts and "H" not in parts:
        if not 1 <= int(parts["h"]) <= 12:
            raise ValueError("no such hour")
        hour = int(parts["h"]) % 12 + 12 * int(parts["a"])
    elif "a" in parts or "h" in parts:
        raise ValueError("half of an hour")
    else:
        hour = int(parts.get("H", 0))
    time = dt.time(
        hour,
        int(parts.get("m", 0)),
        int(parts.get("s", 0)),
        int(fraction[:6].ljust(6, "0")),
        tzinfo=_zone(parts, form.timezone or column.timezone),
    )
    early = dt.datetime.combine(date, time).astimezone(dt.UTC)
    late = dt.datetime.combine(date, time.replace(fold=1)).astimezone(dt.UTC)
    if early != late:
        raise ValueError("a clock change skips or repeats this hour")
    return early


def _date(parts: dict[str, str], form: Format) -> dt.date:
    if len(parts.keys() & {"y", "yy"}) != 1 or len(parts.keys() & {"M", "MMMM", "Q"}) != 1:
        raise ValueError("no day")
    if ("Q" in parts and "d" in parts) or ("E" in parts and "d" not in parts):
        raise ValueError("no day")
    year = int(parts.get("y", 0))
    if "yy" in parts:
        first = form.pivot or 2000
        [year] = [each for each in range(first, first + 100) if each % 100 == int(parts["yy"])]
    month = int(parts.get("M", 1))
    if "Q" in parts:
        month = {"1": 1, "2": 4, "3": 7, "4": 10}[parts["Q"]]
    if "MMMM" in parts:
        month = 1 + int(parts["MMMM"])
    date = dt.date(year, month, int(parts.get("d", 1)))
    if "E" in parts and int(parts["E"]) != date.weekday():
        raise ValueError("another weekday")
    return date


def _zone(parts: dict[str, str], default: str) -> dt.tzinfo:
    if "V" in parts and "X" in parts:
        raise ValueError("two zones")
    if "V" in parts:
        if parts["V"] == "Z":
            return dt.UTC
        if parts["V"] not in available_timezones():
            raise ValueError("no such zone")
        return ZoneInfo(parts["V"])
    if "X" not in parts:
        return ZoneInfo(default)
    sign, digits = parts["X"][0], parts["X"][1:].replace(":", "").ljust(4, "0")
    if sign in "Zz":
        return dt.UTC
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if int(digits[2:]) > 59 or offset > dt.timedelta(hours=18):
        raise ValueError("no such offset")
    return dt.timezone(-offset if sign == "-" else offset)


def _matches(pattern: str, text: str, locale: str) -> Iterator[dict[str, str]]:
    """Yield the texts of a Java pattern's letters, for every way to match the whole text.

    For a name it yields its index.
    """
    if not pattern:
        if not text:
            yield {}
        return
    if pattern[0] == "[":
        inner, rest = _section(pattern)
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
        if text[:1] == letter or (pattern[:2] == " a" and text[:1] in ("\u00a0", "\u202f")):
            yield from _matches(pattern[1:], text[1:], locale)
        return
    rest = pattern.lstrip(letter)
    run = pattern.removesuffix(rest)
    name = {"MMM": "MMMM", "MMMM": "MMMM", "LLLL": "MMMM", "yy": "yy"}.get(run, letter)
    name = {"x": "X", "Z": "X"}.get(name, name)
    for taken, value in _prefixes(run, text, locale):
        for others in _matches(rest, text[len(taken) :], locale):
            if name not in others:
                yield {name: value} | others


def _section(pattern: str) -> tuple[str, str]:
    """Return the optional section at the beginning of a pattern, and the rest."""
    depth = 0
    for place, character in enumerate(pattern):
        depth += (character == "[") - (character == "]")
        if depth == 0:
            return pattern[1:place], pattern[place + 1 :]
    raise AssertionError(pattern)


def _prefixes(run: str, text: str, locale: str) -> Iterator[tuple[str, str]]:
    """Yield the prefixes of the text that a run of one letter matches, and their values."""
    for index, word in enumerate(NAMES.get((run, locale), "").split()):
        if text[: len(word)].casefold() == word.casefold():
            yield text[: len(word)], str(index)
    expression = _EXPRESSIONS.get(run, "(?!)")
    for length in range(1, 51):
        if length <= len(text) and re.fullmatch(expression, text[:length]):
            yield text[:length], text[:length]


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
