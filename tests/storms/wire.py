"""PostgreSQL sessions of a storm: it may inject a fault at every statement and COPY chunk."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import pg8000.exceptions
import pg8000.native

from shared.database import Connection
from tests.storms.weather import Fault


class Boundary(Protocol):
    """The points before and after I/O, where other actors run and faults occur."""

    def reach(
        self, service: str, at: str, *, contends: str | None = None, backend: int | None = None
    ) -> Fault | None:
        """Wait for the next turn before I/O; return its fault, unless that kills the call."""

    def leave(self, fault: Fault | None) -> None:
        """Wait for the next turn after I/O, or kill the call if the fault says so."""


class Monitor:
    """The superuser's view of the sessions of one role."""

    def __init__(self, session: pg8000.native.Connection, role: str) -> None:
        self._session = session
        self._role = role
        self._turn = threading.Lock()

    def waits(self, backend: int) -> bool:
        """Return whether a session waits for a lock of another session."""
        # Not pg_stat_activity, which still reports "Lock" shortly after the lock is granted.
        [[waits]] = self._ask("SELECT pg_blocking_pids(:pid) <> '{}'", pid=backend)
        return bool(waits)

    def gone(self, *backends: int) -> None:
        """Wait until sessions have ended and their locks are released."""
        alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(CAST(:pids AS int[]))"
        deadline = time.monotonic() + 30
        while self._ask(alive, pids=list(backends)) != [[0]]:
            assert time.monotonic() < deadline, f"PostgreSQL does not end the sessions {backends}"
            time.sleep(0.0005)

    def end(self, *backends: int) -> None:
        """Terminate sessions, and wait until they have ended."""
        for backend in backends:
            self._ask("SELECT pg_terminate_backend(:pid)", pid=backend)
        self.gone(*backends)

    def end_all(self) -> None:
        """Terminate all sessions of the role, as a restart does."""
        sessions = "SELECT pid FROM pg_stat_activity WHERE usename = :role"
        self.end(*(pid for (pid,) in self._ask(sessions, role=self._role)))

    def _ask(self, sql: str, **parameters: object) -> Any:
        # The scheduler may query while an actor disconnects.
        with self._turn:
            return self._session.run(sql, **parameters)


class Wire:
    """A replacement for the pg8000 session of a `Connection` that injects faults."""

    def __init__(self, connection: Connection, boundary: Boundary, monitor: Monitor) -> None:
        self._session = connection._session
        self._boundary = boundary
        self._monitor = monitor
        self._has_lock = False
        self._backend = int.from_bytes(self._session._backend_key_data[:4], "big")

    @property
    def row_count(self) -> int:
        return int(self._session.row_count)

    def run(self, sql: str, stream: Iterable[bytes] | None = None, **parameters: object) -> Any:
        """Execute a statement, or inject a fault."""
        statement = " ".join(sql.split()[:2])
        fault = self._boundary.reach(
            "statement",
            statement,
            contends=self._asks_for(parameters.get("key")),
            backend=self._backend,
        )
        self._strike(fault)
        self._has_lock = self._has_lock and statement != "COMMIT"
        if stream is not None:
            parameters["stream"] = self._chunks(stream)
        try:
            answer = self._session.run(sql, **parameters)
        finally:
            self._boundary.leave(fault)
        if fault is Fault.ANSWER_LOST:
            raise pg8000.exceptions.InterfaceError("network error")
        return answer

    def close(self) -> None:
        """Close the session and wait until PostgreSQL has rolled its transaction back."""
        try:
            self._session.close()
        finally:
            self._monitor.gone(self._backend)

    def _chunks(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in stream:
            self._strike(self._boundary.reach("chunk", "a chunk", backend=self._backend))
            yield chunk

    def _strike(self, fault: Fault | None) -> None:
        if fault is Fault.CUT:
            self._monitor.end(self._backend)
        elif fault is Fault.RESTART:
            self._monitor.end_all()

    def _asks_for(self, key: object) -> str | None:
        # The first statement about a key locks it until the transaction ends.
        if key is None or self._has_lock:
            return None
        self._has_lock = True
        return str(key)
