"""Dates and timestamps as text, read by a contract's formats: all are tried, none is guessed.

A format is a Java `DateTimeFormatter` pattern, which is what ODCS names for dates. It becomes a
regular expression for Arrow; the numbers it finds become an instant by NumPy's calendar, because
Arrow's own `strptime` takes 30 February for 2 March and knows neither fractions nor other
languages' months (whose names come from Unicode's CLDR, by Babel).
"""

import datetime as dt
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import babel.dates
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.contract import Column, Format
from shared.errors import InvalidContract

TYPE = pa.timestamp("us", tz="UTC")

_TOKEN = re.compile(
    r"'(?P<literal>(?:[^']|'')*)'"
    r"|(?P<fractions>(?:\[\.S+\])+)"
    r"|(?P<letters>([A-Za-z])\4*)"
    r"|(?P<other>[^\[\]])"
    r"|(?P<unknown>.)"
)

# Each pattern letter run, as RE2; the group's name says what the digits are.
_NUMBERS = {
    "yyyy": r"(?P<year>\d{4})",
    "MM": r"(?P<month>\d{2})",
    "M": r"(?P<month>\d{1,2})",
    "dd": r"(?P<day>\d{2})",
    "d": r"(?P<day>\d{1,2})",
    "HH": r"(?P<hour>\d{2})",
    "H": r"(?P<hour>\d{1,2})",
    "hh": r"(?P<half_day_hour>\d{2})",
    "h": r"(?P<half_day_hour>\d{1,2})",
    "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})",
}
_MONTH_WIDTHS = {"MMMM": "wide", "MMM": "abbreviated"}
_TIME_GROUPS = {"hour", "half_day_hour", "half_day", "minute", "second", "fraction"}
_MAX_FRACTION_DIGITS = 6
"""PostgreSQL keeps microseconds."""
_SECOND = 1_000_000
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_LAST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // _MICROSECOND
_NO_OFFSET = 2**62


@dataclass(frozen=True, slots=True)
class _Format:
    regex: str
    groups: frozenset[str]
    months: tuple[str, ...]
    half_days: tuple[str, str]


def parse_timestamps(texts: pa.StringArray, column: Column) -> tuple[pa.Array, pa.BooleanArray]:
    """Read timestamps.

    Args:
        texts: what the file says; null stays null.
        column: its `formats` are all tried, its `timezone` is meant where a format names none.

    Returns:
        Instants in microseconds UTC, null where a text fits no format or is no real date; and
        which texts fit two formats with different results (null as well in the first).
    """
    readings = [
        _localised(_read(texts, _compiled(each)), each.timezone or column.timezone)
        for each in column.formats
    ]
    return _agreed(readings)


def parse_dates(texts: pa.StringArray, column: Column) -> tuple[pa.Array, pa.BooleanArray]:
    """Read dates without a time, as `parse_timestamps` reads timestamps."""
    readings = []
    for each in column.formats:
        form = _compiled(each)
        if timed := form.groups & _TIME_GROUPS:
            raise InvalidContract(
                f"date format {each.pattern!r} of column {column.name} names {sorted(timed)}: "
                "a date has no time, a timestamp has"
            )
        readings.append(_read(texts, form).cast(pa.date32()))
    return _agreed(readings)


def _agreed(readings: list[pa.Array]) -> tuple[pa.Array, pa.BooleanArray]:
    result, *others = readings
    ambiguous = pa.array(np.zeros(len(result), dtype=bool))
    for other in others:
        differs = pc.fill_null(pc.not_equal(result, other), fill_value=False)
        ambiguous = pc.or_(ambiguous, differs)
        result = pc.coalesce(result, other)
    return pc.if_else(ambiguous, None, result), ambiguous


