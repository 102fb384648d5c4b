"""What a developer waits for: `make run`, `tm up` and `make test`."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import CHECKOUT, Figure, run, seconds

_TIMED = """#!/bin/sh
begin=$(date +%s.%N)
"{terraform}" "$@"
status=$?
case "$*" in *" apply "*) echo "$begin $(date +%s.%N)" >>"{times}" ;; esac
exit $status
"""


def commands(quick: bool) -> Iterator[Figure]:
    """Time each command once, with a laptop cloud of its own."""
    if quick:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = folder / "times"
        wrapper = folder / "bin" / "terraform"
        wrapper.parent.mkdir()
        wrapper.write_text(_TIMED.format(terraform=shutil.which("terraform"), times=times))
        wrapper.chmod(0o755)
        path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
        tm = CHECKOUT / ".venv" / "bin" / "tm"
        home = {"TM_HOME": str(folder / "home")}
        yield Figure("`make run`", seconds(lambda: run("make", "run", **home)), "s", 25)
        try:
            up = seconds(lambda: run(tm, "up", PATH=path, **home))
        finally:
            run(tm, "down", **home)
        begin, end = map(float, times.read_text().split())
        detail = f"{up:.1f} s to {end - begin:.1f} s"
        yield Figure("`tm up` to its `terraform apply`", up / (end - begin), "×", 1.2, detail)
        yield Figure("`make test`", seconds(lambda: run("make", "test")), "s", 360)
