"""Reference implementation of Transform and Test, with the standard library of Python 3.14 only.

It is slow and reads whole files into memory. It shares only the models of contracts with the
functions, so that any difference between the two is an error in one of them.
"""

import datetime as dt
import gzip
import io
import itertools
import json
import math
import re
import string
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from shared.column import Column
from shared.compression import zstd
from shared.contract import Contract
from shared.dialect import Dialect
from shared.formats import Format
from shared.quality import (
    Allowed,
    AnyRule,
    Check,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Unique,
    UniqueRows,
)

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
_SCALAR = re.compile(
    r'"([^"\\\x00-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
    r"|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null"
)

Failure = tuple[int, str | None, str, str]
"""Line, column (None for the whole row), rule and severity."""


class _Refused(Exception):
    """The file does not match its contract."""


class _Empty(_Refused):
    """The file has no rows."""


class _InvalidValue(Exception):
    """The text is not a value of the column's type."""


class _CutValue(_InvalidValue):
    """The text ends before the end of a JSON value."""


@dataclass
class Reading:
    """Expected result for a file, with rows by the physical line on which they begin."""

    refused: str | None = None
    clean: dict[int, dict[str, Any]] = field(default_factory=dict)
    raw: dict[int, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    halted: bool = False
    footer_lines: int = 0
    trailer: str = ""
    """The first line of the footer."""
    sums: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    """Exact sums by physical name of the column."""
    totals_verified: int = 0

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
        _read(_unpacked(body), contract, now, reading)
    except _Empty as refusal:
        least = {bounds.minimum for bounds in contract.row_counts}
        allowed = 0 in least and all(low in (0, None) for low in least)
        verified = reading.totals_verified
        ignored = Reading(footer_lines=reading.footer_lines, totals_verified=verified)
        is_verified = verified == len(_total_names(contract))
        return ignored if allowed and is_verified else Reading(refused=str(refusal))
    except _Refused as refusal:
        return Reading(refused=str(refusal))
    return reading


def _read(body: bytes, contract: Contract, now: dt.datetime, reading: Reading) -> None:
    text = _text(body, contract)
    rows = _objects if contract.file_format == "jsonLines" else _named_records
    for number, texts in rows(text, contract, reading):
        values: dict[str, Any] = {}
        for column in contract.columns:
            if column.name in texts and column.kind in ("integer", "number"):
                summand = _summand(texts[column.name], column, contract)
                reading.sums[column.physical_name] += summand
            try:
                is_there = column.name in texts
                value = _value(texts[column.name], column, contract) if is_there else None
                values[column.name] = value
            except _InvalidValue:
                reading.failures.append((number, column.name, column.kind, "error"))
        if len(values) == len(contract.columns):
            reading.clean[number] = values
    _verify(contract, reading)
    if not reading.raw:
        raise _Empty("no row")
    for column in contract.columns:
        for rule in column.rules:
            _judge(column, rule, contract, now, reading)
    for together in contract.unique_rows:
        _judge_together(together, reading)
    reading.failures.sort(key=lambda failure: failure[0])
    reading.halted = not _is_kept(contract, reading)


def _unpacked(body: bytes) -> bytes:
    """Return a file without its compression; a ZIP archive has one file."""
    try:
        if body.startswith(b"\x1f\x8b\x08"):
            return gzip.decompress(body)
        if body.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                [name] = archive.namelist()
                return archive.read(name)
        if body.startswith(b"\x28\xb5\x2f\xfd"):
            return zstd.decompress(body)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error, zstd.ZstdError) as error:
        raise _Refused("damaged") from error
    return body


def _total_names(contract: Contract) -> list[str]:
    """Return the totals in the trailer."""
    footer = contract.dialect.footer
    pattern = footer.pattern if footer else None
    return re.findall(r"\(\?P<(\w+)>", pattern or "")


def _verify(contract: Contract, reading: Reading) -> None:
    """Compare the totals in the trailer with the rows."""
    footer = contract.dialect.footer
    if not footer or not (names := _total_names(contract)):
        return
    found = re.match(str(footer.pattern), reading.trailer)
    if not reading.trailer or not found:
        raise _Refused("no trailer")
    columns = {f"sum_{column.physical_name}": column for column in contract.columns}
    for name in names:
        text = found[name].strip()
        if name == "rows":
            if not re.fullmatch("[0-9]{1,38}", text) or int(text) != len(reading.raw):
                raise _Refused("rows")
            continue
        stated = _number_of(text, columns[name], contract.decimal_mark)
        if stated is None or stated != reading.sums[columns[name].physical_name]:
            raise _Refused("sum")
    reading.totals_verified = len(names)


