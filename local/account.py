"""The account that the laptop cloud's servers run under, and where they keep their data."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError

UNPRIVILEGED = "nobody"
"""This account exists everywhere and owns nothing."""


def place(folder: Path, name: str) -> tuple[Path, str | None]:
    """Make the folder `name` of a server in `folder`; return it, and the account to start it under.

    The account is None for one's own. Root's servers run under `UNPRIVILEGED`: root's own folders
    are closed to it, and opening them up is not ours to do, so the server gets a place of its own,
    and `folder` keeps a link to it.

    Raises:
        LocalError: it is there already, or the account may not enter the place.
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
            f"{name} should not run as root, and the account {UNPRIVILEGED} may not enter "
            f"{closed[-1]}: set TMPDIR to a folder that every user may enter."
        )
    return home, UNPRIVILEGED


def remove(folder: Path, name: str) -> None:
    """Remove what `place` made; nothing there is no error."""
    link = folder / name
    shutil.rmtree(link.resolve(), ignore_errors=True)
    link.unlink(missing_ok=True)


def can_run(command: Sequence[str], user: str) -> bool:
    """Tell whether an account can run a command, which needs to read its program."""
    try:
        done = subprocess.run(  # noqa: S603
            command, user=user, extra_groups=[], cwd="/", env={}, capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
