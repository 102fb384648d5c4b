"""What leads from one page to the next: where the page ended, bound to the query it belongs to."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import BadRequestError

from shared.contract import Column

Check = Callable[[Any], bool]

_INTEGERS = range(2**31)
_BIGINTS = range(2**63)


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


def is_of(column: Column) -> Check:
    """Return what tells whether a value is one that an answer may have shown of a column."""
    return partial(column.type.is_shown, column.limits)
