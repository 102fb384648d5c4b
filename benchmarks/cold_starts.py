"""Cold starts, relative to `import boto3`: new processes with the packages of the images.

The packages are those of an image's lock file, compiled as functions/Dockerfile does it, or with
`quick` those of this environment, which are the same and more. No other package can be imported.
The kernel and the Python version are those of this machine.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import CHECKOUT, Figure, Timed, ratio, run, timed

STARTS, QUICK_STARTS = 15, 5
MOST: dict[str, float | None] = {"trigger": 2.0, "alert": 2.0, "watch": None, "api": 3.0}
HEAVY: dict[str, float | None] = {"transform": None, "test": None, "load": None}


def cold_starts(quick: bool) -> Iterator[Figure]:
    """Compare importing each function as its image does with importing boto3."""
    for function, most in (MOST if quick else MOST | HEAVY).items():
        with tempfile.TemporaryDirectory() as name:
            code, packages = Path(name, "code"), Path(name, "packages")
            for part in ("shared", f"functions/{function}"):
                shutil.copytree(CHECKOUT / part, code / part)
            shutil.copy(CHECKOUT / "functions" / "main.py", code / "functions")
            if quick:
                packages = Path(sysconfig.get_path("purelib"))
            else:
                _install(function, packages)
            _compile(code)
            places = os.pathsep.join(map(str, (code, packages)))
            yield ratio(
                f"Cold start of {function} to `import boto3`",
                _start("functions.main", places),
                _start("boto3", places),
                QUICK_STARTS if quick else STARTS,
                most=most,
            )


def _install(function: str, folder: Path) -> None:
    # Quieter than --quiet, which still warns.
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    packages = CHECKOUT / "functions" / function / "requirements.txt"
    exact = ("--require-hashes", "--no-compile", "--target", folder)
    run(*pip, *exact, "--requirement", packages)
    _compile(folder)


def _compile(folder: Path) -> None:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=mode)


def _start(module: str, places: str) -> Timed:
    environment = os.environ | {
        "PYTHONPATH": places,
        "AWS_DEFAULT_REGION": "eu-west-1",
        # Incomplete, so that a function fetches the contract set at its first use.
        "POWERTOOLS_METRICS_NAMESPACE": "tm",
    }
    # -S: without the packages of this environment. The end of a process is no part of its start.
    command = [sys.executable, "-S", "-c", f"import os, {module}; os._exit(0)"]
    return timed(lambda: subprocess.run(command, cwd="/", env=environment, check=True))
