"""What a caller asks for, checked; and the cursor that leads from one page to the next."""

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from aws_lambda_powertools.event_handler.exceptions import BadRequestError

from functions.api.view import View
from shared.contract import Column

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

_IDS = range(2**63)
_WRITTEN = {
    "number": re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "timestamp": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"),
}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its value in the view's order as shown, and its ID for ties."""

    value: str | int
    id: int

    def encode(self) -> str:
        """Return the cursor as callers see it: opaque, and safe in a URL."""
        text = json.dumps([self.value, self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, order: Column) -> Self:
        """Take a cursor back.

        Args:
            text: what a caller sent.
            order: the column that the view is sorted by.

        Raises:
            BadRequestError: it is none of ours.
        """
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            value, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            # No isinstance: a JSON `true` is an int to Python, but none to PostgreSQL.
            if not _is_shown_so(value, order) or type(row_id) is not int or row_id not in _IDS:
                raise ValueError(text)  # noqa: TRY301
        except (binascii.Error, TypeError, ValueError, RecursionError):
            raise BadRequestError(
                "The parameter 'cursor' is none that an earlier answer gave as 'next': "
                "leave it out to begin with the first page."
            ) from None
        return cls(value, row_id)


@dataclass(frozen=True, slots=True)
class Query:
    """Which key's rows, how many at most, and after which one."""

    key: str | int
    limit: int = DEFAULT_LIMIT
    after: Cursor | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, str], view: View) -> Self:
        """Take a query out of the request's parameters, of which one is called as the view's key.

        Raises:
            BadRequestError: one is missing or of the wrong form.
        """
        cursor = parameters.get("cursor")
        return cls(
            _key(parameters, view.key),
            _limit(parameters.get("limit")),
            None if cursor is None else Cursor.decode(cursor, view.order),
        )


def _key(parameters: Mapping[str, str], column: Column) -> str | int:
    text = parameters.get(column.name, "")
    is_integer = column.logical_type == "integer"
    if not text:
        example = f"/get?{quote(column.name)}={'NUMBER' if is_integer else 'NAME'}"
        raise BadRequestError(f"The parameter '{column.name}' is missing: ask for {example}.")
    if is_integer:
        numbers = _range(column)
        if not re.fullmatch("[+-]?[0-9]{1,19}", text) or int(text) not in numbers:
            raise BadRequestError(
                f"The parameter '{column.name}' must be a whole number from {numbers[0]} to "
                f"{numbers[-1]}."
            )
        return int(text)
    if "\0" in text or not _is_utf8(text):
        raise BadRequestError(f"The parameter '{column.name}' is no text in UTF-8 without NUL.")
    return text


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequestError(f"The parameter 'limit' must be a number from 1 to {MAX_LIMIT}.")
    return int(text)


def _is_shown_so(value: Any, column: Column) -> bool:
    """Tell whether a value is one that an answer may have shown of a column.

    Raises:
        ValueError: it is none.
    """
    if column.logical_type == "integer":
        return type(value) is int and value in _range(column)
    if not isinstance(value, str):
        return False
    if column.logical_type == "string":
        return "\0" not in value and _is_utf8(value)
    if column.logical_type in {"date", "timestamp"}:
        dt.datetime.fromisoformat(value)
    return _WRITTEN[column.logical_type].fullmatch(value) is not None


def _range(column: Column) -> range:
    bound = 1 << (8 * column.integer_bytes - 1)
    return range(-bound, bound)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
