"""Formats of dates, timestamps and times of day, compiled from a contract's pattern to RE2.

A pattern has the syntax and the meaning of Java's `DateTimeFormatter`, as ODCS specifies. The names
of months, weekdays, AM and PM come from Unicode's CLDR, through Babel.
https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/format/DateTimeFormatter.html
"""

import functools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shared import regex
from shared.model import Model, Zone
from shared.text import escape_note, quoted

if TYPE_CHECKING:
    import babel

_LOCALE = "en"

_TOKEN = re.compile(
    r"'(?P<literal>(?:[^']|'')*)'"
    r"|(?P<fractions>(?:\[\.S+\])+|(?:\[,S+\])+)"
    r"|(?P<bracket>[\[\]])"
    r"|(?P<space> )(?=a)"
    r"|(?P<letters>([A-Za-z])\6*)"
    r"|(?P<other>[^'])"
    r"|(?P<unknown>.)",
    re.DOTALL,
)

# The group and the RE2 expression of each run of pattern letters.
_PARTS = {
    "yyyy": ("year", r"\d{4}"),
    "yy": ("year_of_century", r"\d{2}"),
    "Q": ("quarter", "[1-4]"),
    "MM": ("month", r"\d{2}"),
    "M": ("month", r"\d{1,2}"),
    "dd": ("day", r"\d{2}"),
    "d": ("day", r"\d{1,2}"),
    "HH": ("hour", r"\d{2}"),
    "H": ("hour", r"\d{1,2}"),
    "hh": ("half_day_hour", r"\d{2}"),
    "h": ("half_day_hour", r"\d{1,2}"),
    "mm": ("minute", r"\d{2}"),
    "ss": ("second", r"\d{2}"),
    "X": ("offset", r"Z|[+-]\d{2}(?:\d{2})?"),
    "XX": ("offset", r"Z|[+-]\d{4}"),
    "XXX": ("offset", r"Z|[+-]\d{2}:\d{2}"),
    "x": ("offset", r"[+-]\d{2}(?:\d{2})?"),
    "xx": ("offset", r"[+-]\d{4}"),
    "xxx": ("offset", r"[+-]\d{2}:\d{2}"),
    "Z": ("offset", r"[+-]\d{4}"),
    "VV": ("zone", "[A-Za-z0-9_+/-]{1,50}"),
}
# The group of each run of pattern letters that is a name, and CLDR's width and context.
_NAMES = {
    "MMMM": ("month_name", "wide", "format"),
    "MMM": ("month_name", "abbreviated", "format"),
    "LLLL": ("month_name", "wide", "stand-alone"),
    "LLL": ("month_name", "abbreviated", "stand-alone"),
    "EEEE": ("weekday", "wide", "format"),
    "EEE": ("weekday", "abbreviated", "format"),
    "a": ("half_day", "abbreviated", "format"),
}
_ISO_DAY = r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
_ISO_MINUTE = rf"{_ISO_DAY}[Tt ](?P<hour>\d{{2}}):(?P<minute>\d{{2}})"
_ISO_SECOND = rf"{_ISO_MINUTE}:(?P<second>\d{{2}})(?:[.,](?P<fraction>\d+))?"
_ISO_OFFSET = r"(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)"
_NAMED = {
    "iso8601": {
        "yyyy-MM-dd'T'HH:mm:ss": _ISO_SECOND,
        "yyyy-MM-dd'T'HH:mm:ssXXX": _ISO_SECOND + _ISO_OFFSET,
        "yyyy-MM-dd'T'HH:mm": _ISO_MINUTE,
        "yyyy-MM-dd'T'HH:mmXXX": _ISO_MINUTE + _ISO_OFFSET,
        "yyyy-MM-dd": _ISO_DAY,
    },
    "epochSeconds": {"": r"(?P<epoch_seconds>-?\d{1,12})(?:\.(?P<fraction>\d+))?"},
    "epochMillis": {"": r"(?P<epoch_millis>-?\d{1,15})"},
}
"""The readings of each named pattern. A fraction may have any length."""
_YEARS = {"year", "year_of_century"}
_MONTHS = {"month", "month_name", "quarter"}
_EPOCHS = {"epoch_seconds", "epoch_millis"}
_ZONES = {"offset", "zone"}
_TIMES = {"hour", "half_day_hour", "half_day", "minute", "second", "fraction", *_ZONES, *_EPOCHS}
_SPACES = "[ \u00a0\u202f]"
"""CLDR has narrow and no-break spaces in and before AM and PM; files often have plain ones."""
_MAX_FRACTION = 9  # as in Java
_MAX_READINGS = 64
_ANY_DIGITS = re.compile(r"\\d|\{\d+,?\d*\}|\[A-Za-z0-9_\+/-\]")
"""Parts of expressions that treat all digits alike."""
MICROSECOND_DIGITS = 6
"""PostgreSQL stores microseconds."""

