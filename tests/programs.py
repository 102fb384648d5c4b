"""Run programs from tests."""

import subprocess
from pathlib import Path
from typing import Any

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, **more: Any) -> Done:
    """Run a program and capture its output, whatever its exit status."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)
