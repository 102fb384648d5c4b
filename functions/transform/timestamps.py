"""Parses dates, timestamps and times of day by the contract's formats.

All formats are tried, none is guessed. `shared.formats` converts each format to regular expressions
for Arrow. NumPy's calendar converts the extracted numbers, because Arrow's `strptime` reads 30
February as 2 March and supports neither fractions nor month names in other languages.
"""

import datetime as dt
import functools
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.column import Column
from shared.formats import MICROSECOND_DIGITS, Described, Format, Reading, plain

TYPE = pa.timestamp("us", tz="UTC")
TIME_TYPE = pa.time64("us")

_Integers = npt.NDArray[np.int64]
_Booleans = npt.NDArray[np.bool_]
_Indices = npt.NDArray[np.intp]
_SECOND = 1_000_000
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_LAST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_THURSDAY = 3  # the weekday of 1970-01-01
_MAX_OFFSET = 18 * 3600  # in seconds, as in Java
_PIVOT = 2000  # Java's first year of `yy`
_BEYOND = rf"\A\d{{{MICROSECOND_DIGITS}}}\d*[1-9]"
_MAX_SHAPES = 256
"""Shapes that are read one by one; reading one takes as long as reading 1,000 texts."""
_ZERO, _MINUS = b"0-"
_NARROW = 9
"""The most digits of which each number fits into 32 bits."""
_CHANGING = 2**62
"""Instead of an offset: the zone has several. A fault is added if a local time has not just one."""

Reasons = Callable[[], pa.StringArray]
"""Return the reason of each text that was not parsed; the others may have any text."""


class _Fault(IntEnum):
    """Why a reading of a format has no value for a text.

    Of the faults of several readings, a reason names the last one in this order, whose reading came
    closest to the text.
    """

    NONE = 0
    UNMATCHED = auto()
    LONGER = auto()
    UNREAL = auto()
    WEEKDAY = auto()
    PRECISE = auto()
    ZONE = auto()
    SKIPPED = auto()
    REPEATED = auto()
    OUTSIDE = auto()


@dataclass(frozen=True, slots=True)
class _Tried:
    """One reading of a format, and the faults of the texts that match it, with their indices."""

    form: Format
    reading: Reading
    zone: str
    found: list[tuple[_Indices, npt.NDArray[np.int8]]]

    def faults(self, count: int) -> npt.NDArray[np.int8]:
        """Return the fault of each of `count` texts."""
        faults = np.full(count, _Fault.UNMATCHED, np.int8)
        for matched, each in self.found:
            faults[matched] = each
        return faults


def parse_timestamps(texts: pa.StringArray, column: Column) -> tuple[pa.Array, Reasons]:
    """Parse texts as timestamps in microseconds UTC; null stays null.

    A timestamp is null if the text matches no format, is not a valid date, or matches two formats
    with different results; the second result returns the reasons. The column's `timezone` applies
    to formats without one.
    """
    return _parsed(texts, column, "instants", TYPE)


def parse_dates(texts: pa.StringArray, column: Column) -> tuple[pa.Array, Reasons]:
    """Parse dates; like `parse_timestamps`."""
    return _parsed(texts, column, "days", pa.date32())


def parse_times(texts: pa.StringArray, column: Column) -> tuple[pa.Array, Reasons]:
    """Parse times of day as `TIME_TYPE`; like `parse_timestamps`."""
    return _parsed(texts, column, "times", TIME_TYPE)


def _parsed(
    texts: pa.StringArray, column: Column, described: Described, kind: pa.DataType
) -> tuple[pa.Array, Reasons]:
    shaped, tried = _Shaped.of(texts), []
    values = np.zeros(len(texts), np.int64)
    is_read, is_ambiguous = np.zeros((2, len(texts)), np.bool_)
    for form in column.formats:
        zone = form.timezone or column.timezone
        for reading in form.readings(described):
            tried.append(_Tried(form, reading, zone, []))
            for rows, parts in shaped.matches(reading):
                instants = _instants(parts, form, zone, described)
                tried[-1].found.append((rows, parts.faults))
                good = parts.faults == _Fault.NONE
                matched, instants = rows[good], instants[good]
                if (again := is_read[matched]).any():
                    twice = matched[again]
                    is_ambiguous[twice] |= values[twice] != instants[again]
                    matched, instants = matched[~again], instants[~again]
                values[matched] = instants
                is_read[matched] = True
    array = pa.array(values, mask=is_ambiguous | ~is_read).cast(pa.timestamp("us")).cast(kind)
    return array, lambda: _reasons(texts, column, tried, pa.array(is_ambiguous))


