"""The types of columns, each defined once, and the kinds of rules that each of them takes.

There is no Arrow here, because the API's image has none: `functions.transform.casts` has that part.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self, get_args

from shared.text import is_storable, quoted

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]

_OfAny = Literal["required", "unique"]
_OfTexts = Literal["length", "pattern", "allowed"]
_OfAmounts = Literal["range"]
_OfTimes = Literal["range", "not_in_future"]
RuleKind = Literal[_OfAny, _OfTexts, _OfAmounts, _OfTimes]
"""The kinds of rules, by the types that take them: mypy refuses a rule of any other kind."""

MAX_DIGITS = 38
"""Digits of the widest number that a Parquet part keeps exactly."""
_MAX_LENGTH = 10_485_760
"""https://www.postgresql.org/docs/17/datatype-character.html"""
_NUMBER = re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?")
_WIDEST = len("0001-01-01T00:00:00.000000Z")  # of values that are neither text nor number
TEXT = {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}
"""The JSON schema of what `plain_text` takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What PostgreSQL keeps of a column."""

    least_bytes: int  # of a value in a row, such as 0 or an empty text; none if it is missing
    length: int | None = None  # characters of a string at most; None if there is no such limit
    precision: int = 0  # digits of a number in all
    scale: int = 0  # digits of a number after the point

    @classmethod
    def of(cls, logical_type: LogicalType, physical_type: str) -> Self:
        """Return those of a column; a ValueError says why PostgreSQL cannot keep it so."""
        kept_as = TYPES[logical_type].kept_as
        parts = next(filter(None, (re.fullmatch(each, physical_type) for each in kept_as)), None)
        if parts is None:
            known = re.sub(r"\(\?P<(\w+)>.*?\)| \?|\\", r"\1", " or ".join(kept_as))
            raise ValueError(
                f"a {logical_type} cannot be kept as {quoted(physical_type)}; "
                f"physicalType must be {known}"
            )
        found = {name: int(digits) for name, digits in parts.groupdict().items()}
        if not 1 <= found.get("length", 1) <= _MAX_LENGTH:
            raise ValueError(f"{physical_type} must have 1 to {_MAX_LENGTH:,} characters")
        if not max(1, found.get("scale", 0)) <= found.get("precision", 1) <= MAX_DIGITS:
            raise ValueError(
                f"{physical_type} must have 1 to {MAX_DIGITS} digits, "
                "and no more of them after the point than in all"
            )
        return cls(kept_as[parts.re.pattern], **found)

    @property
    def integers(self) -> range:
        """The integers that PostgreSQL keeps."""
        bound = 1 << (8 * self.least_bytes - 1)
        return range(-bound, bound)


@dataclass(frozen=True, slots=True)
class Parameter:
    """How callers of the API ask for a value: what reads it, and what its schema adds."""

    read: Callable[[Limits, Any], Any]
    schema: Callable[[Limits], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """What the columns of a logical type have in common."""

    kept_as: Mapping[str, int]  # patterns of PostgreSQL's types, and `Limits.least_bytes` of each
    rules: tuple[RuleKind, ...]
    bounds: tuple[type, ...] = ()  # of the rule `range`
    formats: Literal["days", "instants"] | None = None  # what the contract's formats describe
    has_tokens: bool = False  # whether the contract says which texts mean true and false
    shown_as: str  # PostgreSQL writes the texts itself, so that no digit is lost on the way
    # Not the column's own type: a cast to that may cut or round, and so skip or repeat rows.
    compared_as: str | None  # None if the API cannot order rows by it
    schema: Mapping[str, Any]  # JSON schema of a value in an answer, if it is not missing
    width: int  # bytes in an answer at most, but for a text's characters and a number's digits
    is_shown: Callable[[Limits, Any], bool]  # whether an answer may hold a value; or a ValueError
    parameter: Parameter | None = None  # None if the API cannot look rows up by it
    is_text: bool = False  # whether it has a collation, and may be asked for by its beginning
    is_summed: bool = False  # whether the API can sum it up

    def __post_init__(self) -> None:
        """Refuse a parameter for what the API's statements do not show as it is, or order by."""
        if self.parameter is not None and (self.shown_as != "{}" or self.compared_as is None):
            raise ValueError("a type with a parameter must be shown as it is, and compared")


def comparable(value: Any) -> Any:
    """Return what values and bounds are ordered by: a day begins at midnight in UTC."""
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time(), dt.UTC)
    return value


def whole_number(text: Any, numbers: range) -> int:
    """Return which of `numbers` a caller's text is; a ValueError says that it is none."""
    if not isinstance(text, str) or not re.fullmatch("-?[0-9]{1,19}", text):
        raise ValueError(f"must be one whole number from {numbers[0]} to {numbers[-1]}")
    if int(text) not in numbers:
        raise ValueError(f"must be a whole number from {numbers[0]} to {numbers[-1]}")
    return int(text)


def plain_text(text: Any) -> str:
    """Return a caller's text; a ValueError says that PostgreSQL cannot hold it."""
    if not isinstance(text, str):
        raise ValueError("is there more than once")  # noqa: TRY004 - pydantic takes this one
    if not is_storable(text):
        raise ValueError("is no text in UTF-8 without NUL")
    if not text:
        raise ValueError("is empty")
    return text


def is_day(value: Any) -> bool:
    """Tell whether a value is a date, as an answer shows it; or raise a ValueError."""
    return isinstance(value, str) and dt.date.fromisoformat(value).isoformat() == value


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and value.removesuffix("Z") + "+00:00" == (
        dt.datetime.fromisoformat(value).isoformat(timespec="microseconds")
    )


_TYPES: dict[LogicalType, ColumnType] = {
    "string": ColumnType(
        kept_as={"text": 1, r"varchar\((?P<length>[0-9]{1,20})\)": 1},
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
        kept_as={"smallint": 2, "integer": 4, "bigint": 8},
        rules=get_args(Literal[_OfAny, _OfAmounts]),
        bounds=(Decimal,),
        shown_as="{}",
        compared_as="bigint",
        schema={"type": "integer"},
        width=_WIDEST,
        # No isinstance: a JSON `true` is an int to Python, but none to PostgreSQL.
        is_shown=lambda limits, value: type(value) is int and value in limits.integers,
        parameter=Parameter(
            lambda limits, text: whole_number(text, limits.integers),
            lambda limits: {"minimum": limits.integers[0], "maximum": limits.integers[-1]},
        ),
        is_summed=True,
    ),
    "number": ColumnType(
        kept_as={r"numeric\((?P<precision>[0-9]{1,9}), ?(?P<scale>[0-9]{1,9})\)": 3},
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
        kept_as={"boolean": 1},
        rules=get_args(_OfAny),
        has_tokens=True,
        shown_as="{}",
        compared_as=None,
        schema={"type": "boolean"},
        width=_WIDEST,
        is_shown=lambda _, value: isinstance(value, bool),
    ),
    "date": ColumnType(
        kept_as={"date": 4},
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
        kept_as={"timestamptz": 8},
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
"""The types by their names in a contract; where one is missing, this module cannot be imported."""
