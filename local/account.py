"""The account and the data folders of the laptop cloud's servers."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError

UNPRIVILEGED = "nobody"
"""An account that exists on every system and owns nothing."""


def place(folder: Path, name: str) -> tuple[Path, str | None]:
    """Create a server's data folder; return it and the account to run the server under.

    The account is None for the current user. If root runs `tm`, the server runs under
    `UNPRIVILEGED`, which cannot enter root's folders. Then the data folder is a temporary folder,
    and `folder`, the state folder, has a link to it.

    Raises:
        LocalError: the folder exists already, or the account cannot enter the temporary folder.
    """
    link = folder / name
    if link.is_symlink() or link.exists():
        raise LocalError(f"{link} is left from an earlier run: `tm down` removes it.")
    if os.geteuid() != 0:
        link.mkdir()
        return link, None
    home = Path(tempfile.mkdtemp(prefix=f"tm-{name}-"))
    link.symlink_to(home)
    shutil.chown(home, UNPRIVILEGED)
    closed = [p for p in home.parents if not p.stat().st_mode & stat.S_IXOTH]
    if closed:
        raise LocalError(
            f"{name} cannot start because the account {UNPRIVILEGED} cannot enter {closed[-1]}: "
            "set TMPDIR to a folder that every user can enter, or do not run `tm` as root."
        )
    return home, UNPRIVILEGED


def remove(folder: Path, name: str) -> None:
    """Remove a server's data folder if it exists."""
    link = folder / name
    shutil.rmtree(link.resolve(), ignore_errors=True)
    link.unlink(missing_ok=True)


def can_run(command: Sequence[str], user: str) -> bool:
    """Return whether an account can run a command."""
    try:
        done = subprocess.run(  # noqa: S603
            command, user=user, extra_groups=[], cwd="/", env={}, capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
