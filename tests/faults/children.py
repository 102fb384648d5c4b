"""Run a function in a child process and kill it before any of its network operations."""

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

# The fork server imports everything once, so each child starts within 10 ms.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.faults.warm", __name__])
_SMALL = {"shared.content.CHUNK_BYTES": 40_000, "functions.load.rows._BATCH_ROWS": 400}
"""Limits that split a small file into several parts and chunks."""
_HEAD = 4000
"""Bytes of sent data that are kept to identify an operation."""
# All other methods of the two classes call one of these.
_METHODS: tuple[tuple[type[socket.socket], tuple[str, ...]], ...] = (
    (socket.socket, ("connect", "send", "sendall", "recv", "recv_into")),
    (ssl.SSLSocket, ("do_handshake", "send", "read")),
)


@dataclass(frozen=True, slots=True)
class Point:
    """The point before an operation, counted from 0, or from the first that sends `marker`."""

    number: int
    marker: bytes = b""


@dataclass(slots=True)
class Call:
    """The result of a call: an answer or an error, or neither if it was killed."""

    operations: list[tuple[str, bytes]] = field(default_factory=list)
    """The operations that began: the method of the socket, and the first bytes sent."""
    answer: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def killed(self) -> bool:
        return self.answer is None and self.error is None

    def sent(self, what: bytes) -> bool:
        return any(what in data for _, data in self.operations)


def call(
    function: str,
    event: Mapping[str, Any],
    environment: Mapping[str, str],
    kill_at: Point | None = None,
) -> Call:
    """Call a function's handler with only `environment`, and kill it at `kill_at`."""
    receiver, sender = _SERVER.Pipe(duplex=False)
    child = _SERVER.Process(
        target=_run, args=(function, dict(event), dict(environment), kill_at, sender)
    )
    child.start()
    sender.close()
    result = Call()
    with receiver:
        while True:
            try:
                message = receiver.recv()
            except EOFError:
                break
            match message:
                case tuple():
                    result.operations.append(message)
                case Exception():
                    result.error = message
                case answer:
                    result.answer = answer
    child.join()
    assert child.exitcode == (-signal.SIGKILL if result.killed else 0)
    return result


def _run(
    function: str,
    event: dict[str, Any],
    environment: dict[str, str],
    kill_at: Point | None,
    sender: "Connection[Any, Any]",
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handler = importlib.import_module(f"functions.{function}.handler").handler
    for name, value in _SMALL.items():
        mock.patch(name, value).start()
    _intercept(kill_at, sender)
    try:
        sender.send(handler(event, lambda_context()))
    except Exception as error:  # the parent checks it
        sender.send(error)


def _intercept(kill_at: Point | None, sender: "Connection[Any, Any]") -> None:
    counted = 0 if kill_at is None or not kill_at.marker else None

    def intercepted(method: Callable[..., Any]) -> Callable[..., Any]:
        def intercepting(self: socket.socket, *arguments: Any, **more: Any) -> Any:
            nonlocal counted
            sends = method.__name__.startswith("send")
            head = bytes(arguments[0][:_HEAD]) if sends else b""
            if counted is None and kill_at is not None and kill_at.marker in head:
                counted = 0
            if kill_at is not None and counted == kill_at.number:
                os.kill(os.getpid(), signal.SIGKILL)
            counted = None if counted is None else counted + 1
            sender.send((method.__name__, head))
            return method(self, *arguments, **more)

        return intercepting

    for kind, names in _METHODS:
        for name in names:
            setattr(kind, name, intercepted(getattr(kind, name)))
