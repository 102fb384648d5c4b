"""Tests of Load when a proxy cuts its connection to PostgreSQL at each statement."""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from shared import settings
from tests.faults.conftest import AT, HEADER, Machine


@dataclass(slots=True)
class Cut:
    """The point where the proxy cuts: when the client sends `marker`, or after the answer.

    If `after` is given, the connection must have sent that before.
    """

    marker: bytes
    answered: bool = False
    after: bytes = b""
    done: bool = False


CUTS = {
    "BEGIN": Cut(b"BEGIN"),
    "lock": Cut(b"INSERT INTO source"),
    "first COMMIT answered": Cut(b"COMMIT", answered=True),
    "lock answered": Cut(b"INSERT INTO source", answered=True),
    "DELETE": Cut(b"DELETE FROM"),
    "COPY": Cut(b"COPY "),
    "chunk": Cut(b"row 4"),
    "replacement": Cut(b"AS key FROM"),
    "ledger": Cut(b"UPDATE source"),
    "COMMIT": Cut(b"COMMIT", after=b"UPDATE source"),
    "COMMIT answered": Cut(b"COMMIT", answered=True, after=b"UPDATE source"),
}


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.cut: Cut | None = None


class _Handler(socketserver.BaseRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        client: socket.socket = self.request
        sent = b""
        with contextlib.suppress(OSError), socket.create_connection(self.server.upstream) as server:
            other = {client: server, server: client}
            while True:
                for end in select.select(other, [], [])[0]:
                    data = end.recv(65536)
                    sent += data if end is client else b""
                    if not data or (end is client and self._cut(data, sent, server)):
                        return
                    other[end].sendall(data)

    def _cut(self, data: bytes, sent: bytes, server: socket.socket) -> bool:
        cut = self.server.cut
        if cut is None or cut.done or cut.marker not in data or cut.after not in sent:
            return False
        cut.done = True
        if cut.answered:
            server.sendall(data)
            server.recv(65536)
        else:
            # Cut in the middle of the message.
            server.sendall(data[: data.index(cut.marker) + 1])
        return True


@pytest.fixture
def proxy(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Proxy]:
    """The proxy that Load connects to."""
    server = machine.database.server
    with _Proxy((server.host, server.port)) as proxy:
        monkeypatch.setenv("DATABASE_PORT", str(proxy.server_address[1]))
        settings.read.cache_clear()
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy
        proxy.shutdown()


def test_load_recovers_from_cut_connection_in_same_invocation(
    machine: Machine, proxy: _Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[list[str]] = []
    monkeypatch.setattr("shared.database._log_retry", lambda _: meanwhile.append(machine.rows()))
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda _: None))
    for number, (name, cut) in enumerate(CUTS.items(), 3):
        before = machine.rows()
        users = [f"row {row}" for row in range(9)]
        machine.land("\n".join([HEADER, *(f"{user},{AT},{number},x" for user in users)]))
        proxy.cut = cut

        end = machine.play()

        assert end["detail"]["status"] == "SUCCEEDED", name
        assert cut.done, name
        after = [f"{user} {number}.00" for user in users]
        assert machine.rows() == after, name
        assert meanwhile == [after if name == "COMMIT answered" else before], name
        assert machine.item()["rowsLoaded"] == len(users), name
        meanwhile.clear()
    assert machine.retried == []
