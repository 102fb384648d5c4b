"""Programs that tests start."""

import subprocess
from pathlib import Path
from typing import Any

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, **more: Any) -> Done:
    """Run a program to its end, whatever that is, and keep what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)
