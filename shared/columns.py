"""Logical types of columns, and the kinds of rules that apply to each.

This module must not import Arrow, because the API's image does not contain it.
`functions.transform.casts` defines the Arrow types.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self, get_args

from shared.formats import Described
from shared.text import is_storable, quoted

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]

_OfAny = Literal["required", "unique"]
_OfTexts = Literal["length", "pattern", "allowed"]
_OfAmounts = Literal["range"]
_OfTimes = Literal["range", "not_in_future"]
RuleKind = Literal[_OfAny, _OfTexts, _OfAmounts, _OfTimes]
"""Kinds of rules, grouped by the types they apply to, so that mypy checks them."""

MAX_DIGITS = 38
"""Maximum digits of a number that Parquet stores exactly."""
_MAX_LENGTH = 10_485_760
"""https://www.postgresql.org/docs/17/datatype-character.html"""
_NUMBER = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?")
_WIDEST = len("0001-01-01T00:00:00.000000Z")  # of values other than texts and numbers
TEXT = {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}
"""JSON schema of the texts that `plain_text` accepts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a column's PostgreSQL type."""

    least_bytes: int  # minimum size in a row of a value that is not NULL
    length: int | None = None  # maximum characters of a string; None if unlimited
    precision: int = 0  # total digits of a number
    scale: int = 0  # digits of a number after the decimal point

    @classmethod
    def of(cls, logical_type: LogicalType, physical_type: str) -> Self:
        """Return the limits of a column; raise ValueError if PostgreSQL has no such type."""
        stored_as = TYPES[logical_type].stored_as
        parts = next(filter(None, (re.fullmatch(each, physical_type) for each in stored_as)), None)
        if parts is None:
            known = re.sub(r"\(\?P<(\w+)>.*?\)| \?|\\", r"\1", " or ".join(stored_as))
            raise ValueError(
                f"the type {logical_type} cannot be stored as {quoted(physical_type)}: "
                f"physicalType must be {known}"
            )
        found = {name: int(digits) for name, digits in parts.groupdict().items()}
        if not 1 <= found.get("length", 1) <= _MAX_LENGTH:
            raise ValueError(f"{physical_type} must have 1 to {_MAX_LENGTH:,} characters")
        if not max(1, found.get("scale", 0)) <= found.get("precision", 1) <= MAX_DIGITS:
            raise ValueError(
                f"{physical_type} must have a precision of 1 to {MAX_DIGITS} digits, "
                "and a scale of at most its precision"
            )
        return cls(stored_as[parts.re.pattern], **found)

    @property
    def integers(self) -> range:
        """The integers that the column can store."""
        bound = 1 << (8 * self.least_bytes - 1)
        return range(-bound, bound)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Query parameter of the API: its parser, and additions to its JSON schema."""

    read: Callable[[Limits, Any], Any]
    schema: Callable[[Limits], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """Properties that all columns of a logical type share."""

    stored_as: Mapping[str, int]  # `Limits.least_bytes` by pattern of the PostgreSQL type
    rules: tuple[RuleKind, ...]
    bounds: tuple[type, ...] = ()  # types of the bounds of a `range` rule
    formats: Described | None = None  # what the contract's formats describe
    has_tokens: bool = False  # whether the contract lists texts for true and false
    shown_as: str  # SQL of a value in an answer; PostgreSQL formats it without losing digits
    # Not the column's own type, because a cast to it may truncate or round, and so skip rows.
    compared_as: str | None  # PostgreSQL type for ordering; None if the API cannot order by it
    schema: Mapping[str, Any]  # JSON schema of a value in an answer that is not missing
    width: int  # maximum bytes in an answer, without a text's characters and a number's digits
    is_shown: Callable[[Limits, Any], bool]  # whether a value may be in an answer; or a ValueError
    parameter: Parameter | None = None  # None if the API cannot look up rows by it
    is_text: bool = False  # whether it has a collation, and the API can filter by prefix
    is_summed: bool = False  # whether the API can sum it

    def __post_init__(self) -> None:
        """Refuse a parameter that the API's statements cannot compare or show unchanged."""
        if self.parameter is not None and (self.shown_as != "{}" or self.compared_as is None):
            raise ValueError("a type with a parameter needs shown_as='{}' and a compared_as")


def comparable(value: Any) -> Any:
    """Return a value by which values and bounds are ordered: for a day, midnight in UTC."""
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time(), dt.UTC)
    return value


