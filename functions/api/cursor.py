"""Cursors: the position of a page's last item, bound to one query."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import BadRequestError

from shared.column import Column

Check = Callable[[Any], bool]

_INTEGERS = range(2**31)
_BIGINTS = range(2**63)


@dataclass(frozen=True, slots=True)
class Cursors:
    """Encoder and decoder of one query's cursors.

    A position is the list of values by which the last item of a page is sorted.

    Attributes:
        query: route and parameters of the query, without `cursor` and `limit`.
        checks: one check per part of a position. They validate callers' values, which become
            parameters of an SQL statement.
    """

    query: tuple[object, ...]
    checks: tuple[Check, ...]

    def encode(self, position: list[Any]) -> str:
        """Return the opaque, URL-safe cursor of a position."""
        text = json.dumps([self._digest(position), *position], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def decode(self, text: str | None) -> list[Any] | None:
        """Return the position of a cursor, None for None; raise BadRequestError if invalid."""
        if text is None:
            return None
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            position: list[Any]
            digest, *position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            checked = zip(self.checks, position, strict=True)
            if digest != self._digest(position) or not all(holds(part) for holds, part in checked):
                raise ValueError(text)  # noqa: TRY301
        except (binascii.Error, TypeError, ValueError, RecursionError):
            raise BadRequestError(
                "The parameter 'cursor' is not a 'next' value from an earlier response to this "
                "query. Omit it to start with the first page."
            ) from None
        return position

    def _digest(self, position: list[Any]) -> str:
        text = json.dumps([*self.query, *position], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_number(value: Any) -> bool:
    """Return whether a value is a valid load ID or line number."""
    # Not isinstance: it accepts True as an integer, PostgreSQL does not.
    return type(value) is int and value in _INTEGERS


def is_total(value: Any) -> bool:
    """Return whether a value is a valid number of replacements."""
    return type(value) is int and value in _BIGINTS


def is_text(value: Any) -> bool:
    """Return whether a value is a string that DynamoDB accepts as a key."""
    return isinstance(value, str) and 0 < len(value.encode()) <= 1024


def is_value_of(column: Column) -> Check:
    """Return a check for values of a column, as responses show them."""
    return partial(column.type.is_shown, column.limits)