def _summand(text: str | None, column: Column, contract: Contract) -> Fraction:
    tokens = contract.dialect.null_sequence if column.null_tokens is None else column.null_tokens
    text = (text or "").strip() if column.trim else text or ""
    number = None if text in tokens else _number_of(text, column, contract.decimal_mark)
    return number or Fraction(0)


def _number_of(text: str, column: Column, mark: str) -> Fraction | None:
    """Return a number of up to 38 digits before and 30 after the decimal mark; else None."""
    try:
        number = _exact(text, column, mark)
    except _InvalidValue:
        return None
    exponent = int(number.as_tuple().exponent) if number or "e" not in text.lower() else 0
    found = Fraction(number)
    return found if abs(found) < 10**38 and exponent >= -30 else None


def _named_records(
    text: str, contract: Contract, reading: Reading
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield each row with the number of its first line, and its values by column."""
    header, end = _header(text, _begin(text, contract.dialect), contract)
    places = _places(header, contract)
    kept = text[:end] + without_footer(text[end:], contract.dialect)
    footer = text[len(kept) :].rstrip("\r\n")
    reading.footer_lines = footer.count("\n") + bool(footer)
    reading.trailer = footer.split("\n")[0].rstrip("\r")
    for number, row in _rows(kept, end, len(header), contract.dialect, reading):
        if len(row) != len(header):
            reading.failures.append((number, None, "columnCount", "error"))
            continue
        yield number, {name: row[place] for name, place in places.items() if place is not None}


def _objects(
    text: str, contract: Contract, reading: Reading
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield each JSON line with its number, and its values by column."""
    found: dict[int, dict[str, str | None] | str] = {}
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if not line.strip(" \t\r"):
            continue
        if not found:
            _refuse_several_lines(line)
        reading.raw[number] = _shown(line.removesuffix("\r"))
        found[number] = _members(line, contract) if _is_decodable(line) else "encoding"
    if found and all(row in ("json", "encoding") for row in found.values()):
        raise _Refused("no columns")
    for number, row in found.items():
        if isinstance(row, str):
            reading.failures.append((number, None, row, "error"))
        else:
            yield number, row


def _refuse_several_lines(line: str) -> None:
    try:
        begin = line.strip(" \t\r")[0]
        if begin == "{":
            _json_items(line, 0)
    except _CutValue as error:
        raise _Refused("an object of several lines") from error
    except _InvalidValue:
        pass
    if begin == "[":
        raise _Refused("an array")


def _members(line: str, contract: Contract) -> dict[str, str | None] | str:
    """Return the texts of a JSON object by column, or the rule that its line fails."""
    try:
        items, end = _json_items(line, 0)
    except _InvalidValue:
        return "json"
    keys = [unicodedata.normalize("NFC", key) for key, _, _ in items if key is not None]
    names = _columns_by_name(keys, contract)
    known = [name for name in names if name is not None]
    if line[end:].strip(" \t\r") or not known:
        return "json"
    absent = [column for column in contract.columns if column.name not in known]
    close = {_folded(name) for column in absent for name in (column.name, *column.aliases)}
    others = {_folded(key) for key, name in zip(keys, names, strict=True) if name is None}
    if others and (contract.header_policy.unknown == "refuse" or close & others):
        return "unknownColumn"
    if len(set(known)) < len(known):
        return "repeatedColumn"
    values = {}
    for name, (_, begin, end) in zip(names, items, strict=True):
        text = line[begin:end]
        if name is not None and text != "null":
            values[name] = json.loads(text) if text[0] == '"' else text
    return "json" if any(map(re.compile("[\ud800-\udfff]").search, values.values())) else values


def _json_items(
    text: str, at: int, levels: int = 101
) -> tuple[list[tuple[str | None, int, int]], int]:
    """Return the key, begin and end of each value of an array or object, and its own end."""
    at = _json_mark(text, at, "[{" if levels < 101 else "{")
    if not levels:
        raise _InvalidValue
    items: list[tuple[str | None, int, int]] = []
    is_object = text[at - 1] == "{"
    close = "}" if is_object else "]"
    if text.startswith(close, _skipped(text, at)):
        return items, _skipped(text, at) + 1
    while True:
        key = None
        if is_object:
            at = _json_mark(text, at, '"') - 1
            if not (found := _SCALAR.match(text, at)):
                raise _InvalidValue
            key, at = json.loads(found[0]), _json_mark(text, found.end(), ":")
        begin = _skipped(text, at)
        scalar = _SCALAR.match(text, begin)
        at = scalar.end() if scalar else _json_items(text, begin, levels - 1)[1]
        items.append((key, begin, at))
        at = _json_mark(text, at, f",{close}")
        if text[at - 1] == close:
            return items, at


def _skipped(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\r"):
        at += 1
    return at


def _json_mark(text: str, at: int, marks: str) -> int:
    """Return where the next mark of JSON ends."""
    at = _skipped(text, at)
    if at == len(text):
        raise _CutValue
    if text[at] not in marks:
        raise _InvalidValue
    return at + 1


def _text(body: bytes, contract: Contract) -> str:
    """Return the text of a file, with LF at the end of each line."""
    encoding = contract.encoding
    errors = "strict" if contract.encoding_errors == "refuse" else "surrogateescape"
    if not body:
        raise _Empty("empty")
    if encoding == "utf-16" and body[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise _Refused("no byte order mark")
    try:
        text = body.decode(encoding, errors)
    except UnicodeError as error:
        raise _Refused("encoding") from error
    text = swapped(text.removeprefix("\ufeff"), contract.dialect)
    lengths = (len(line.encode("utf-8", "surrogatepass")) for line in text.split("\n"))
    if any(length > LONGEST_LINE for length in lengths):
        raise _Refused("line too long")
    if not text.endswith("\n"):
        text = text.rstrip("\x1a")
    return text.removesuffix("\n") + "\n"


def _begin(text: str, dialect: Dialect) -> int:
    """Return where the text begins after skipped lines and Excel's line with the delimiter."""
    at = 0
    for _ in range(dialect.skip_lines):
        at += len(_line(text, at))
    line = _line(text, at).removesuffix("\n").rstrip("\r")
    for outer, inner in itertools.product(["", '"'], repeat=2):
        before, after = f"{outer}sep={inner}", inner + outer
        begin, end = len(before), len(before) + 1
        begin_text, char, rest = line[:begin], line[begin:end], line[end:]
        is_mark = char in set(string.punctuation + " \t") - set("\"'")
        is_end = rest.startswith(after) and not rest.removeprefix(after).strip(char)
        if begin_text.lower() == before and is_mark and is_end:
            if char != dialect.delimiter:
                raise _Refused("another delimiter")
            return at + len(_line(text, at))
    return at


def without_footer(text: str, dialect: Dialect, longest: int = LONGEST_LINE) -> str:
    """Return the text after the header without the footer."""
    footer = dialect.footer
    if footer is None:
        return text
    lines = text.split("\n")[:-1]
    last = max((i for i, line in enumerate(lines) if line.strip("\r")), default=-1)
    first = max(0, last + 1 - (footer.lines or 100))
    if footer.pattern is not None:
        inside = {
            number + i
            for number, raw, _ in records(text, 0, 0, dialect, longest)
            for i in range(swapped(raw, dialect).count("\n"))
        }
        begins = (i for i in range(first, len(lines)) if i not in inside)
        matching = (i for i in begins if re.match(footer.pattern, lines[i].rstrip("\r")))
        first = next(matching, len(lines))
    return "".join(line + "\n" for line in lines[:first])


def _header(text: str, at: int, contract: Contract) -> tuple[list[str], int]:
    """Return the names of the columns, or other texts by position, and where the rows begin."""
    dialect, policy = contract.dialect, contract.header_policy
    by_position = policy.match == "position" or not dialect.header
    rows = []
    for number in range(1, max(dialect.header_rows) + 1 if dialect.header else 1):
        at = _next_record(text, at, dialect)
        if at == len(text):
            raise (_Empty if number == 1 else _Refused)("no header")
        found = _record(text, at, dialect)
        if number in dialect.header_rows and not by_position:
            rows.append(_names(found, dialect))
        at = found.end if found else at + len(_line(text, at))
    if by_position:
        if policy.unknown == "refuse" and not any(column.optional for column in contract.columns):
            return list(contract.header), at
        first = _next_record(text, at, dialect)
        if first == len(text):
            raise _Empty("no row")
        return _names(_record(text, first, dialect), dialect), at
    width = max(map(len, rows))
    padded = [row + [""] * (width - len(row)) for row in rows]
    parts = [[row[i] for row in padded if row[i]] for i in range(width)]
    header = [unicodedata.normalize("NFC", dialect.header_join.join(each)) for each in parts]
    if not _is_decodable("".join(header)):
        raise _Refused("encoding")
    return header, at


def _next_record(text: str, at: int, dialect: Dialect) -> int:
    while at < len(text) and _is_ignored(_line(text, at), dialect):
        at += len(_line(text, at))
    return at


def _names(record: "_Record | None", dialect: Dialect) -> list[str]:
    if record is None:
        raise _Refused("header")
    values = record.values[:-1] if record.is_trailed else record.values
    return [swapped(value or "", dialect) for value in values]


def _places(header: list[str], contract: Contract) -> dict[str, int | None]:
    """Return which value of a row each column has; None if the file lacks the column."""
    by_name = contract.header_policy.match != "position" and contract.dialect.header
    meant = (
        _columns_by_name(header, contract)
        if by_name
        else [*contract.header, *[None] * len(header)][: len(header)]
    )
    known = [name for name in meant if name is not None]
    if len(set(known)) < len(known):
        raise _Refused("repeated columns")
    if contract.header_policy.unknown == "refuse" and len(known) < len(header):
        raise _Refused("unknown columns")
    if contract.header_policy.order == "contract" and known != [
        name for name in contract.header if name in known
    ]:
        raise _Refused("order of columns")
    absent = [column for column in contract.columns if column.name not in known]
    if any(not column.optional for column in absent):
        raise _Refused("missing columns")
    close = {_folded(name) for column in absent for name in (column.name, *column.aliases)}
    others = {_folded(name) for name, column in zip(header, meant, strict=True) if column is None}
    if by_name and close & others:
        raise _Refused("similar columns")
    return dict.fromkeys(contract.header) | {name: meant.index(name) for name in known}


def _columns_by_name(header: list[str], contract: Contract) -> list[str | None]:
    """Return the column that each name of a header means."""
    form = _folded if contract.header_policy.match == "folded" else str
    meaning = {
        form(name): column.name
        for column in contract.columns
        for name in (column.name, *column.aliases)
    }
    return [meaning.get(form(name)) for name in header]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold()).strip()


def _rows(
    text: str, at: int, width: int, dialect: Dialect, reading: Reading
) -> Iterator[tuple[int, list[str | None]]]:
    """Yield each row with the number of its first line; an invalid row is one line."""
    for number, raw, values in records(text, at, width, dialect):
        reading.raw[number] = _shown(raw)
        if not _is_decodable(raw):
            reading.failures.append((number, None, "encoding", "error"))
        elif values is None:
            reading.failures.append((number, None, "quoting", "error"))
        else:
            yield number, values


def _shown(raw: str) -> str:
    codes = (ord(character) for character in raw)
    return "".join(
        f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else chr(code) for code in codes
    )


def _is_decodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def records(
    text: str, at: int, width: int, dialect: Dialect, longest: int = LONGEST_LINE
) -> Iterator[tuple[int, str, list[str | None] | None]]:
    """Yield the first line, the text and the values of each record; None if it is invalid.

    A value is None if it is empty without quotes.

    `at` is where the first record begins, `width` the number of columns, `longest` the most bytes
    of a record of several lines. In `text`, each line ends with LF (`swapped`); results are as in
    the file.
    """
    number = 1 + text.count("\n", 0, at)
    while at < len(text):
        line = _line(text, at)
        is_ignored = _is_ignored(line, dialect)
        found = None if is_ignored else _record(text, at, dialect)
        if found and found.end > at + len(line):
            size = len(text[at : found.end].encode("utf-8", "surrogatepass"))
            found = found if size <= longest else None
        end = found.end if found else at + len(line)
        values = None
        if found:
            is_surplus = found.is_trailed and len(found.values) == width + 1
            values = found.values[:-1] if is_surplus else found.values
            is_empty = len(values) == width and not any(values)
            is_ignored = dialect.skip_empty_rows and is_empty
            values = [each and swapped(each, dialect) for each in values]
        if not is_ignored:
            raw = text[at:end].removesuffix("\n").removesuffix("\r")
            yield number, swapped(raw, dialect), values
        number += text.count("\n", at, end)
        at = end


def swapped(text: str, dialect: Dialect) -> str:
    """Swap CR and LF if lines end with CR."""
    return text.translate({10: "\r", 13: "\n"}) if dialect.line_terminator == "\r" else text


def _line(text: str, at: int) -> str:
    return text[at : text.find("\n", at) + 1]


def _is_ignored(line: str, dialect: Dialect) -> bool:
    text = line.lstrip(" ") if dialect.skip_initial_space else line
    is_comment = dialect.comment_char is not None and line.startswith(dialect.comment_char)
    return is_comment or text.lstrip("\r") == "\n"


@dataclass
class _Record:
    """The end and the values of a record; whether the last value is surplus.

    None stands for an empty value without quotes.
    """

    end: int
    values: list[str | None]
    is_trailed: bool


def _record(text: str, at: int, dialect: Dialect) -> _Record | None:
    """Return the record that begins at `at`; None if it is invalid."""
    values: list[str | None] = []
    while (value := _next_value(text, at, dialect)) is not None:
        is_trailed = dialect.trailing_delimiter and bool(values)
        is_trailed = is_trailed and not text[at : value[0]].strip(" ")
        at, content = value
        values.append(content)
        if end := re.compile(r"\r*\n").match(text, at):
            return _Record(end.end(), values, is_trailed and not content)
        if not text.startswith(dialect.delimiter, at):
            return None
        at += len(dialect.delimiter)
    return None


def _next_value(text: str, at: int, dialect: Dialect) -> tuple[int, str | None] | None:
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
                at += 1
                while dialect.skip_initial_space and text.startswith(" ", at):
                    at += 1
                return at, content
            content += quote
            at += 2
        elif not is_quoted and _ends_value(text, at, begin, dialect):
            break
        else:
            content += text[at]
            at += 1
    return None if is_quoted else (at, content or None)


def _ends_value(text: str, at: int, begin: int, dialect: Dialect) -> bool:
    if text[at] == dialect.quote_char:
        return not dialect.lenient_quotes or at == begin
    return text[at] in "\r\n" or text.startswith(dialect.delimiter, at)


def _value(text: str | None, column: Column, contract: Contract) -> Any:
    """Return the value of a text; None stands for an empty value without quotes."""
    tokens = contract.dialect.null_sequence if column.null_tokens is None else column.null_tokens
    if text is None and column.quoted_empty == "text":
        return None
    text = text or ""
    if column.trim:
        text = text.strip()
    if text in tokens and (text or column.quoted_empty == "missing"):
        return None
    match column.kind:
        case "string":
            if "\0" in text:
                raise _InvalidValue
            return text
        case "integer":
            return _integer(text, column, contract.decimal_mark)
        case "number":
            return _number(text, column, contract.decimal_mark)
        case "boolean":
            return _boolean(text, column)
        case "date" | "timestamp" | "time":
            return _moment(text, column)
        case "float":
            return _float(text, column, contract.decimal_mark)
        case "uuid":
            return _uuid(text)
        case "json":
            return _json(text, is_object=column.logical_type == "object")


def _boolean(text: str, column: Column) -> bool:
    for tokens, meaning in ((column.true_tokens, True), (column.false_tokens, False)):
        for token in tokens:
            if text == token or (column.ignore_case and text.casefold() == token.casefold()):
                return meaning
    raise _InvalidValue


def _integer(text: str, column: Column, mark: str) -> int:
    has_decimals = "integralDecimal" in column.number_styles
    number = _exact(text, column, mark if has_decimals else None)
    limit = _INTEGER_LIMITS[column.physical_type]
    if number != number.to_integral_value() or not -limit <= number < limit:
        raise _InvalidValue
    return int(number)


def _number(text: str, column: Column, mark: str) -> Decimal:
    precision, scale = column.limits.precision, column.limits.scale
    exact = _exact(text, column, mark)
    if exact and exact.adjusted() > 38:
        raise _InvalidValue
    with localcontext(prec=100):
        rounded = exact.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
        if abs(rounded) >= 10 ** (precision - scale):
            raise _InvalidValue
    return rounded


def _exact(text: str, column: Column, mark: str | None) -> Decimal:
    """Return the number that a text stands for; `mark` is None if it cannot have decimals."""
    styles = column.number_styles
    places = [i for i, each in enumerate(text) if each in "0123456789" or each == mark]
    if not places:
        raise _InvalidValue
    before, core, after = (
        _without_affix(text[: places[0]], column),
        text[places[0] : places[-1] + 1],
        _without_affix(text[places[-1] + 1 :], column),
    )
    if before == "(" and after == ")" and "parentheses" in styles:
        before, after = "-", ""
    if not before and after == "-" and "trailingMinus" in styles:
        before, after = "-", ""
    if before not in ("", "+", "-") or after:
        raise _InvalidValue
    number, shift = core, "0"
    if "exponent" in styles and "e" in core.lower():
        number, shift = core.lower().split("e", 1)
        if not re.fullmatch("[+-]?[0-9]+", shift):
            raise _InvalidValue
    whole, point, fraction = number.partition(mark) if mark else (number, "", "")
    if column.group_char is not None:
        whole = _ungrouped(whole, column.group_char)
    if "omittedZero" in styles and point and (whole or fraction):
        whole, fraction = whole or "0", fraction or "0"
    if not re.fullmatch("[0-9]+", whole) or (point and not re.fullmatch("[0-9]+", fraction)):
        raise _InvalidValue
    # No type can tell numbers beyond these limits from each other.
    exponent = max(-1000, min(int(shift), 1000)) - len(fraction)
    digits = [int(digit) for digit in whole + fraction]
    return Decimal((before == "-", digits, exponent))


def _without_affix(text: str, column: Column) -> str:
    """Return the signs before or after a number."""
    if column.bare_number:
        return text
    if len(text) > 10:
        raise _InvalidValue
    kinds = {each: unicodedata.category(each) for each in text}
    return "".join(
        each
        for each in text
        if not (kinds[each].startswith(("L", "M")) or kinds[each] in ("Sc", "Zs") or each in "%‰")
    )


def _ungrouped(whole: str, char: str) -> str:
    if char == " ":
        whole = whole.replace("\u00a0", " ").replace("\u202f", " ")
    first, *others = whole.split(char)
    if others and (len(first) > 3 or first[:1] == "0" or {len(each) for each in others} != {3}):
        raise _InvalidValue
    return "".join([first, *others])


def _float(text: str, column: Column, mark: str) -> float:
    digits = text[1:] if text[:1] in ("+", "-") else text
    mantissa, *exponents = re.split("[eE]", digits, maxsplit=1)
    parts = mantissa.split(mark)
    number = text.replace(mark, ".")
    if (
        len(parts) > 2
        or not all(re.fullmatch("[0-9]+", part) for part in parts)
        or not all(re.fullmatch("[+-]?[0-9]+", exponent) for exponent in exponents)
    ):
        number = mantissa = str(_exact(text, column, mark))
    found = float(number)
    if column.physical_type == "real" and math.isfinite(found):
        found = _nearest_real(Fraction(number))
    if math.isinf(found) or (found == 0 and set(mantissa) & set("123456789")):
        raise _InvalidValue
    return found or 0.0


def _nearest_real(number: Fraction) -> float:
    """Return the single-precision number nearest to another, of two the one with an even bit."""
    if abs(number) >= Fraction(2) ** 128 - Fraction(2) ** 103:
        return math.inf
    largest = (2 - 2.0**-23) * 2.0**127
    near = min(max(float(number), -largest), largest)
    [bits] = struct.unpack("<I", struct.pack("<f", near))
    around = [
        (abs(Fraction(value) - number), each & 1, value)
        for each in range(max(bits - 2, 0), bits + 3)
        if math.isfinite(value := struct.unpack("<f", struct.pack("<I", each))[0])
    ]
    return float(min(around)[2])


def _uuid(text: str) -> str:
    groups = [len(group) for group in text.split("-")]
    if groups != [8, 4, 4, 4, 12] or set(text) - set(string.hexdigits + "-"):
        raise _InvalidValue
    return text.lower()


def _json(text: str, *, is_object: bool) -> str:
    def number(digits: str) -> float:
        if abs(Decimal(digits).adjusted()) > 10_000:
            raise _InvalidValue
        whole, _, rest = f"{abs(Decimal(digits)):f}".partition(".")
        if max(len(whole), len(rest)) > 1_000:
            raise _InvalidValue
        return 0.0

    def depth(value: Any) -> int:
        match value:
            case str():
                if "\0" in value or re.search("[\ud800-\udfff]", value):
                    raise _InvalidValue
                return 0
            case list():
                return 1 + max(map(depth, value), default=0)
            case _Pairs(pairs):
                return 1 + max((max(map(depth, pair)) for pair in pairs), default=0)
        return 0

    def constant(_: str) -> Any:
        raise _InvalidValue

    try:
        value = json.loads(
            text,
            parse_int=number,
            parse_float=number,
            parse_constant=constant,
            object_pairs_hook=_Pairs,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _InvalidValue from error
    if depth(value) > 100 or (is_object and not isinstance(value, _Pairs)):
        raise _InvalidValue
    return text


@dataclass
class _Pairs:
    """The keys and values of a JSON object."""

    pairs: list[tuple[str, Any]]


def _moment(text: str, column: Column) -> dt.date | dt.datetime | dt.time:
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


def _real(parts: dict[str, str], column: Column, form: Format) -> dt.date | dt.datetime | dt.time:
    fraction = parts.get("S", "")
    if fraction[6:].strip("0") and form.beyond_microseconds != "truncate":
        raise ValueError("more precise than microseconds")
    if "epoch" in parts:
        with localcontext(prec=200_000):
            micros = int(Decimal(parts["epoch"]).scaleb(6))
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
    if column.kind == "time":
        return _time(parts)
    date = _date(parts, form)
    if column.kind == "date":
        if parts.keys() & {"H", "h"}:
            raise ValueError("a date has no time")
        return date
    time = _time(parts).replace(tzinfo=_zone(parts, form.timezone or column.timezone))
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


def _time(parts: dict[str, str]) -> dt.time:
    if "a" in parts and "h" in parts and "H" not in parts:
        if not 1 <= int(parts["h"]) <= 12:
            raise ValueError("no such hour")
        hour = int(parts["h"]) % 12 + 12 * int(parts["a"])
    elif "a" in parts or "h" in parts:
        raise ValueError("half of an hour")
    else:
        hour = int(parts.get("H", 0))
    return dt.time(
        hour,
        int(parts.get("m", 0)),
        int(parts.get("s", 0)),
        int(parts.get("S", "")[:6].ljust(6, "0")),
    )


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
            kept = _fulfils(value, rule, column, contract, now)
        if not kept:
            reading.failures.append((line, column.name, rule.name, rule.severity))


def _judge_together(rule: UniqueRows, reading: Reading) -> None:
    earlier = set()
    for line, row in sorted(reading.clean.items()):
        values = tuple(row[name] for name in rule.columns)
        if None not in values and values in earlier:
            reading.failures.append((line, ", ".join(rule.columns), rule.name, rule.severity))
        earlier.add(values)


def _fulfils(
    value: Any, rule: AnyRule, column: Column, contract: Contract, now: dt.datetime
) -> bool:
    match rule:
        case Length(minimum=low, maximum=high):
            return _is_between(len(value), low, high)
        case Range(minimum=low, maximum=high) if column.kind == "float":
            bounds = [
                each if each is None else _float(str(each), column, ".") for each in (low, high)
            ]
            return _is_between(value, *bounds)
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
    rules: list[tuple[str, Check]] = [
        (column.name, rule) for column in contract.columns for rule in column.rules
    ]
    rules += [(", ".join(rule.columns), rule) for rule in contract.unique_rows]
    for name, rule in rules:
        if (limit := rule.threshold) is None:
            continue
        count = Decimal(failed[name, rule.name])
        if limit.unit == "percent":
            count = count * 100 / rows
        if not (count < limit.limit or (limit.inclusive and count == limit.limit)):
            return False
    return True
