"""Types of columns, and the kinds of rules that apply to each.

This module must not import Arrow, because the API's image does not contain it.
`functions.transform.casts` defines the Arrow types.
"""

import datetime as dt
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from shared.formats import Described
from shared.text import is_storable, quoted

LogicalType = Literal[
    "boolean", "date", "integer", "number", "object", "string", "time", "timestamp"
]
"""The types of ODCS that columns may have."""
Kind = Literal[
    "string", "integer", "number", "boolean", "date", "timestamp", "float", "time", "uuid", "json"
]
"""Types of columns, by logical type and PostgreSQL type. Rejected rows and the API name them."""

_OfAll = Literal["required"]
_OfAny = Literal[_OfAll, "unique"]
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
_WIDEST = len("0001-01-01T00:00:00.000000Z")  # of values other than texts and decimal numbers
UUID = "[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
"""Regular expression of a UUID in its canonical form."""
TEXT = {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}
"""JSON schema of the texts that `plain_text` accepts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a column's PostgreSQL type."""

    least_bytes: int  # minimum size in a row of a value that is not NULL
    length: int | None = None  # maximum characters of a string; None if unlimited
    precision: int = 0  # total digits of a number
    scale: int = 0  # digits of a number after the decimal point

    @property
    def integers(self) -> range:
        """The integers that the column can store."""
        bound = 1 << (8 * self.least_bytes - 1)
        return range(-bound, bound)


@functools.lru_cache(maxsize=10_000)
def stored(logical_type: LogicalType, physical_type: str) -> tuple[Kind, Limits]:
    """Return the kind and the limits of a column; raise ValueError if PostgreSQL has no such type.

    `logical_type` is ODCS's type, `physical_type` PostgreSQL's.
    """
    kinds = {
        pattern: kind
        for kind, each in TYPES.items()
        if logical_type in each.logical_types
        for pattern in each.stored_as
    }
    parts = next(filter(None, (re.fullmatch(each, physical_type) for each in kinds)), None)
    if parts is None:
        known = re.sub(r"\(\?P<(\w+)>.*?\)| \?|\\", r"\1", " or ".join(kinds))
        raise ValueError(
            f"the type {logical_type} cannot be stored as {quoted(physical_type)}: "
            f"physicalType must be {known}, in this spelling"
            + (" and with numbers in parentheses" if "(" in known else "")
        )
    kind = kinds[parts.re.pattern]
    found = {name: int(digits) for name, digits in parts.groupdict().items()}
    if not 1 <= found.get("length", 1) <= _MAX_LENGTH:
        raise ValueError(f"{physical_type} must have 1 to {_MAX_LENGTH:,} characters")
    if not max(1, found.get("scale", 0)) <= found.get("precision", 1) <= MAX_DIGITS:
        raise ValueError(
            f"{physical_type} must have a precision of 1 to {MAX_DIGITS} digits, "
            "and a scale of at most its precision"
        )
    return kind, Limits(TYPES[kind].stored_as[parts.re.pattern], **found)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Query parameter of the API: its parser, and additions to its JSON schema."""

    read: Callable[[Limits, Any], Any]
    schema: Callable[[Limits], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """Properties that all columns of a kind share."""

    logical_types: tuple[LogicalType, ...]
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
    is_long: bool = False  # whether a value without a maximum length may be a long text
    is_summed: bool = False  # whether the API can sum it

    def __post_init__(self) -> None:
        """Refuse a parameter that the API's statements cannot compare."""
        if self.parameter is not None and self.compared_as is None:
            raise ValueError("a type with a parameter needs a compared_as")


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


def _uuid(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(UUID, text):
        raise ValueError("must be one UUID such as 6b9f2a2e-0000-4000-8000-000000000001")
    return text.lower()


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and value.removesuffix("Z") + "+00:00" == (
        dt.datetime.fromisoformat(value).isoformat(timespec="microseconds")
    )


_TYPES: dict[Kind, ColumnType] = {
    "string": ColumnType(
        logical_types=("string",),
        stored_as={"text": 1, r"varchar\((?P<length>[0-9]{1,20})\)": 1},
        rules=get_args(Literal[_OfAny, _OfTexts]),
        shown_as="{}",
        compared_as="text",
        schema={"type": "string"},
        width=0,
        is_shown=lambda _, value: isinstance(value, str) and is_storable(value),
        parameter=Parameter(lambda _, text: plain_text(text), lambda _: TEXT),
        is_text=True,
        is_long=True,
    ),
    "integer": ColumnType(
        logical_types=("integer",),
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
        logical_types=("number",),
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
        logical_types=("boolean",),
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
        logical_types=("date",),
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
        logical_types=("timestamp",),
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
    # The API does not sum it, because the sum would depend on the order of the rows, nor order by
    # it, because `real` is shown with fewer digits than PostgreSQL compares.
    "float": ColumnType(
        logical_types=("number",),
        stored_as={"double precision": 8, "real": 4},
        rules=get_args(Literal[_OfAny, _OfAmounts]),
        bounds=(Decimal,),
        shown_as="{}",
        compared_as=None,
        schema={"type": "number"},
        width=_WIDEST,
        is_shown=lambda _, value: isinstance(value, float),
    ),
    "time": ColumnType(
        logical_types=("time",),
        stored_as={"time": 8},
        rules=get_args(Literal[_OfAny, _OfAmounts]),
        bounds=(dt.time,),
        formats="times",
        shown_as="to_char({}, 'HH24:MI:SS.US')",
        compared_as=None,
        schema={"type": "string", "pattern": r"^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}$"},
        width=_WIDEST,
        is_shown=lambda _, value: isinstance(value, str),
    ),
    "uuid": ColumnType(
        logical_types=("string",),
        stored_as={"uuid": 16},
        rules=get_args(_OfAny),
        shown_as="{}::text",
        compared_as="uuid",
        schema={"type": "string", "format": "uuid"},
        width=36,
        is_shown=lambda _, value: _uuid(value) == value,
        parameter=Parameter(lambda _, text: _uuid(text), lambda _: {}),
    ),
    # A text in answers, because clients would cut the digits of JSON's numbers.
    "json": ColumnType(
        logical_types=("object", "string"),
        stored_as={"jsonb": 5},
        rules=get_args(_OfAll),
        shown_as="{}::text",
        compared_as=None,
        schema={"type": "string", "contentMediaType": "application/json"},
        width=0,
        is_shown=lambda _, value: isinstance(value, str),
        is_long=True,
    ),
}
TYPES = {kind: _TYPES[kind] for kind in get_args(Kind)}
"""The types by kind. The import of this module fails if `_TYPES` lacks one."""
