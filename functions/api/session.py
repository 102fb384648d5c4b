"""The connection that outlives a call: kept while it lives, replaced when it died."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from shared.database import Connection
from shared.errors import DatabaseUnavailable

ANSWER_WITHIN = 8.0
"""Seconds after which a caller is told to come again; Aurora may need more to wake up."""

PARAMETERS = {
    "statement_timeout": "8s",
    # A connection that is kept open keeps Aurora awake: a sandbox that sleeps must not hold one.
    "idle_session_timeout": "60s",
}
"""PostgreSQL's settings for the session."""

FRESH = 1.0
"""Seconds after an answer in which no network has forgotten a connection yet."""

_ALIVE_WITHIN = 1.0


class Session:
    """Executes statements in one connection, made by `connect` within so many seconds."""

    def __init__(self, connect: Callable[[float], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._answered = float("-inf")

    def run(self, sql: str, **parameters: object) -> list[list[Any]]:
        """Execute a statement.

        Raises:
            DatabaseUnavailable: PostgreSQL did not answer in time.
            PipelineError: what else it answered.
        """
        deadline = time.monotonic() + ANSWER_WITHIN
        connection = self._living(deadline)
        connection.limit(deadline - time.monotonic())
        rows = connection.run(sql, **parameters)
        self._answered = time.monotonic()
        return rows

    def close(self) -> None:
        """Close the connection, if there is one; the next statement makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _living(self, deadline: float) -> Connection:
        if self._connection is not None:
            if time.monotonic() - self._answered < FRESH and not self._connection.is_stirring():
                return self._connection
            # The sandbox may have slept since and the network forgotten the connection: a statement
            # would wait for an answer until the caller has gone. Asking first costs one trip.
            with contextlib.suppress(DatabaseUnavailable):
                self._connection.limit(_ALIVE_WITHIN)
                self._connection.run("SELECT 1")
                return self._connection
            self._connection.abandon()
            self._connection = None
        self._connection = self._connect(deadline - time.monotonic())
        return self._connection