@functools.cache
def _compiled(form: Format) -> _Format:
    locale = babel.Locale.parse(form.locale)
    width = next((w for run, w in _MONTH_WIDTHS.items() if run in form.pattern), "wide")
    months = tuple(dict(babel.dates.get_month_names(width, "format", locale)).values())
    periods = babel.dates.get_period_names("abbreviated", "format", locale)
    half_days = (str(periods["am"]), str(periods["pm"]))

    def pieces() -> Iterator[str]:
        for token in _TOKEN.finditer(form.pattern):
            letters = token["letters"]
            if token["literal"] is not None:
                yield re.escape(token["literal"].replace("''", "'") or "'")
            elif token["fractions"]:
                lengths = [len(run) for run in re.findall("S+", token["fractions"])]
                if max(lengths) > _MAX_FRACTION_DIGITS:
                    raise _not_understood(form, token["fractions"])
                digits = "|".join(rf"\d{{{length}}}" for length in lengths)
                yield rf"(?:\.(?P<fraction>{digits}))?"
            elif token["other"]:
                yield re.escape(token["other"])
            elif letters in _NUMBERS:
                yield _NUMBERS[letters]
            elif letters in _MONTH_WIDTHS:
                yield f"(?P<month_name>{'|'.join(map(re.escape, months))})"
            elif letters == "a":
                yield f"(?P<half_day>{'|'.join(map(re.escape, half_days))})"
            else:
                raise _not_understood(form, token[0])

    regex = "".join(pieces())
    groups = re.findall(r"\(\?P<(\w+)>", regex)
    if len(set(groups)) != len(groups) or not {"year", "day"} <= set(groups):
        raise InvalidContract(
            f"format {form.pattern!r} must name year, month and day, each part once"
        )
    return _Format(rf"\A(?:{regex})\z", frozenset(groups), months, half_days)


def _not_understood(form: Format, part: str) -> InvalidContract:
    return InvalidContract(
        f"format {form.pattern!r}: {part!r} is not among what this pipeline reads: "
        f"{', '.join([*_NUMBERS, *_MONTH_WIDTHS, 'a'])}, 'text', and optional fractions of up to "
        f"{_MAX_FRACTION_DIGITS} digits such as [.SSSSSS][.SSS]"
    )


def _read(texts: pa.StringArray, form: _Format) -> pa.Array:
    # Matching costs a fifth of extracting, and most texts fit one format alone.
    matched = np.flatnonzero(
        pc.fill_null(pc.match_substring_regex(texts, form.regex), fill_value=False)
    )
    found = pc.extract_regex(texts.take(pa.array(matched)), form.regex)

    def number(group: str) -> npt.NDArray[np.int64]:
        if group not in form.groups:
            return np.zeros(len(matched), dtype=np.int64)
        return _as_integers(pc.struct_field(found, group))

    year, day = number("year"), number("day")
    if "month_name" in form.groups:
        names = pc.struct_field(found, "month_name")
        month = 1 + _as_integers(pc.index_in(names, pa.array(form.months)))
    else:
        month = number("month")
    if "half_day_hour" in form.groups:
        twelve = number("half_day_hour")
        afternoon = pc.equal(pc.struct_field(found, "half_day"), form.half_days[1])
        hour = twelve % 12 + 12 * _as_integers(afternoon)
        hour[(twelve < 1) | (twelve > 12)] = 24  # no such hour: judged below
    else:
        hour = number("hour")
    minute, second = number("minute"), number("second")
    if "fraction" in form.groups:
        digits = pc.struct_field(found, "fraction")
        micros = _as_integers(pc.utf8_rpad(digits, width=_MAX_FRACTION_DIGITS, padding="0"))
    else:
        micros = number("fraction")

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
    instants = np.zeros(len(texts), dtype=np.int64)
    instants[matched] = seconds * 1_000_000 + micros
    invalid = np.ones(len(texts), dtype=bool)
    invalid[matched] = ~real
    return pa.array(instants, mask=invalid).cast(pa.timestamp("us"))


def _as_integers(values: pa.Array) -> npt.NDArray[np.int64]:
    integers: npt.NDArray[np.int64] = pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False)
    return integers


def _localised(local: pa.Array, zone: str) -> pa.Array:
    if zone in {"UTC", "Etc/UTC"}:
        return local.cast(TYPE)
    # Arrow's time zones know no summer time after 2037, and need the machine's own database.
    instants = local.cast(pa.int64()).fill_null(0).to_numpy()
    seconds, each = np.unique(instants // _SECOND, return_inverse=True)
    offsets = np.array([_offset(second, ZoneInfo(zone)) for second in seconds.tolist()], np.int64)
    instants = instants - offsets[each]
    # The first and last local hours of the calendar can be instants outside of it.
    real = (offsets[each] != _NO_OFFSET) & (instants >= _FIRST) & (instants <= _LAST)
    missing = local.is_null().to_numpy(zero_copy_only=False)
    return pa.array(instants, mask=missing | ~real).cast(TYPE)


def _offset(second: int, zone: ZoneInfo) -> int:
    """Return how many microseconds a local second since 1970 is ahead of UTC, if it is sure."""
    local = (_EPOCH + dt.timedelta(seconds=second)).replace(tzinfo=zone)
    early, late = local.utcoffset(), local.replace(fold=1).utcoffset()
    # An hour that a clock change repeats or leaves out names two instants or none.
    if early is None or early != late:
        return _NO_OFFSET
    return early // _MICROSECOND
