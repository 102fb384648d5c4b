"""Request parameters: parsing, validation and OpenAPI schemas."""

import contextlib
import datetime as dt
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Annotated, Any, cast

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BeforeValidator, WithJsonSchema

from functions.api.view import MAX_LIMIT
from shared.column import Column
from shared.column_types import Parameter, plain_text, whole_number

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2}))?",
    re.IGNORECASE,
)

MAX_EXAMPLES = 5
MAX_EXAMPLE_LENGTH = 100


def _moment(text: Any) -> dt.datetime:
    try:
        if not isinstance(text, str) or not _MOMENT.fullmatch(text):
            raise ValueError(text)  # noqa: TRY301
        found = dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(
            "must be a date (2019-09-27, midnight in UTC) or a timestamp with its zone "
            "(2019-09-27T08:30:00Z, 2019-09-27T10:30:00%2B02:00: in a URL, + is written %2B)"
        ) from None
    try:
        return found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)
    except OverflowError:
        # In UTC, the time is outside the years 1 to 9999. All rows are within, so the time without
        # its zone selects the same rows.
        return found.replace(tzinfo=dt.UTC)


Moment = Annotated[
    dt.datetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": each} for each in ("date", "date-time")]}
    ),
]
"""A date or a timestamp, in UTC."""

Limit = Annotated[
    int,
    BeforeValidator(lambda text: whole_number(text, range(1, MAX_LIMIT + 1))),
    Query(
        description="Maximum number of items in the response.",
        json_schema_extra={"minimum": 1, "maximum": MAX_LIMIT},
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        description="`next` of the previous response. Repeat all other parameters.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{22,}$"},
    ),
]

text = BeforeValidator(plain_text)
"""Validates a string that PostgreSQL and DynamoDB can store."""


def matching(pattern: str) -> BeforeValidator:
    """Return a validator of strings that match a regular expression completely."""

    def matched(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must match {pattern}")
        return value

    return BeforeValidator(matched)


def column_value(column: Column) -> BeforeValidator:
    """Return a validator that parses a string as a column's value."""
    return BeforeValidator(partial(_parameter(column).read, column.limits))


def one_of(choices: Collection[str]) -> BeforeValidator:
    """Return a validator of strings that accepts only these choices."""

    def chosen(word: Any) -> str:
        if not isinstance(word, str) or word not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return word

    return BeforeValidator(chosen)


def column_schema(column: Column) -> dict[str, Any]:
    """Return the JSON schema of strings that `column_value` accepts."""
    described = {**column.type.schema, **_parameter(column).schema(column.limits)}
    examples = [*itertools.islice(_examples(column), MAX_EXAMPLES)]
    return described | ({"examples": examples} if examples else {})


def _examples(column: Column) -> Iterator[Any]:
    for example in map(str, column.examples):
        if len(example) <= MAX_EXAMPLE_LENGTH:
            with contextlib.suppress(ValueError):
                yield _parameter(column).read(column.limits, example)


def _parameter(column: Column) -> Parameter:
    # The contract allows as key and group only types with a parameter.
    return cast("Parameter", column.type.parameter)


def refuse_unknown(app: Any, next_middleware: Callable[[Any], Response[str]]) -> Response[str]:
    """Reject unknown parameters, because a misspelt filter would return unfiltered rows."""
    parameters = app.context["_route"].dependant.query_params
    known = {each.alias for each in parameters if each.field_info.include_in_schema}
    if unknown := sorted(app.current_event.query_string_parameters.keys() - known):
        raise BadRequestError(
            f"Unknown parameter {', '.join(map(repr, unknown))}. "
            f"Allowed: {', '.join(map(repr, sorted(known))) or 'none'}."
        )
    return next_middleware(app)