def _reasons(
    texts: pa.StringArray, column: Column, tried: list[_Tried], ambiguous: pa.BooleanArray
) -> pa.StringArray:
    worst = np.zeros(len(texts), np.int8)
    reasons = np.full(len(texts), "", object)
    # Of several fractions that are too long, a reason names the longest that is allowed.
    for each in sorted(tried, key=lambda each: -each.reading.fraction_digits):
        faults = each.faults(len(texts))
        if each.reading.longer is not None:
            is_longer = _as_booleans(pc.match_substring_regex(texts, each.reading.longer))
            faults[(faults == _Fault.UNMATCHED) & is_longer] = _Fault.LONGER
        for fault in _Fault:
            reasons[(faults == fault) & (faults > worst)] = _reason(fault, each, column)
        worst = np.maximum(worst, faults)
    patterns = " | ".join(form.pattern for form in column.formats)
    two = f"{column.name} matches two formats with different results: {patterns}"
    return pc.if_else(ambiguous, two, pa.array(reasons, pa.string()))


def _reason(fault: _Fault, tried: _Tried, column: Column) -> str:
    name, pattern, digits = column.name, tried.form.pattern, tried.reading.fraction_digits
    zone = "its time zone" if tried.reading.is_absolute else tried.zone
    match fault:
        case _Fault.NONE:
            return ""
        case _Fault.UNMATCHED | _Fault.UNREAL:
            kind = "time" if column.type.formats == "times" else "date"
            patterns = " | ".join(form.pattern for form in column.formats)
            return f"{name} is not a valid {kind} in any of the formats {patterns}"
        case _Fault.LONGER:
            return f"{name} has a fraction of more than {digits} digits: the format is {pattern}"
        case _Fault.WEEKDAY:
            return f"{name} has another weekday than its date in the format {pattern}"
        case _Fault.PRECISE:
            return (
                f"{name} has a fraction of more than {MICROSECOND_DIGITS} digits, but PostgreSQL "
                "stores microseconds: to cut them, set beyondMicroseconds to truncate"
            )
        case _Fault.ZONE:
            return f"{name} has an unknown time zone, or an offset of more than 18 hours"
        case _Fault.SKIPPED:
            return f"{name} is in an hour that the clock change in {zone} skips"
        case _Fault.REPEATED:
            return f"{name} is in an hour that the clock change in {zone} repeats"
        case _Fault.OUTSIDE:
            return f"{name} is outside the calendar (years 1 to 9999) in UTC"


def _instants(parts: "_Parts", form: Format, zone: str, described: Described) -> _Integers:
    """Return the microseconds since 1970, in UTC of instants; adds faults to the parts."""
    groups, reading = parts.groups, parts.reading
    if "epoch_millis" in reading.groups:
        instants = parts.number("epoch_millis") * 1_000
    elif "epoch_seconds" in reading.groups:
        micros = parts.micros()
        is_negative = _as_booleans(pc.starts_with(groups.text("epoch_seconds"), "-"))
        micros = np.where(is_negative, -micros, micros).astype(np.int64)
        instants = parts.number("epoch_seconds") * _SECOND + micros
    else:
        instants = parts.seconds(form.pivot or _PIVOT) * _SECOND + parts.micros()
        if described == "instants":
            instants = parts.utc(instants, ZoneInfo(zone))
    parts.fail(_Fault.OUTSIDE, (instants < _FIRST) | (instants > _LAST))
    if form.beyond_microseconds != "truncate":
        parts.fail(_Fault.PRECISE, parts.is_beyond_microseconds())
    return instants


