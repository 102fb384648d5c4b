"""Parses dates, timestamps and times of day by the contract's formats.

All formats are tried, none is guessed. `shared.formats` converts each format to a regular
expression for Arrow. NumPy's calendar converts the extracted numbers, because Arrow's `strptime`
reads 30 February as 2 March and supports neither fractions nor month names in other languages.
"""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.contract import Column
from shared.formats import MAX_FRACTION_DIGITS, TextFormat

TYPE = pa.timestamp("us", tz="UTC")
TIME_TYPE = pa.time64("us")

_Integers = npt.NDArray[np.int64]
_SECOND = 1_000_000
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_LAST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_NO_OFFSET = 2**62


def parse_timestamps(texts: pa.StringArray, column: Column) -> tuple[pa.Array, pa.BooleanArray]:
    """Parse texts as timestamps; null stays null.

    Return timestamps in microseconds UTC, and which texts match two formats with different results.
    A timestamp is null if the text matches no format, is ambiguous or is not a valid date. The
    column's `timezone` applies to formats without one.
    """
    readings = [
        _localised(_read(texts, each.text_format("instants")), each.timezone or column.timezone)
        for each in column.formats
    ]
    return _agreed(readings)


def parse_dates(texts: pa.StringArray, column: Column) -> tuple[pa.Array, pa.BooleanArray]:
    """Parse dates; like `parse_timestamps`."""
    readings = [_read(texts, each.text_format("days")).cast(pa.date32()) for each in column.formats]
    return _agreed(readings)


def parse_times(texts: pa.StringArray, column: Column) -> tuple[pa.Array, pa.BooleanArray]:
    """Parse times of day as `TIME_TYPE`; like `parse_timestamps`."""
    readings = [_read(texts, each.text_format("times")).cast(TIME_TYPE) for each in column.formats]
    return _agreed(readings)


def _agreed(readings: list[pa.Array]) -> tuple[pa.Array, pa.BooleanArray]:
    result, *others = readings
    ambiguous = pa.array(np.zeros(len(result), dtype=bool))
    for other in others:
        differs = pc.fill_null(pc.not_equal(result, other), fill_value=False)
        ambiguous = pc.or_(ambiguous, differs)
        result = pc.coalesce(result, other)
    return pc.if_else(ambiguous, None, result), ambiguous


def _read(texts: pa.StringArray, form: TextFormat) -> pa.Array:
    # Matching costs a fifth of extracting, and most texts match only one format.
    matched = np.flatnonzero(
        pc.fill_null(pc.match_substring_regex(texts, form.regex), fill_value=False)
    )
    found = pc.extract_regex(texts.take(pa.array(matched)), form.regex)

    def number(group: str) -> _Integers:
        if group not in form.groups:
            return np.zeros(len(matched), dtype=np.int64)
        return _as_integers(pc.struct_field(found, group))

    if "year" in form.groups:
        year, day = number("year"), number("day")
    else:  # a time of day
        year, day = np.full(len(matched), 1970), np.ones(len(matched), np.int64)
    if "month_name" in form.groups:
        names = pc.struct_field(found, "month_name")
        month = 1 + _as_integers(pc.index_in(names, pa.array(form.months)))
    elif "month" in form.groups:
        month = number("month")
    else:
        month = np.ones(len(matched), np.int64)
    if "half_day_hour" in form.groups:
        twelve = number("half_day_hour")
        afternoon = pc.equal(pc.struct_field(found, "half_day"), form.half_days[1])
        hour = twelve % 12 + 12 * _as_integers(afternoon)
        hour[(twelve < 1) | (twelve > 12)] = 24  # does not exist, so the calendar rejects it
    else:
        hour = number("hour")
    minute, second = number("minute"), number("second")
    if "fraction" in form.groups:
        digits = pc.struct_field(found, "fraction")
        micros = _as_integers(pc.utf8_rpad(digits, width=MAX_FRACTION_DIGITS, padding="0"))
    else:
        micros = number("fraction")

    seconds, real = _calendar_seconds(year, month, day, hour, minute, second)
    instants = np.zeros(len(texts), dtype=np.int64)
    instants[matched] = seconds * _SECOND + micros
    invalid = np.ones(len(texts), dtype=bool)
    invalid[matched] = ~real
    return pa.array(instants, mask=invalid).cast(pa.timestamp("us"))


def _calendar_seconds(
    year: _Integers,
    month: _Integers,
    day: _Integers,
    hour: _Integers,
    minute: _Integers,
    second: _Integers,
) -> tuple[_Integers, npt.NDArray[np.bool_]]:
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


def _localised(local: pa.Array, zone: str) -> pa.Array:
    if zone in {"UTC", "Etc/UTC"}:
        return local.cast(TYPE)
    # Arrow lacks daylight saving time after 2037 and needs the machine's time zone database.
    instants = local.cast(pa.int64()).fill_null(0).to_numpy()
    seconds, each = np.unique(instants // _SECOND, return_inverse=True)
    offsets = np.array([_offset(second, ZoneInfo(zone)) for second in seconds.tolist()], np.int64)
    instants = instants - offsets[each]
    # The first and last local hours of the calendar may be outside it in UTC.
    real = (offsets[each] != _NO_OFFSET) & (instants >= _FIRST) & (instants <= _LAST)
    missing = local.is_null().to_numpy(zero_copy_only=False)
    return pa.array(instants, mask=missing | ~real).cast(TYPE)


def _offset(second: int, zone: ZoneInfo) -> int:
    """Return the UTC offset of a local second in microseconds; `_NO_OFFSET` if it is ambiguous."""
    local = (_EPOCH + dt.timedelta(seconds=second)).replace(tzinfo=zone)
    early, late = local.utcoffset(), local.replace(fold=1).utcoffset()
    # A clock change repeats or skips an hour: its local times have two offsets or none.
    if early is None or early != late:
        return _NO_OFFSET
    return early // _MICROSECOND
