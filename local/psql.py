"""PostgreSQL's command line client on this machine."""

import os
import shutil
import sys
from typing import NoReturn

from local.postgres import Server


def find() -> str | None:
    """Return the path of psql, or None if it is not in PATH."""
    return shutil.which("psql")


def become(command: str, server: Server, *arguments: str) -> NoReturn:
    """Replace this process by psql at `command`, which then gets the terminal and its signals.

    The password goes into the environment, which other users cannot read.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command, [command, *arguments], _environment(server))  # noqa: S606 - no shell is meant


def _environment(server: Server) -> dict[str, str]:
    """Return the user's environment with all PG* variables replaced."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # https://www.postgresql.org/docs/current/libpq-envars.html
    # The server has no TLS, because it listens on loopback only.
    return others | {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGDATABASE": server.database,
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