class _Groups(Protocol):
    """The groups of texts that match a reading."""

    def text(self, group: str) -> pa.StringArray:
        """Return the texts of a group; empty for an optional one that is missing."""

    def number(self, group: str) -> _Integers:
        """Return the numbers of a group of digits, which a minus may precede."""

    def micros(self, group: str) -> _Integers:
        """Return the microseconds of a fraction of a second; 0 if it is missing."""


@dataclass(frozen=True, slots=True)
class _Extracted:
    """Groups that Arrow has extracted."""

    found: pa.StructArray

    def text(self, group: str) -> pa.StringArray:
        return pc.struct_field(self.found, group)

    def number(self, group: str) -> _Integers:
        return _as_integers(self.text(group))

    def micros(self, group: str) -> _Integers:
        digits = pc.utf8_slice_codeunits(self.text(group), 0, MICROSECOND_DIGITS)
        return _as_integers(pc.utf8_rpad(digits, width=MICROSECOND_DIGITS, padding="0"))


@dataclass(frozen=True, slots=True)
class _Sliced:
    """Groups of texts with the same shape, in which each group is at the same bytes.

    `codes` has a row of bytes for each text. `spans` has the first byte and the length of each
    group, and None for one that is missing.
    """

    codes: npt.NDArray[np.uint8]
    spans: Mapping[str, tuple[int, int] | None]

    def text(self, group: str) -> pa.StringArray:
        begin, length = self.spans[group] or (0, 0)
        codes = np.ascontiguousarray(self.codes[:, begin : begin + length])
        offsets = np.arange(len(codes) + 1, dtype=np.int32) * np.int32(length)
        return pa.StringArray.from_buffers(len(codes), pa.py_buffer(offsets), pa.py_buffer(codes))

    def number(self, group: str) -> _Integers:
        begin, length = self.spans[group] or (0, 0)
        if length and self.codes[0, begin] == _MINUS:
            return -self._number(begin + 1, length - 1)
        return self._number(begin, length)

    def micros(self, group: str) -> _Integers:
        begin, length = self.spans[group] or (0, 0)
        used = min(length, MICROSECOND_DIGITS)
        micros: _Integers = self._number(begin, used) * 10 ** (MICROSECOND_DIGITS - used)
        return micros

    def _number(self, begin: int, digits: int) -> _Integers:
        width = np.int32 if digits <= _NARROW else np.int64
        numbers: npt.NDArray[np.signedinteger[Any]] = np.zeros(len(self.codes), width)
        for at in range(begin, begin + digits):
            numbers *= 10
            numbers += self.codes[:, at] - _ZERO
        return numbers.astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Shaped:
    """Texts and their shapes: the texts with 0 for each digit.

    Most columns have few shapes, and matching a shape is as good as matching all of its texts.

    Attributes:
        texts: the texts.
        shapes: the distinct shapes; empty if there are more than `_MAX_SHAPES`.
        rows: the indices of the texts of each shape.
    """

    texts: pa.StringArray
    shapes: pa.StringArray
    rows: list[_Indices]

    @classmethod
    def of(cls, texts: pa.StringArray) -> "_Shaped":
        whole = pa.concat_arrays([texts]) if texts.offset else texts
        valid, offsets, data = whole.buffers()
        codes = np.frombuffer(data or b"", np.uint8)
        digits = codes - np.uint8(_ZERO)
        digits *= digits < 10
        encoded = pa.StringArray.from_buffers(
            len(texts), offsets, pa.py_buffer(codes - digits), valid
        ).dictionary_encode()
        if len(encoded.dictionary) > _MAX_SHAPES:
            return cls(texts, pa.array([], pa.string()), [])
        numbers = encoded.indices.fill_null(_MAX_SHAPES).to_numpy().astype(np.uint16)
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=len(encoded.dictionary)))
        return cls(texts, encoded.dictionary, np.split(order, ends)[: len(encoded.dictionary)])

    def matches(self, reading: Reading) -> Iterator[tuple[_Indices, "_Parts"]]:
        """Yield indices of texts that match a reading, and their parts."""
        if self.rows and not reading.tells_digits_apart:
            spans = pc.extract_regex_span(self.shapes, reading.regex).to_pylist()
            for rows, found in zip(self.rows, spans, strict=True):
                if found is not None:
                    data = self.texts.take(pa.array(rows)).buffers()[2] or b""
                    codes = np.frombuffer(data, np.uint8).reshape(len(rows), -1)
                    yield rows, _Parts.of(_Sliced(codes, found), reading, len(rows))
            return
        # Matching costs a fifth of extracting, and most texts match only one format.
        matched = np.flatnonzero(_as_booleans(pc.match_substring_regex(self.texts, reading.regex)))
        found = pc.extract_regex(self.texts.take(pa.array(matched)), reading.regex)
        yield matched, _Parts.of(_Extracted(found), reading, len(matched))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of texts that match a reading, by group; `faults` has the first fault of each."""

    groups: _Groups
    reading: Reading
    faults: npt.NDArray[np.int8]

    @classmethod
    def of(cls, groups: _Groups, reading: Reading, count: int) -> "_Parts":
        """Return the parts of `count` texts, without a fault yet."""
        return cls(groups, reading, np.zeros(count, np.int8))

    def fail(self, fault: _Fault, where: _Booleans) -> None:
        if where.any():
            self.faults[where & (self.faults == _Fault.NONE)] = fault

    def number(self, group: str, default: int = 0) -> _Integers:
        if group not in self.reading.groups:
            return np.full(len(self.faults), default, np.int64)
        return self.groups.number(group)

    def name(self, group: str) -> _Integers:
        """Return the numbers of names."""
        encoded = self.groups.text(group).dictionary_encode()
        numbers = self.reading.names[group]
        # RE2 and Python may ignore the case of rare letters differently: -1 is no valid number.
        found = [numbers.get(plain(name), -1) for name in encoded.dictionary.to_pylist()]
        return np.array(found, np.int64)[_as_integers(encoded.indices)]

    def micros(self) -> _Integers:
        if "fraction" not in self.reading.groups:
            return self.number("fraction")
        return self.groups.micros("fraction")

    def is_beyond_microseconds(self) -> _Booleans:
        """Return which fractions have digits other than zero beyond microseconds."""
        if self.reading.fraction_digits <= MICROSECOND_DIGITS:
            return np.zeros(len(self.faults), np.bool_)
        return _as_booleans(pc.match_substring_regex(self.groups.text("fraction"), _BEYOND))

    def seconds(self, pivot: int) -> _Integers:
        """Return the local seconds since 1970."""
        groups = self.reading.groups
        year = self.number("year", 1970)  # a time of day has no date
        if "year_of_century" in groups:
            year = pivot + (self.number("year_of_century") - pivot) % 100
        month = self.number("month", 1)
        if "month_name" in groups:
            month = self.name("month_name")
        elif "quarter" in groups:
            month = 3 * self.number("quarter") - 2
        hour = self.number("hour")
        if "half_day_hour" in groups:
            twelve = self.number("half_day_hour")
            hour = twelve % 12 + 12 * self.name("half_day")
            hour[(twelve < 1) | (twelve > 12)] = 24  # does not exist, so the calendar rejects it
        seconds, real = _calendar_seconds(
            year, month, self.number("day", 1), hour, self.number("minute"), self.number("second")
        )
        self.fail(_Fault.UNREAL, ~real)
        if "weekday" in groups:
            weekday = (seconds // 86400 + _THURSDAY) % 7
            self.fail(_Fault.WEEKDAY, weekday != self.name("weekday"))
        return seconds

    def utc(self, local: _Integers, default: dt.tzinfo) -> _Integers:
        """Return the instants of local ones, both in microseconds since 1970."""
        fixed = _fixed_offset(default)
        if fixed != _CHANGING and not self.reading.is_absolute:
            return local - fixed
        zones, each = self._zones(default)
        self.fail(_Fault.ZONE, np.array([zone is None for zone in zones], np.bool_)[each])
        offsets = np.array([_fixed_offset(zone) for zone in zones], np.int64)[each]
        changing = np.flatnonzero((offsets == _CHANGING) & (self.faults == _Fault.NONE))
        if len(changing):
            # Arrow lacks daylight saving time after 2037 and needs the machine's time zones.
            pairs = local[changing] // _SECOND * len(zones) + each[changing]
            distinct, back = np.unique(pairs, return_inverse=True)
            found = [
                _offset(pair // len(zones), zones[pair % len(zones)]) for pair in distinct.tolist()
            ]
            offsets[changing] = np.array(found, np.int64)[back]
        for fault in (_Fault.SKIPPED, _Fault.REPEATED):
            self.fail(fault, offsets == _CHANGING + fault)
        return local - offsets

    def _zones(self, default: dt.tzinfo) -> tuple[list[dt.tzinfo | None], _Integers]:
        """Return the distinct zones, None for an unknown one, and the index of each text's."""
        for group, zone_of in (("offset", _offset_zone), ("zone", _named_zone)):
            if group in self.reading.groups:
                encoded = self.groups.text(group).dictionary_encode()
                zones = [zone_of(text) for text in encoded.dictionary.to_pylist()]
                return zones, _as_integers(encoded.indices)
        return [default], np.zeros(len(self.faults), np.int64)


