"""The database connection that a sandbox keeps between requests."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from shared.database import Connection
from shared.errors import DatabaseUnavailable

ANSWER_WITHIN = 8.0
"""Seconds until a request fails with 503. Aurora may take longer to resume."""

PARAMETERS = {
    "statement_timeout": "8s",
    # Aurora does not pause while a connection is open, and a frozen sandbox cannot close one.
    "idle_session_timeout": "60s",
}
"""PostgreSQL settings of the session."""

FRESH = 1.0
"""Seconds after an answer during which a connection is used without a check."""

_ALIVE_WITHIN = 1.0  # seconds within which a connection must answer the check


class Session:
    """A connection that is replaced if it is dead; `connect` takes a time-out in seconds."""

    def __init__(self, connect: Callable[[float], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._answered = float("-inf")

    def run(self, sql: str, **parameters: object) -> list[list[Any]]:
        """Execute a statement and return its rows.

        Raises:
            DatabaseUnavailable: PostgreSQL did not answer in time.
            PipelineError: PostgreSQL answered with another error.
        """
        deadline = time.monotonic() + ANSWER_WITHIN
        connection = self._live_connection(deadline)
        connection.limit(deadline - time.monotonic())
        rows = connection.run(sql, **parameters)
        self._answered = time.monotonic()
        return rows

    def close(self) -> None:
        """Close the connection, if any; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _live_connection(self, deadline: float) -> Connection:
        if self._connection is not None:
            if time.monotonic() - self._answered < FRESH and not self._connection.is_unusable():
                return self._connection
            # While the sandbox was frozen, the network may have dropped the connection. A statement
            # would then wait until the request times out. This check costs one round trip.
            with contextlib.suppress(DatabaseUnavailable):
                self._connection.limit(_ALIVE_WITHIN)
                self._connection.run("SELECT 1")
                return self._connection
            self._connection.abandon()
            self._connection = None
        self._connection = self._connect(deadline - time.monotonic())
        return self._connection