Described = Literal["days", "instants", "times"]
"""What the formats of a column describe: days, instants, or times of day."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a pattern, with or without each of its optional sections.

    `pattern` is this choice as a pattern, empty for numbers since 1970. `regex` has a named group
    for each of `groups`. `names` has the number of each name that a group may have: months from 1,
    weekdays from Monday, 0, and AM, 0, before PM. `fraction_digits` is the most digits of a
    fraction.
    """

    pattern: str
    regex: str
    groups: frozenset[str]
    names: Mapping[str, Mapping[str, int]]
    fraction_digits: int

    @property
    def is_absolute(self) -> bool:
        """Whether each text says its own time zone."""
        return bool(self.groups & {*_ZONES, *_EPOCHS})

    @property
    def tells_digits_apart(self) -> bool:
        """Whether it depends on a text's digits, not only on their places, if the text matches."""
        return re.search("[0-9]", _ANY_DIGITS.sub("", self.regex)) is not None

    @property
    def has_time(self) -> bool:
        """Whether each text says its hour."""
        return bool(self.groups & {"hour", "half_day_hour", *_EPOCHS})

    @property
    def longer(self) -> str | None:
        """The expression of texts that only have a longer fraction than allowed, if any."""
        if not 0 < self.fraction_digits <= _MAX_FRACTION:
            return None
        longer = rf"(?P<fraction>\\d{{{self.fraction_digits + 1},}})"
        return re.sub(r"\(\?P<fraction>[^)]*\)", longer, self.regex)


def plain(name: str) -> str:
    """Return a name without case, dots and spaces, in which files differ."""
    return re.sub(r"[.\s]", "", name).casefold()