def whole_number(text: Any, numbers: range) -> int:
    """Parse a parameter that must be one of `numbers`; raise a ValueError otherwise."""
    if not isinstance(text, str) or not re.fullmatch("-?[0-9]{1,19}", text):
        raise ValueError(f"must be one whole number from {numbers[0]} to {numbers[-1]}")
    if int(text) not in numbers:
        raise ValueError(f"must be a whole number from {numbers[0]} to {numbers[-1]}")
    return int(text)


def plain_text(text: Any) -> str:
    """Return the text of a parameter; raise a ValueError if PostgreSQL cannot store it."""
    if not isinstance(text, str):
        raise ValueError("occurs more than once")  # noqa: TRY004 - pydantic handles ValueError
    if not is_storable(text):
        raise ValueError("is not UTF-8 text without NUL")
    if not text:
        raise ValueError("is empty")
    return text


def is_day(value: Any) -> bool:
    """Return whether a value is an ISO date; it may also raise a ValueError."""
    return isinstance(value, str) and dt.date.fromisoformat(value).isoformat() == value


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and value.removesuffix("Z") + "+00:00" == (
        dt.datetime.fromisoformat(value).isoformat(timespec="microseconds")
    )


_TYPES: dict[LogicalType, ColumnType] = {
    "string": ColumnType(
        stored_as={"text": 1, r"varchar\((?P<length>[0-9]{1,20})\)": 1},
        rules=get_args(Literal[_OfAny, _OfTexts]),
        shown_as="{}",
        compared_as="text",
        schema={"type": "string"},
        width=0,
        is_shown=lambda _, value: isinstance(value, str) and is_storable(value),
        parameter=Parameter(lambda _, text: plain_text(text), lambda _: TEXT),
        is_text=True,
    ),
    "integer": ColumnType(
        stored_as={"smallint": 2, "integer": 4, "bigint": 8},
        rules=get_args(Literal[_OfAny, _OfAmounts]),
        bounds=(Decimal,),
        shown_as="{}",
        compared_as="bigint",
        schema={"type": "integer"},
        width=_WIDEST,
        # Not isinstance, because a JSON `true` is an int in Python but not in PostgreSQL.
        is_shown=lambda limits, value: type(value) is int and value in limits.integers,
        parameter=Parameter(
            lambda limits, text: whole_number(text, limits.integers),
            lambda limits: {"minimum": limits.integers[0], "maximum": limits.integers[-1]},
        ),
        is_summed=True,
    ),
    "number": ColumnType(
        stored_as={r"numeric\((?P<precision>[0-9]{1,9}), ?(?P<scale>[0-9]{1,9})\)": 3},
        rules=get_args(Literal[_OfAny, _OfAmounts]),
        bounds=(Decimal,),
        shown_as="{}::text",
        compared_as="numeric",
        schema={"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
        width=len("-."),
        is_shown=lambda _, value: isinstance(value, str) and bool(_NUMBER.fullmatch(value)),
        is_summed=True,
    ),
    "boolean": ColumnType(
        stored_as={"boolean": 1},
        rules=get_args(_OfAny),
        has_tokens=True,
        shown_as="{}",
        compared_as=None,
        schema={"type": "boolean"},
        width=_WIDEST,
        is_shown=lambda _, value: isinstance(value, bool),
    ),
    "date": ColumnType(
        stored_as={"date": 4},
        rules=get_args(Literal[_OfAny, _OfTimes]),
        bounds=(dt.date,),
        formats="days",
        shown_as="to_char({}, 'YYYY-MM-DD')",
        compared_as="date",
        schema={"type": "string", "format": "date"},
        width=_WIDEST,
        is_shown=lambda _, value: is_day(value),
    ),
    "timestamp": ColumnType(
        stored_as={"timestamptz": 8},
        rules=get_args(Literal[_OfAny, _OfTimes]),
        bounds=(dt.date, dt.datetime),
        formats="instants",
        shown_as="""to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
        compared_as="timestamptz",
        schema={"type": "string", "format": "date-time"},
        width=_WIDEST,
        is_shown=lambda _, value: _is_instant(value),
    ),
}
TYPES = {name: _TYPES[name] for name in get_args(LogicalType)}
"""The types by name. The import of this module fails if `_TYPES` lacks one."""
