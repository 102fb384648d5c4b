"""PostgreSQL's own command on this machine."""

import os
import shutil
import sys
from typing import NoReturn

from local.postgres import Server


def find() -> str | None:
    """Return psql's path, or None where it is not in PATH."""
    return shutil.which("psql")


def become(command: str, server: Server, *arguments: str) -> NoReturn:
    """Let psql take the place of this process, so that it has the terminal and its signals.

    Args:
        command: its path.
        server: where it connects to, and as whom.
        arguments: its own; where to connect to stands in the environment, which only the user sees.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command, [command, *arguments], _environment(server))  # noqa: S606 - no shell is meant


def _environment(server: Server) -> dict[str, str]:
    """Return the user's environment, but of PostgreSQL's variables only our own."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # https://www.postgresql.org/docs/current/libpq-envars.html
    # On the loopback the server speaks no TLS.
    return others | {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGDATABASE": server.database,
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
