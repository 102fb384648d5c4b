"""The code folder, and the state folder of a laptop cloud."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder with `contracts`, `functions`, `shared` and `terraform`: a checkout or the installed
package `tm_pipeline`."""


def home() -> Path:
    """Return the state folder: `TM_HOME`, else `.tm` in the checkout, else a folder of the user.

    The installed package cannot hold state, because upgrades replace it and users share it:
    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    if given := os.environ.get("TM_HOME"):
        return Path(given).resolve()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".tm"
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base, "tm-pipeline").resolve()
