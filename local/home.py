"""The state folder: where one laptop cloud keeps everything that is its own."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Return the state folder: `TM_HOME`, or `.tm` in the checkout."""
    return Path(os.environ.get("TM_HOME") or CHECKOUT / ".tm").resolve()