def _offset_zone(text: str) -> dt.tzinfo | None:
    """Return the zone of e.g. `Z`, `+02`, `+0200` or `+02:00`; None if there is no such offset."""
    hours, minutes = int(text[1:3] or 0), int(text[3:].lstrip(":") or 0)
    seconds = (hours * 60 + minutes) * 60
    if minutes > 59 or seconds > _MAX_OFFSET:
        return None
    return dt.timezone(dt.timedelta(seconds=-seconds if text[0] == "-" else seconds))


def _named_zone(name: str) -> dt.tzinfo | None:
    name = "UTC" if name == "Z" else name
    return ZoneInfo(name) if name in _zone_names() else None


@functools.cache
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _fixed_offset(zone: dt.tzinfo | None) -> int:
    """Return the UTC offset of a zone in microseconds; `_CHANGING` if it has several."""
    fixed = dt.timedelta() if zone is None else zone.utcoffset(None)
    return _CHANGING if fixed is None else fixed // _MICROSECOND


def _offset(second: int, zone: dt.tzinfo | None) -> int:
    """Return the UTC offset of a local second in microseconds; more than `_CHANGING` if none."""
    local = (_EPOCH + dt.timedelta(seconds=second)).replace(tzinfo=zone)
    early, late = local.utcoffset(), local.replace(fold=1).utcoffset()
    if early is None or late is None:  # no zone of this module does that
        return _CHANGING + _Fault.SKIPPED
    # A clock change repeats or skips an hour: its local times have two offsets or none.
    if early != late:
        return _CHANGING + (_Fault.SKIPPED if early < late else _Fault.REPEATED)
    return early // _MICROSECOND


def _calendar_seconds(
    year: _Integers,
    month: _Integers,
    day: _Integers,
    hour: _Integers,
    minute: _Integers,
    second: _Integers,
) -> tuple[_Integers, _Booleans]:
    """Return the seconds since 1970, and which date and time exist."""
    real = (year >= 1) & (month >= 1) & (month <= 12)
    months = np.where(real, year * 12 + month - 13, 0)
    first_days = _first_days()
    first, next_first = first_days[months], first_days[months + 1]
    real &= (day >= 1) & (day <= next_first - first) & (hour < 24) & (minute < 60) & (second < 60)
    return (first + day - 1) * 86400 + hour * 3600 + minute * 60 + second, real


@functools.cache
def _first_days() -> _Integers:
    """Return the first day of each month from year 1 to 9999 and of the next, in days since 1970.

    NumPy converts dates much more slowly.
    """
    months = np.arange("0001-01", "10000-02", dtype="datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def _as_integers(values: pa.Array) -> _Integers:
    integers: _Integers = pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False)
    return integers


def _as_booleans(values: pa.BooleanArray) -> _Booleans:
    booleans: _Booleans = values.fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    return booleans
