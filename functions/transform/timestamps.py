"""Parses dates, timestamps and times of day by the contract's formats.

All formats are tried, none is guessed. `shared.formats` converts each format to regular expressions
for Arrow. NumPy's calendar converts the extracted numbers, because Arrow's `strptime` reads 30
February as 2 March and supports neither fractions nor month names in other languages.
"""

import datetime as dt
import functools
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto
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
_SECOND = 1_000_000
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_LAST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_THURSDAY = 3  # the weekday of 1970-01-01
_MAX_OFFSET = 18 * 3600  # in seconds, as in Java
_PIVOT = 2000  # Java's first year of `yy`
_BEYOND = rf"\A\d{{{MICROSECOND_DIGITS}}}\d*[1-9]"
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
class _Values:
    """The values of texts in one reading of a format, null for those with a fault."""

    values: pa.Array
    faults: npt.NDArray[np.int8]
    form: Format
    reading: Reading
    zone: str


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
    found = [
        _read(texts, form, reading, form.timezone or column.timezone, kind)
        for form in column.formats
        for reading in form.readings(described)
    ]
    result = found[0].values
    ambiguous = pa.array(np.zeros(len(result), dtype=bool))
    for other in found[1:]:
        differs = pc.fill_null(pc.not_equal(result, other.values), fill_value=False)
        ambiguous = pc.or_(ambiguous, differs)
        result = pc.coalesce(result, other.values)
    result = pc.if_else(ambiguous, None, result)
    return result, lambda: _reasons(texts, column, found, ambiguous)


def _reasons(
    texts: pa.StringArray, column: Column, found: list[_Values], ambiguous: pa.BooleanArray
) -> pa.StringArray:
    worst = np.zeros(len(texts), np.int8)
    reasons = np.full(len(texts), "", object)
    # Of several fractions that are too long, a reason names the longest that is allowed.
    for each in sorted(found, key=lambda each: -each.reading.fraction_digits):
        faults = each.faults.copy()
        if each.reading.longer is not None:
            is_longer = _as_booleans(pc.match_substring_regex(texts, each.reading.longer))
            faults[(faults == _Fault.UNMATCHED) & is_longer] = _Fault.LONGER
        for fault in _Fault:
            reasons[(faults == fault) & (faults > worst)] = _reason(fault, each, column)
        worst = np.maximum(worst, faults)
    patterns = " | ".join(form.pattern for form in column.formats)
    two = f"{column.name} matches two formats with different results: {patterns}"
    return pc.if_else(ambiguous, two, pa.array(reasons, pa.string()))


def _reason(fault: _Fault, values: _Values, column: Column) -> str:
    name, pattern, digits = column.name, values.form.pattern, values.reading.fraction_digits
    zone = "its time zone" if values.reading.is_absolute else values.zone
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


def _read(
    texts: pa.StringArray, form: Format, reading: Reading, zone: str, kind: pa.DataType
) -> _Values:
    # Matching costs a fifth of extracting, and most texts match only one format.
    matched = np.flatnonzero(_as_booleans(pc.match_substring_regex(texts, reading.regex)))
    found = pc.extract_regex(texts.take(pa.array(matched)), reading.regex)
    parts = _Parts(found, reading, np.zeros(len(matched), np.int8))
    if "epoch_millis" in reading.groups:
        instants = parts.number("epoch_millis") * 1_000
    elif "epoch_seconds" in reading.groups:
        micros = parts.micros()
        is_negative = _as_booleans(pc.starts_with(parts.text("epoch_seconds"), "-"))
        micros = np.where(is_negative, -micros, micros).astype(np.int64)
        instants = parts.number("epoch_seconds") * _SECOND + micros
    else:
        instants = parts.seconds(form.pivot or _PIVOT) * _SECOND + parts.micros()
        if kind == TYPE:
            instants = parts.utc(instants, ZoneInfo(zone))
    parts.fail(_Fault.OUTSIDE, (instants < _FIRST) | (instants > _LAST))
    if form.beyond_microseconds != "truncate":
        parts.fail(_Fault.PRECISE, parts.is_beyond_microseconds())

    values = np.zeros(len(texts), np.int64)
    values[matched] = instants
    faults = np.full(len(texts), _Fault.UNMATCHED, np.int8)
    faults[matched] = parts.faults
    array = pa.array(values, mask=faults != _Fault.NONE).cast(pa.timestamp("us")).cast(kind)
    return _Values(array, faults, form, reading, zone)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of texts that match a reading, by group; `faults` has the first fault of each."""

    found: pa.StructArray
    reading: Reading
    faults: npt.NDArray[np.int8]

    def fail(self, fault: _Fault, where: _Booleans) -> None:
        self.faults[where & (self.faults == _Fault.NONE)] = fault

    def text(self, group: str) -> pa.StringArray:
        return pc.struct_field(self.found, group)

    def number(self, group: str, default: int = 0) -> _Integers:
        if group not in self.reading.groups:
            return np.full(len(self.faults), default, np.int64)
        return _as_integers(self.text(group))

    def name(self, group: str) -> _Integers:
        """Return the numbers of names."""
        numbers, encoded = self.reading.names[group], self.text(group).dictionary_encode()
        # RE2 and Python may ignore the case of rare letters differently: -1 is no valid number.
        found = [numbers.get(plain(name), -1) for name in encoded.dictionary.to_pylist()]
        return np.array(found, np.int64)[_as_integers(encoded.indices)]

    def micros(self) -> _Integers:
        if "fraction" not in self.reading.groups:
            return self.number("fraction")
        digits = self.text("fraction")
        if self.reading.fraction_digits > MICROSECOND_DIGITS:
            digits = pc.utf8_slice_codeunits(digits, 0, MICROSECOND_DIGITS)
        return _as_integers(pc.utf8_rpad(digits, width=MICROSECOND_DIGITS, padding="0"))

    def is_beyond_microseconds(self) -> _Booleans:
        """Return which fractions have digits other than zero beyond microseconds."""
        if self.reading.fraction_digits <= MICROSECOND_DIGITS:
            return np.zeros(len(self.faults), np.bool_)
        return _as_booleans(pc.match_substring_regex(self.text("fraction"), _BEYOND))

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
                encoded = self.text(group).dictionary_encode()
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
    months_since_1970 = (year - 1970) * 12 + month - 1
    first_days = months_since_1970.astype("datetime64[M]").astype("datetime64[D]")
    dates = first_days + (day - 1)
    real = (
        (year >= 1)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (dates.astype("datetime64[M]").astype(np.int64) == months_since_1970)
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
    )
    seconds = dates.astype(np.int64) * 86400 + hour * 3600 + minute * 60 + second
    return seconds, real


def _as_integers(values: pa.Array) -> _Integers:
    integers: _Integers = pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False)
    return integers


def _as_booleans(values: pa.BooleanArray) -> _Booleans:
    booleans: _Booleans = values.fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    return booleans
