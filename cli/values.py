"""Generated values for one column of a contract: valid ones, and one that breaks each rule.

Candidates come from the type, the formats, the bounds and the column's `examples`, and are then
checked against the rules. Patterns are not analyzed: a column with a pattern may need an example.
"""

import datetime as dt
import itertools
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import babel.dates

from shared import regex
from shared.column import Column
from shared.column_types import comparable
from shared.contract import Contract
from shared.formats import Format, Reading
from shared.quality import (
    Allowed,
    AnyRule,
    Bound,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Unique,
)

_MANY = 1_000
_WORDS = ("tm-smoke-", "smoke", "s", "")
_A_DAY = dt.date(2001, 1, 13)
_DAYS = 2_000
_MARGIN = dt.timedelta(days=3)
"""Distance from now at which a day is in the past, or in the future, in every time zone."""
_EXACT = Context(prec=100)
_LONGEST = 10_000
"""Maximum length of a text, in characters. A text of more than 131,072 would break `quoting`."""

Value = str | Decimal | bool | dt.date | dt.datetime | dt.time


@dataclass(frozen=True, slots=True)
class Flaw:
    """A defect of a row: the rule to reject it, the text, and all rules that the text breaks.

    If `text` is None, the row repeats the values of an earlier row in `columns`, or in its column.
    """

    rule: str
    text: str | None
    breaks: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """The texts of one column; `now` is the current time."""

    column: Column
    contract: Contract
    now: dt.datetime
    preferred: str | None = None
    """A text to use before all others if it is valid."""
    tells_apart: bool = False
    """Whether no two rows may have the same value, so that the columns of a rule differ."""

    @property
    def is_unique(self) -> bool:
        """Whether no two rows may have the same value."""
        return self.tells_apart or any(isinstance(rule, Unique) for rule in self.column.rules)

    @property
    def missing(self) -> str | None:
        """A text that stands for a missing value, or None."""
        tokens = self.contract.missing(self.column)
        if self.column.quoted_empty == "text" and len(self.contract.columns) == 1:
            tokens = tuple(filter(None, tokens))  # an empty value alone in its row needs quotes
        return next(filter(self._is_seen, tokens), None)

    def is_missing(self, text: str) -> bool:
        """Return whether a text stands for a missing value."""
        return self._read(text) in self.contract.missing(self.column)

    def good(self) -> Iterator[str]:
        """Yield different texts that break no rule, not even one that only warns."""
        seen = set()
        for value, text in self._candidates():
            # Different texts may be the same timestamp, so unique columns compare values.
            each = value if self.is_unique else text
            if each not in seen and not self._broken(value):
                seen.add(each)
                yield text

    def flaws(self) -> Iterator[Flaw]:
        """Yield one flaw for each rule that can reject a value, if a text for it is found."""
        none = "tm\0smoke" if self.column.type.is_text else "no value"
        if self._is_usable(none) and none.casefold() not in map(str.casefold, self._tokens):
            yield Flaw(self.column.kind, none)
        for rule in self.column.rules:
            if rule.severity == "error" and (flaw := self._flaw(rule)) is not None:
                yield flaw

    def _flaw(self, rule: AnyRule) -> Flaw | None:
        alike = frozenset(each.name for each in self.column.rules if each.kind == rule.kind)
        match rule:
            case Required():
                return None if self.missing is None else Flaw(rule.name, self.missing, alike)
            case Unique():
                return Flaw(rule.name, None, alike)
        found = None
        for value, text in self._candidates():
            broken = self._broken(value)
            if rule.name in broken and (found is None or len(broken) < len(found.breaks)):
                found = Flaw(rule.name, text, broken)
                if len(broken) == 1:
                    break
        return found

    def _broken(self, value: Value) -> frozenset[str]:
        """Return the names of the rules that a value breaks regardless of other rows."""
        return frozenset(
            rule.name for rule in self.column.rules if not _satisfies(value, rule, self)
        )

    def _is_usable(self, text: str) -> bool:
        """Return whether a text is a value and the file's encoding has its characters."""
        try:
            text.encode(self.contract.encoding)
            self.contract.dialect.record(["", text])
        except ValueError:
            return False
        return self._is_seen(text) and not self.is_missing(text)

    def _is_seen(self, text: str) -> bool:
        """Return whether a row is not ignored if this column alone has a text."""
        is_only = len(self.contract.columns) == 1
        return bool(text) or not (is_only and self.contract.dialect.skip_empty_rows)

    def _read(self, text: str) -> str:
        return text.strip() if self.column.trim else text

    @property
    def _tokens(self) -> tuple[str, ...]:
        return (*self.column.true_tokens, *self.column.false_tokens)

    def _candidates(self) -> Iterator[tuple[Value, str]]:
        """Yield valid and invalid values of the type with their texts."""
        return (each for each in self._values() if self._is_usable(each[1]))

    def _values(self) -> Iterator[tuple[Value, str]]:
        limits = self.column.limits
        match self.column.kind:
            case "string":
                return ((self._read(text), text) for text in self._strings())
            case "boolean":
                return ((text in self.column.true_tokens, text) for text in self._tokens)
            case "integer":
                return self._numbers(0, limits.integers)
            case "number":
                kept = range(1 - 10**limits.precision, 10**limits.precision)
                return self._numbers(limits.scale, kept)
            case "date" | "timestamp":
                return self._moments()
            case "float":
                bounds = [each for each in self._bounds if isinstance(each, Decimal)]
                # Of larger numbers, `real` does not store every digit.
                numbers = self._numbers(0, range(-(2**24), 2**24))
                return itertools.chain(((each, self._decimal(each)) for each in bounds), numbers)
            case "time":
                return self._times()
            case "uuid":
                ids = (f"00000000-0000-4000-8000-{number:012x}" for number in range(_MANY))
                return ((text, text) for text in ids)
            case "json":
                return ((text, text) for text in map('{{"smoke":{}}}'.format, range(_MANY)))

    def _strings(self) -> Iterator[str]:
        if self.preferred is not None:
            yield self.preferred
        for rule in self.column.rules:
            if isinstance(rule, Allowed):
                yield from rule.values
        for example, number in itertools.product(map(str, self.column.examples), range(_MANY)):
            yield example
            before, digits, after = re.split(r"(\d+|$)", example, maxsplit=1)
            yield f"{before}{number:0{max(len(digits), 1)}}{after}"
        lengths = [rule for rule in self.column.rules if isinstance(rule, Length)]
        shortest = max((rule.minimum or 1 for rule in lengths), default=1)
        for word, number in itertools.product(_WORDS, range(_MANY)):
            yield f"{word}{number:0{max(shortest - len(word), 1)}}"
        for letters in (string.ascii_lowercase, string.ascii_uppercase):
            words = itertools.product(letters, repeat=shortest)
            yield from map("".join, itertools.islice(words, _MANY))
        yield from ("?", "no value!")
        for rule in lengths:
            wrong = ((rule.minimum or 1) - 1, (rule.maximum or 0) + 1)
            yield from ("x" * length for length in wrong if length <= _LONGEST)

    def _numbers(self, scale: int, kept: range) -> Iterator[tuple[Value, str]]:
        # Scaled integers avoid rounding: one step is one unit of the last kept digit.
        bounds = [each for each in self._bounds if isinstance(each, Decimal)]
        near = [10**scale, *(int(_EXACT.scaleb(each, scale)) for each in bounds)]
        for steps, start in itertools.product(range(_MANY), near):
            for number in (start + steps, start - steps):
                if number in kept:
                    value = _EXACT.scaleb(Decimal(number), -scale)
                    yield value, self._decimal(value)

    def _decimal(self, value: Decimal) -> str:
        return f"{value:f}".replace(".", self.contract.decimal_mark)

    def _times(self) -> Iterator[tuple[Value, str]]:
        for minute, (form, reading) in itertools.product(range(24 * 60), self._readings):
            time = dt.time(*divmod(minute, 60))
            if time.minute == 0 or "minute" in reading.groups:
                yield time, babel.dates.format_time(time, reading.pattern, locale=form.locale)

    def _moments(self) -> Iterator[tuple[Value, str]]:
        for day, (form, reading) in itertools.product(self._days(), self._readings):
            first = form.pivot or 2000
            if "year_of_century" in reading.groups and day.year not in range(first, first + 100):
                continue
            zone = "UTC" if reading.is_absolute else form.timezone or self.column.timezone
            noon = dt.time(12 if reading.has_time else 0)
            local = dt.datetime.combine(_first(day, reading), noon, ZoneInfo(zone))
            text = babel.dates.format_datetime(local, reading.pattern, local.tzinfo, form.locale)
            if "epoch_seconds" in reading.groups:
                text = f"{local.timestamp():.0f}"
            elif "epoch_millis" in reading.groups:
                text = f"{local.timestamp() * 1_000:.0f}"
            yield local.date() if self.column.type.formats == "days" else local, text

    @property
    def _readings(self) -> list[tuple[Format, Reading]]:
        described = self.column.type.formats
        if described is None:
            return []
        return [
            (each, reading) for each in self.column.formats for reading in each.readings(described)
        ]

    def _days(self) -> Iterator[dt.date]:
        bounds = [each for each in self._bounds if isinstance(each, dt.date)]
        today = self.now.date()
        near = [each.toordinal() for each in (_A_DAY, today, *bounds)]
        days = [
            dt.date.fromordinal(start + days)
            for number, start in itertools.product(range(_DAYS), near)
            for days in (number, -number)
            if 366 < start + days < dt.date.max.toordinal()
        ]
        return (day for day in days if abs(day - today) >= _MARGIN and self._is_plain(day))

    def _is_plain(self, day: dt.date) -> bool:
        """Return whether no other format can confuse the day with the month."""
        return len(self._readings) == 1 or day.day > 12 or day.day == day.month

    @property
    def _bounds(self) -> list[Bound]:
        rules = [rule for rule in self.column.rules if isinstance(rule, Range)]
        both = itertools.chain.from_iterable((rule.minimum, rule.maximum) for rule in rules)
        return [each for each in both if each is not None]


def _first(day: dt.date, reading: Reading) -> dt.date:
    """Return the first day of the month or quarter, if a text has only that."""
    if "day" in reading.groups:
        return day
    month = day.month - (day.month - 1) % 3 if "quarter" in reading.groups else day.month
    return dt.date(day.year, month, 1)


def _satisfies(value: Any, rule: AnyRule, values: Values) -> bool:
    match rule:
        case Required() | Unique():
            return True
        case Length(minimum=low, maximum=high):
            return (low or 0) <= len(value) and (high is None or len(value) <= high)
        case Pattern():
            return regex.matches(rule.regex, value)
        case Allowed():
            return value in rule.values
        case Range(minimum=low, maximum=high):
            order = comparable(value)
            return (low is None or comparable(low) <= order) and (
                high is None or order <= comparable(high)
            )
        case NotInFuture():
            return bool(comparable(value) <= values.now)
