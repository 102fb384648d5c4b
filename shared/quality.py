"""Rules for the values, rows and number of rows of a file."""

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared import regex
from shared.column_types import MAX_DIGITS, RuleKind
from shared.model import Model, Problems
from shared.text import listed, quoted

Severity = Literal["error", "warning"]
_MAX_CHARACTERS = 2**31 - 1  # maximum length that Arrow can count

BOUND_EXAMPLES: dict[type, str] = {
    Decimal: "24",
    dt.date: '"2020-01-31"',
    dt.datetime: '"2020-01-31T12:00:00Z"',
    dt.time: '"08:30"',
}
"""Bounds as contracts write them, by type, to advise."""


def _bound(value: object) -> object:
    # Parsed here because pydantic would also read a timestamp at midnight as a date.
    try:
        match value:
            case str() if re.fullmatch("[0-9]{2}:[0-9:.]+", value):
                return dt.time.fromisoformat(value)
            case str() if re.match("[0-9]{4}-", value):
                is_day = len(value) == len("2020-01-31")
                return dt.date.fromisoformat(value) if is_day else dt.datetime.fromisoformat(value)
            case str() | int() | float() if not isinstance(value, bool):
                number = Decimal(str(value))
                if number.is_finite():
                    return number
            case Decimal() | dt.date() | dt.time():
                return value
    except (ValueError, ArithmeticError):
        pass
    advised = " or ".join(BOUND_EXAMPLES.values())
    raise ValueError(f"{quoted(str(value))} is not a valid bound: write e.g. {advised}")


def _check_limits(value: Decimal | dt.date | dt.time) -> Decimal | dt.date | dt.time:
    # Arrow compares values within these limits exactly.
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if value.adjusted() >= MAX_DIGITS or int(exponent) < -MAX_DIGITS:
            raise ValueError(
                f"{quoted(str(value))} has more than {MAX_DIGITS} digits before or after the "
                "decimal point: write fewer"
            )
        return Decimal(int(value)) if int(exponent) > 0 else value
    if isinstance(value, dt.datetime):
        try:
            value.astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError(
                f"{value} is outside the calendar (years 1 to 9999) in UTC: correct it"
            ) from error
    return value


Bound = Annotated[
    Decimal | dt.date | dt.datetime | dt.time,
    BeforeValidator(_bound),
    AfterValidator(_check_limits),
]
"""A bound of a rule."""


def order_problems(minimum: Any, maximum: Any) -> Iterator[str]:
    """Yield why no value is within two bounds; None means no bound."""
    if minimum is not None and maximum is not None and minimum > maximum:
        yield f"the minimum {minimum} is greater than the maximum {maximum}: correct these bounds"


class Threshold(Model):
    """Number of rows that may fail a rule before the file halts, even without hard testing.

    The failing rows, or their percentage of all rows read, must be less than `limit`. They may
    equal it if the threshold is `inclusive`.
    """

    limit: Decimal
    unit: Literal["rows", "percent"] = "rows"
    inclusive: bool = False

    def is_met(self, failed: int, rows: int) -> bool:
        """Return whether `failed` of `rows` rows may fail."""
        share = Decimal(failed) if self.unit == "rows" else Decimal(100 * failed) / max(rows, 1)
        return share <= self.limit if self.inclusive else share < self.limit

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if not self.is_met(0, 1):
            raise ValueError(
                f"the limit of {self} halts every file: write mustBe: 0 or a higher limit"
            )
        return self

    def __str__(self) -> str:
        bound = "at most" if self.inclusive else "fewer than"
        return f"{bound} {self.limit:f}{'%' if self.unit == 'percent' else ' rows'}"


class Check(Model):
    """Check of each row; reports and rejected rows refer to it by `name`."""

    name: str
    severity: Severity = "error"
    threshold: Threshold | None = None


class Rule(Check):
    """Check of a value of one column."""

    kind: RuleKind


class Required(Rule):
    """The value must not be missing."""

    kind: Literal["required"] = "required"


class Length(Rule):
    """The text must have this many characters; None means no bound."""

    kind: Literal["length"] = "length"
    minimum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)
    maximum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        Problems.check(order_problems(self.minimum, self.maximum))
        return self


class Range(Rule):
    """The value must be within two inclusive bounds; None means no bound."""

    kind: Literal["range"] = "range"
    minimum: Bound | None = None
    maximum: Bound | None = None


class Pattern(Rule):
    """The whole text must match a regular expression, in RE2's syntax."""

    kind: Literal["pattern"] = "pattern"
    regex: Annotated[str, Field(max_length=10_000), AfterValidator(regex.checked)]


class Allowed(Rule):
    """The text must be one of `values`."""

    kind: Literal["allowed"] = "allowed"
    values: tuple[str, ...] = Field(min_length=1)


class Unique(Rule):
    """No earlier row of the file may have the same value."""

    kind: Literal["unique"] = "unique"


class NotInFuture(Rule):
    """The date or timestamp must not be later than the time of the test."""

    kind: Literal["not_in_future"] = "not_in_future"


AnyRule = Annotated[
    Required | Length | Range | Pattern | Allowed | Unique | NotInFuture,
    Field(discriminator="kind"),
]


class UniqueRows(Check):
    """No earlier row of the file may have the same values in all `columns`.

    As in SQL, a row with a missing value in one of them is not checked.
    """

    columns: tuple[str, ...] = Field(min_length=1)

    @property
    def of(self) -> str:
        """The columns, as reports and rejected rows show them."""
        return listed(self.columns)


class RowCount(Model):
    """Number of rows that a file must have, within two inclusive bounds; otherwise it halts."""

    name: str
    minimum: int | None = Field(default=None, ge=0)
    maximum: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        Problems.check(order_problems(self.minimum, self.maximum))
        return self

    def is_met(self, rows: int) -> bool:
        """Return whether a file may have `rows` rows."""
        return (self.minimum or 0) <= rows and (self.maximum is None or rows <= self.maximum)

    def __str__(self) -> str:
        match self.minimum, self.maximum:
            case None, maximum:
                return f"at most {maximum}"
            case minimum, None:
                return f"at least {minimum}"
            case minimum, maximum:
                return f"{minimum} to {maximum}"
