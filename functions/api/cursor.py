"""What leads from one page to the next: where the page ended, bound to the query it belongs to."""

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import BadRequestError

from shared.contract import Column

Check = Callable[[Any], bool]

_INTEGERS = range(2**31)
_BIGINTS = range(2**63)
_WRITTEN = {
    "number": re.compile(r"-?[0-9]{1,38}(\.[0-9]{1,38})?"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "timestamp": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"),
}


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one query: `query` is all that was asked but the page.

    A position is what the last item of a page is sorted by; `checks` say of what kind each part is,
    for what a caller sends goes into a statement.
    """

    query: tuple[object, ...]
    checks: tuple[Check, ...]

    def encode(self, position: list[Any]) -> str:
        """Return the cursor as callers see it: opaque, and safe in a URL."""
        text = json.dumps([self._digest(position), *position], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def decode(self, text: str | None) -> list[Any] | None:
        """Take a cursor back; None is that of the first page.

        Raises:
            BadRequestError: it is none of this query's.
        """
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
                "The parameter 'cursor' is none that an earlier answer to this query gave as "
                "'next': leave it out to begin with the first page."
            ) from None
        return position

    def _digest(self, position: list[Any]) -> str:
        text = json.dumps([*self.query, *position], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_number(value: Any) -> bool:
    """Tell whether a value can be the number of a source or of a line."""
    # No isinstance: a JSON `true` is an int to Python, but none to PostgreSQL.
    return type(value) is int and value in _INTEGERS


def is_total(value: Any) -> bool:
    """Tell whether a value can be a number of replacements."""
    return type(value) is int and value in _BIGINTS


def is_text(value: Any) -> bool:
    """Tell whether a value is a text of the log."""
    return isinstance(value, str) and 0 < len(value.encode()) <= 1024


def is_day(value: Any) -> bool:
    """Tell whether a value is a date, as an answer shows it.

    Raises:
        ValueError: it is none.
    """
    return isinstance(value, str) and dt.date.fromisoformat(value).isoformat() == value


def is_of(column: Column) -> Check:
    """Return what tells whether a value is one that an answer may have shown of a column."""

    def is_shown_so(value: Any) -> bool:
        if column.logical_type == "integer":
            return type(value) is int and value in column.integer_range
        if not isinstance(value, str):
            return False
        if column.logical_type == "string":
            value.encode()  # a JSON string may hold half a character, which is none
            return "\0" not in value
        if column.logical_type in {"date", "timestamp"}:
            dt.datetime.fromisoformat(value)
        return _WRITTEN[column.logical_type].fullmatch(value) is not None

    return is_shown_so
