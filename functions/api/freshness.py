"""ETags from the ingestion log, so that unchanged responses do not wake PostgreSQL."""

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

_CACHE_SECONDS = 2.0  # seconds for which the newest change is cached, for bursts of requests

# An ingestion may move between these statuses in any order, and a running one may change rows.
# Only the newest change among all of them never goes back. Rejected files never had rows.
_MAY_CHANGE_ROWS = (Status.QUEUED, Status.RUNNING, Status.SUCCESS, Status.FAIL, Status.SUPERSEDED)

Next = Callable[[Any], Response[str]]


class LastChange:
    """The cached time of the log's newest change."""

    def __init__(self, log: Callable[[], IngestionLog]) -> None:
        self._log = log
        self._known: tuple[float, str | None] | None = None

    def __call__(self) -> str | None:
        """Return the time as stored in the log; "" if the log is empty, None if unavailable."""
        now = time.monotonic()
        if self._known is None or now - self._known[0] > _CACHE_SECONDS:
            self._known = now, self._ask()
        return self._known[1]

    def _ask(self) -> str | None:
        try:
            # `newest` reads one item ahead, because it groups items of the same time.
            newest = next(self._log().newest(_MAY_CHANGE_ROWS, page=2), None)
        except LogUnavailable as error:
            logger.warning("no ETag without the log", extra={"reason": str(error)})
            return None
        return changed_at(newest) if newest else ""


class Freshness:
    """Powertools middleware that adds an ETag and answers 304 if nothing has changed.

    The ETag is computed before the rows are read. Rows may therefore be newer than their ETag, and
    the next request returns them again. They are never older.
    """

    __name__ = "Freshness"

    def __init__(self, last_change: LastChange, edition: str) -> None:
        """Store the dependencies; `edition` identifies the contract and the code."""
        self._last_change = last_change
        self._edition = hashlib.sha256(edition.encode()).hexdigest()

    def __call__(self, app: Any, next_middleware: Next) -> Response[str]:
        """Return 304 if the caller's ETag is current; otherwise call the route."""
        tag = self._tag(app.current_event)
        headers: dict[str, str | list[str]] = {"Cache-Control": "private, no-cache"}
        if tag is None:
            answer = next_middleware(app)
        else:
            headers["ETag"] = tag
            if tag in _sent_etags(app.current_event):
                return Response(304, None, "", headers)
            answer = next_middleware(app)
        if answer.status_code == 200:
            answer.headers.update(headers)
        return answer

    def _tag(self, event: Any) -> str | None:
        change = self._last_change()
        if change is None:
            return None
        parameters = sorted((event.multi_value_query_string_parameters or {}).items())
        text = json.dumps([self._edition, change, event.path, parameters])
        return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _sent_etags(event: Any) -> set[str]:
    header = event.resolved_headers_field.get("if-none-match", "")
    text = ",".join(header) if isinstance(header, list) else header
    # A proxy that compresses responses may turn a weak ETag into a strong one, and vice versa.
    return {f"W/{each.strip().removeprefix('W/')}" for each in text.split(",")}
