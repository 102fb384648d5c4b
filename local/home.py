"""Where the code lies, and the state folder: where one laptop cloud keeps all that is its own."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder with `contracts`, `functions`, `shared` and `terraform`: a checkout, or the installed
package `tm_pipeline`, which holds the same."""


def home() -> Path:
    """Return the state folder: `TM_HOME`, or `.tm` in the checkout; without one, the user's own.

    The installed package is no place for it: an upgrade would replace it, and others may use it.
    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    if given := os.environ.get("TM_HOME"):
        return Path(given).resolve()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".tm"
    states = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(states, "tm-pipeline").resolve()