@functools.cache
def readings(pattern: str, locale: str, described: Described) -> tuple[Reading, ...]:
    """Compile a pattern of Java's `DateTimeFormatter`, or one of the named patterns.

    `locale` is e.g. `de` or `de_AT`.

    Raises:
        ValueError: the pattern or the locale is not supported, or the pattern does not describe
            what it must.
    """
    if locale != _LOCALE:
        _locale(locale)  # even if the pattern has no names
    if pattern in _NAMED:
        found = [_reading(*each, {}, sys.maxsize) for each in _NAMED[pattern].items()]
        problems = [_problem(pattern, [*each.groups], described) for each in found]
        if all(problems):
            raise ValueError(problems[0])
        return tuple(each for each, problem in zip(found, problems, strict=True) if problem is None)
    tokens = [_Token.of(token, pattern, locale) for token in _TOKEN.finditer(pattern)]
    if not _is_balanced(tokens):
        raise ValueError(
            f"format {quoted(pattern)} has a [ without a ], or a ] without a [: correct it, or "
            "write it in 'quotes'"
        )
    kept: dict[str, Reading] = {}
    used: set[_Token] = set()
    dropped: list[tuple[list[_Token], int, str]] = []
    for choice in _choices(iter(tokens), pattern):
        groups = [each.group for each in choice if each.group is not None]
        if problem := _problem(pattern, groups, described):
            dropped.append((choice, len(groups) - len(set(groups)), problem))
            continue
        used.update(choice)
        expression = "".join(each.regex for each in choice)
        numbers = {each.group: each.names for each in choice if each.group and each.names}
        digits = max((each.fraction_digits for each in choice), default=0)
        written = "".join(each.text for each in choice if not each.text.startswith("["))
        kept[expression] = _reading(written, expression, numbers, digits)
    # A section that is in no reading has no effect. Its own problem is not that a part is repeated.
    useless = [each for each in dropped if not kept or not used.issuperset(each[0])]
    if useless:
        _, _, problem = min(useless, key=lambda each: each[1])
        raise ValueError(problem)
    return tuple(kept.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Token:
    """Token of a pattern, and the RE2 expression of its texts."""

    text: str
    regex: str
    group: str | None = None
    names: Mapping[str, int] | None = None
    fraction_digits: int = 0

    @classmethod
    def of(cls, token: re.Match[str], pattern: str, locale: str) -> "_Token":
        text, letters = token[0], token["letters"] or ""
        if token["literal"] is not None:
            return cls(text, re.escape(token["literal"].replace("''", "'") or "'"))
        if token["fractions"]:
            lengths = [len(run) for run in re.findall("S+", text)]
            if max(lengths) > _MAX_FRACTION:
                raise _unsupported(pattern, token)
            digits = "|".join(rf"\d{{{length}}}" for length in lengths)
            expression = rf"(?:{re.escape(text[1])}(?P<fraction>{digits}))?"
            return cls(text, expression, "fraction", fraction_digits=max(lengths))
        if letters.startswith("S") and len(letters) <= _MAX_FRACTION:
            expression = rf"(?P<fraction>\d{{{len(letters)}}})"
            return cls(text, expression, "fraction", fraction_digits=len(letters))
        if letters in _PARTS:
            group, expression = _PARTS[letters]
            return cls(text, f"(?P<{group}>{expression})", group)
        if letters in _NAMES:
            group = _NAMES[letters][0]
            numbers = _names(letters, locale)
            written = "|".join(map(_tolerant, numbers))
            plain_numbers = {plain(name): number for name, number in numbers.items()}
            return cls(text, f"(?P<{group}>(?i:{written}))", group, plain_numbers)
        if token["bracket"]:
            return cls(text, "")
        if token["space"]:
            return cls(text, _SPACES)
        if token["other"]:
            return cls(text, re.escape(text))
        raise _unsupported(pattern, token)


def _names(letters: str, name: str) -> dict[str, int]:
    """Return the numbers of CLDR's names in a locale for a run of pattern letters."""
    import babel.dates  # noqa: PLC0415 - most contracts have no names

    locale = _locale(name)
    group, width, context = _NAMES[letters]
    match group:
        case "month_name":
            names = babel.dates.get_month_names(width, context, locale)
        case "weekday":
            names = babel.dates.get_day_names(width, context, locale)
        case _:
            periods = babel.dates.get_period_names(width, context, locale)
            names = dict(enumerate((periods["am"], periods["pm"])))
    return {str(name): number for number, name in names.items()}


def _tolerant(name: str) -> str:
    """Return the expression of a name whose dots and spaces may be missing or differ."""
    return "".join(
        r"\.?" if each == "." else f"{_SPACES}?" if each.isspace() else re.escape(each)
        for each in name
    )


def _is_balanced(tokens: list[_Token]) -> bool:
    depth = 0
    for each in tokens:
        depth += (each.text == "[") - (each.text == "]")
        if depth < 0:
            break
    return depth == 0


def _choices(tokens: Iterator[_Token], pattern: str) -> list[list[_Token]]:
    """Return the tokens of each choice of optional sections, up to the end of this section."""
    choices: list[list[_Token]] = [[]]
    for token in tokens:
        if token.text == "]":
            break
        inside = [*_choices(tokens, pattern), []] if token.text == "[" else [[token]]
        choices = [[*before, *after] for before in choices for after in inside]
        if len(choices) > _MAX_READINGS:
            raise ValueError(
                f"format {quoted(pattern)} has more than {_MAX_READINGS} combinations of optional "
                "sections: write several formats"
            )
    return choices


def _reading(
    pattern: str, expression: str, names: Mapping[str, Mapping[str, int]], digits: int
) -> Reading:
    whole = regex.whole(expression)
    regex.check(whole)
    groups = frozenset(re.findall(r"\(\?P<(\w+)>", whole))
    return Reading(pattern, whole, groups, names, digits if "fraction" in groups else 0)


def _locale(name: str) -> "babel.Locale":
    import babel  # noqa: PLC0415 - as above

    try:
        return babel.Locale.parse(name)
    except (ValueError, babel.UnknownLocaleError):
        raise ValueError(f"{quoted(name)} is not a locale: use e.g. de or de_AT") from None


def _problem(pattern: str, groups: list[str], described: Described) -> str | None:
    """Return why the groups do not describe what they must; None if they do."""
    found, form = set(groups), f"format {quoted(pattern)}"
    if len(found) != len(groups):
        return f"{form} has a part twice: remove one of them"
    match described:
        case "days" if times := sorted(found & _TIMES):
            return (
                f"the date format {quoted(pattern)} has the times {times}: remove them, or make "
                "the column a timestamp; MM is the month and mm the minute"
            )
        case "times" if found - _TIMES or found & {*_ZONES, *_EPOCHS}:
            return f"{form} must only have the parts of a time of day: remove the others"
        case "times" if not found & {"hour", "half_day_hour"}:
            return f"{form} must have the hour: add H, HH, or h and a"
        case "instants" if found & _EPOCHS:
            return None
        case "days" | "instants" if len(found & _YEARS) != 1 or len(found & _MONTHS) != 1:
            return (
                f"{form} must have one year and one month or quarter; a day is optional: correct "
                "it, or make a column of years an integer"
            )
        case "days" | "instants" | "times":
            pass
    if "quarter" in found and "day" in found:
        return f"{form} has a quarter and a day: remove one of them"
    if "weekday" in found and "day" not in found:
        return f"{form} has a weekday but no day: remove the weekday, or add d or dd"
    if found >= _ZONES:
        return f"{form} has both an offset and a zone name: remove one of them"
    twelve = found & {"half_day_hour", "half_day"}
    if len(twelve) == 1 or (twelve and "hour" in found):
        return f"{form} must have the hour as H or HH, or as h or hh together with a"
    return None


def _unsupported(pattern: str, token: re.Match[str]) -> ValueError:
    return ValueError(
        f"format {quoted(pattern)}: {quoted(token[0])} is not supported: use "
        f"{', '.join([*_PARTS, *_NAMES])}, 'text', a fraction of up to {_MAX_FRACTION} S, optional "
        f"sections such as [:ss], or only {', '.join(_NAMED)}{escape_note(pattern)}"
    )


class Format(Model):
    """Format of a date, timestamp or time of day.

    `pattern` is one of Java's `DateTimeFormatter`, or `iso8601`, `epochSeconds` or `epochMillis`.
    `locale` is the language of names. `timezone` overrides the time zone of the column. `pivot` is
    the first of the hundred years that `yy` means. `beyond_microseconds` says what happens to a
    text whose fraction has further digits that are not zero.
    """

    pattern: str = Field(max_length=200)
    locale: str = Field(default=_LOCALE, max_length=50)
    timezone: Zone | None = None
    pivot: int | None = Field(default=None, ge=1, le=9_900)
    beyond_microseconds: Literal["reject", "truncate"] | None = None

    def readings(self, described: Described) -> tuple[Reading, ...]:
        """Return the ways to read a text; raise ValueError if they do not describe what they must.

        A reading is one choice of optional sections.
        """
        return readings(self.pattern, self.locale, described)

    def problems(self, described: Described) -> Iterator[str]:
        """Yield why the format does not describe what it must, or has properties without effect."""
        try:
            found = self.readings(described)
        except ValueError as error:
            yield str(error)
            return
        form = f"format {quoted(self.pattern)}"
        if self.timezone is not None and described != "instants":
            yield f"{form} has no time zone: remove 'timezone'"
        elif self.timezone is not None and all(each.is_absolute for each in found):
            yield f"{form} reads the time zone from the text: remove 'timezone'"
        if self.pivot is not None and not any("year_of_century" in each.groups for each in found):
            yield f"{form} has no yy: remove 'pivot'"
        if self.beyond_microseconds is not None and not any(
            each.fraction_digits > MICROSECOND_DIGITS for each in found
        ):
            yield (
                f"{form} has no fraction of more than {MICROSECOND_DIGITS} digits: remove "
                "'beyondMicroseconds'"
            )
