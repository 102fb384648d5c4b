"""What a caller asks for, checked; and the cursor that leads from one page to the next."""

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from aws_lambda_powertools.event_handler.exceptions import BadRequestError

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_IDS = range(2**63)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its timestamp in ISO 8601, and its ID, for timestamps repeat."""

    timestamp: str
    id: int

    def encode(self) -> str:
        """Return the cursor as callers see it: opaque, and safe in a URL."""
        text = json.dumps([self.timestamp, self.id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Take a cursor back.

        Raises:
            BadRequestError: it is none of ours.
        """
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            timestamp, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            dt.datetime.fromisoformat(timestamp)
            # No isinstance: a JSON `true` is an int to Python, but none to PostgreSQL.
            if not _TIMESTAMP.fullmatch(timestamp) or type(row_id) is not int or row_id not in _IDS:
                raise ValueError(text)  # noqa: TRY301
        except (binascii.Error, TypeError, ValueError, RecursionError):
            raise BadRequestError(
                "The parameter 'cursor' is none that an earlier answer gave as 'next': "
                "leave it out to begin with the first page."
            ) from None
        return cls(timestamp, row_id)


@dataclass(frozen=True, slots=True)
class Query:
    """Whose check-ins, how many at most, and after which row."""

    user: str
    limit: int = DEFAULT_LIMIT
    after: Cursor | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """Take a query out of the request's parameters.

        Raises:
            BadRequestError: one is missing or of the wrong form.
        """
        user = parameters.get("user", "")
        if not user:
            raise BadRequestError("The parameter 'user' is missing: ask for /get?user=NAME.")
        if "\0" in user or not _is_utf8(user):
            raise BadRequestError("The parameter 'user' is no text in UTF-8 without NUL.")
        cursor = parameters.get("cursor")
        return cls(
            user,
            _limit(parameters.get("limit")),
            None if cursor is None else Cursor.decode(cursor),
        )


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequestError(f"The parameter 'limit' must be a number from 1 to {MAX_LIMIT}.")
    return int(text)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
