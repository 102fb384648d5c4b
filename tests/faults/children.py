"""A function in a process of its own, that can be killed at any of its network operations."""

import importlib
import multiprocessing
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.fixtures.aws import lambda_context

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Everything is imported once, in a server that forks each child in a hundredth of a second.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.faults.warm", __name__])
_SMALL = {"shared.landing.CHUNK_BYTES": 40_000, "functions.load.rows._BATCH_ROWS": 400}
"""A small file has several parts too, and a part several chunks."""
_HEAD = 4000
"""How much is kept of what an operation sends: enough to know it by."""
# What all other methods of the two come down to.
_METHODS: tuple[tuple[type[socket.socket], tuple[str, ...]], ...] = (
    (socket.socket, ("connect", "send", "sendall", "recv", "recv_into")),
    (ssl.SSLSocket, ("do_handshake", "send", "read")),
)


@dataclass(frozen=True, slots=True)
class Point:
    """Right before an operation, counted from 0, or from the first that sends `marker`."""

    number: int
    marker: bytes = b""


@dataclass(slots=True)
class Call:
    """What became of a call: an answer or an error, or neither if it was killed."""

    operations: list[tuple[str, bytes]] = field(default_factory=list)
    """Those that were begun: the socket's method, and the first bytes of what it sent."""
    answer: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def killed(self) -> bool:
        """Whether it could say nothing any more."""
        return self.answer is None and self.error is None

    def sent(self, what: bytes) -> bool:
        """Tell whether something was sent, or begun to be."""
        return any(what in data for _, data in self.operations)


def call(
    function: str,
    event: Mapping[str, Any],
    environment: Mapping[str, str],
    kill_at: Point | None = None,
) -> Call:
    """Call a function's handler with only that environment, and kill it where that is asked for."""
    told, tell = _SERVER.Pipe(duplex=False)
    child = _SERVER.Process(
        target=_run, args=(function, dict(event), dict(environment), kill_at, tell)
    )
    child.start()
    tell.close()
    made = Call()
    with told:
        while True:
            try:
                said = told.recv()
            except EOFError:
                break
            match said:
                case tuple():
                    made.operations.append(said)
                case Exception():
                    made.error = said
                case answer:
                    made.answer = answer
    child.join()
    assert child.exitcode == (-signal.SIGKILL if made.killed else 0)
    return made


def _run(
    function: str,
    event: dict[str, Any],
    environment: dict[str, str],
    kill_at: Point | None,
    tell: "Connection[Any, Any]",
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handler = importlib.import_module(f"functions.{function}.handler").handler
    for name, value in _SMALL.items():
        mock.patch(name, value).start()
    _watch(kill_at, tell)
    try:
        tell.send(handler(event, lambda_context()))
    except Exception as error:  # the parent judges it
        tell.send(error)


def _watch(kill_at: Point | None, tell: "Connection[Any, Any]") -> None:
    counted = 0 if kill_at is None or not kill_at.marker else None

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def watching(self: socket.socket, *arguments: Any, **more: Any) -> Any:
            nonlocal counted
            sends = method.__name__.startswith("send")
            head = bytes(arguments[0][:_HEAD]) if sends else b""
            if counted is None and kill_at is not None and kill_at.marker in head:
                counted = 0
            if kill_at is not None and counted == kill_at.number:
                os.kill(os.getpid(), signal.SIGKILL)
            counted = None if counted is None else counted + 1
            tell.send((method.__name__, head))
            return method(self, *arguments, **more)

        return watching

    for kind, names in _METHODS:
        for name in names:
            setattr(kind, name, watched(getattr(kind, name)))
