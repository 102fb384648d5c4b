"""Whether an answer is still what it was: the log tells, and PostgreSQL need not wake up."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response

from shared.endings import Status
from shared.errors import LogUnavailable
from shared.ingestion_log import IngestionLog, changed_at
from shared.telemetry import logger

_KNOWN_FOR = 2.0
"""Seconds: a burst of requests asks the log once."""

# A finished run may become a running one again, and change rows before it ends: only the newest
# change of any of these never goes back. What was rejected by its key never had rows.
_TOUCHING = (Status.WAITING, Status.RUNNING, Status.SUCCESS, Status.FAIL, Status.SUPERSEDED)

Next = Callable[[Any], Response[str]]


class LastChange:
    """When the log last changed, or None if it does not say; asked once in a burst of requests."""

    def __init__(self, log: Callable[[], IngestionLog]) -> None:
        self._log = log
        self._known: tuple[float, str | None] | None = None

    def __call__(self) -> str | None:
        """Return the moment, as the log writes it."""
        now = time.monotonic()
        if self._known is None or now - self._known[0] > _KNOWN_FOR:
            self._known = now, self._ask()
        return self._known[1]

    def _ask(self) -> str | None:
        try:
            # `newest` looks for a second one, which may have changed at the same moment.
            newest = next(self._log().newest(_TOUCHING, page=2), None)
        except LogUnavailable as error:
            logger.warning("no ETag without the log", extra={"reason": str(error)})
            return None
        return changed_at(newest) if newest else ""


class Freshness:
    """Gives answers an ETag and says when there is nothing new; a middleware of Powertools.

    The ETag is that of the log before the rows are read: they may be newer than it says, and then
    it changes once more, but never older.
    """

    __name__ = "Freshness"

    def __init__(self, last_change: LastChange, edition: str) -> None:
        """`edition` changes whenever the same rows would be told in another way."""
        self._last_change = last_change
        self._edition = edition

    def __call__(self, app: Any, next_middleware: Next) -> Response[str]:
        """Answer 304 if the caller has what the route would say, else let the route answer."""
        tag = self._tag(app.current_event)
        headers: dict[str, str | list[str]] = {"Cache-Control": "private, no-cache"}
        if tag is None:
            answer = next_middleware(app)
        else:
            headers["ETag"] = tag
            if tag in _had(app.current_event):
                return Response(304, None, "", headers)
            answer = next_middleware(app)
        if answer.status_code == 200:
            answer.headers.update(headers)
        return answer

    def _tag(self, event: Any) -> str | None:
        change = self._last_change()
        if change is None:
            return None
        asked = sorted((event.multi_value_query_string_parameters or {}).items())
        text = json.dumps([self._edition, change, event.path, asked])
        return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _had(event: Any) -> set[str]:
    header = event.resolved_headers_field.get("if-none-match", "")
    text = ",".join(header) if isinstance(header, list) else header
    # A gateway or a proxy that compresses may have made a strong one weak.
    return {f"W/{each.strip().removeprefix('W/')}" for each in text.split(",")}
