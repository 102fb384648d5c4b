"""Formats of dates and timestamps, compiled from a contract's pattern to an RE2 expression.

A pattern has the syntax of Java's `DateTimeFormatter`, as ODCS specifies. The names of months and
of AM and PM come from Unicode's CLDR, through Babel.
https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/format/DateTimeFormatter.html
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import babel.dates

from shared import regex
from shared.text import quoted

_TOKEN = re.compile(
    r"'(?P<literal>(?:[^']|'')*)'"
    r"|(?P<fractions>(?:\[\.S+\])+)"
    r"|(?P<letters>([A-Za-z])\4*)"
    r"|(?P<other>[^\[\]'])"
    r"|(?P<unknown>.)",
    re.DOTALL,
)

# The RE2 expression of each run of pattern letters.
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
_DAY_GROUPS = {"year", "month", "month_name", "day"}
_TIME_GROUPS = {"hour", "half_day_hour", "half_day", "minute", "second", "fraction"}
MAX_FRACTION_DIGITS = 6
"""PostgreSQL stores microseconds."""

Described = Literal["days", "instants", "times"]
"""What the formats of a column describe: days, instants, or times of day."""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Compiled format: `regex` has a named group for each of `groups`.

    `months` are the texts of the group `month_name`, from January to December. `half_days` are the
    texts of the group `half_day`, AM first.
    """

    regex: str
    groups: frozenset[str]
    months: tuple[str, ...]
    half_days: tuple[str, str]


@functools.cache
def text_format(pattern: str, locale: str, described: Described) -> TextFormat:
    """Compile a pattern of Java's `DateTimeFormatter`; `locale` is e.g. `de` or `de_AT`.

    Raises:
        ValueError: the pattern or the locale is not supported, or the pattern does not describe
            what it must.
    """
    names = _locale(locale)
    tokens = list(_TOKEN.finditer(pattern))
    widths = [_MONTH_WIDTHS[t["letters"]] for t in tokens if t["letters"] in _MONTH_WIDTHS]
    width = next(iter(widths), "wide")
    months = tuple(dict(babel.dates.get_month_names(width, "format", names)).values())
    periods = babel.dates.get_period_names("abbreviated", "format", names)
    half_days = (str(periods["am"]), str(periods["pm"]))

    def pieces() -> Iterator[str]:
        for token in tokens:
            letters = token["letters"]
            if token["literal"] is not None:
                yield re.escape(token["literal"].replace("''", "'") or "'")
            elif token["fractions"]:
                lengths = [len(run) for run in re.findall("S+", token["fractions"])]
                if max(lengths) > MAX_FRACTION_DIGITS:
                    raise _unsupported(pattern, token["fractions"])
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
                raise _unsupported(pattern, token[0])

    whole = rf"\A(?:{''.join(pieces())})\z"
    groups = re.findall(r"\(\?P<(\w+)>", whole)
    _check(pattern, groups, described)
    regex.check(whole)
    return TextFormat(whole, frozenset(groups), months, half_days)


def _locale(name: str) -> babel.Locale:
    try:
        return babel.Locale.parse(name)
    except (ValueError, babel.UnknownLocaleError):
        raise ValueError(f"{quoted(name)} is not a locale: use e.g. de or de_AT") from None


def _check(pattern: str, groups: list[str], described: Described) -> None:
    found = set(groups)
    if len(found) != len(groups):
        raise ValueError(f"format {quoted(pattern)} has a part twice: remove one of them")
    times, days = sorted(found & _TIME_GROUPS), sorted(found & _DAY_GROUPS)
    match described:
        case "days":
            if times:
                raise ValueError(
                    f"the date format {quoted(pattern)} has the times {times}: remove them, or "
                    "make the column a timestamp"
                )
        case "instants":
            pass
        case "times":
            if days or not found & {"hour", "half_day_hour"}:
                raise ValueError(
                    f"format {quoted(pattern)} must have the hour, and no part of a date"
                )
    months = found & {"month", "month_name"}
    if described != "times" and (not {"year", "day"} <= found or len(months) != 1):
        raise ValueError(f"format {quoted(pattern)} must have year, month and day")
    twelve = found & {"half_day_hour", "half_day"}
    if len(twelve) == 1 or (twelve and "hour" in found):
        raise ValueError(
            f"format {quoted(pattern)} must have the hour as H or HH, or as h or hh together with a"
        )


def _unsupported(pattern: str, part: str) -> ValueError:
    return ValueError(
        f"format {quoted(pattern)}: {quoted(part)} is not supported: use "
        f"{', '.join([*_NUMBERS, *_MONTH_WIDTHS, 'a'])}, 'text', and optional fractions of up to "
        f"{MAX_FRACTION_DIGITS} digits such as [.SSSSSS][.SSS]"
    )
