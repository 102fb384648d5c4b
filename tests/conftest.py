"""Settings for all tests: fixtures, Hypothesis, markers, and the distribution over workers."""

import re
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TESTS = Path(__file__).parent
pytest_plugins = [
    f"tests.fixtures.{path.stem}" for path in sorted((TESTS / "fixtures").glob("*.py"))
]

# A deadline would measure the machine. On CI, Hypothesis would load a profile with a fixed seed.
settings.register_profile("quick", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before Hypothesis does, so that the report header can print it."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


SERVICES = {"aws", "laptop", "postgres", "sandbox", "tls_postgres", "tools"}
"""Fixtures that start a service or replace one."""
SELECTED = {"api", "deep", "git", "npm", "programs", "security", "tls"}
"""Markers of tests that need more than this process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark pure tests, and run the slowest files first so that all workers finish together."""
    for item in items:
        needed = {*getattr(item, "fixturenames", ()), *(each.name for each in item.iter_markers())}
        if needed.isdisjoint(SERVICES | SELECTED):
            item.add_marker("pure")
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if "laptop" in getattr(item, "fixturenames", ()):
        return 0
    is_slow = any(map(item.get_closest_marker, ("scaled", "timeout")))
    return 1 if is_slow else 2


def pytest_report_header(config: pytest.Config) -> str:
    """Print how to repeat this run's generated examples."""
    return f"to repeat the generated examples: --hypothesis-seed={config.option.hypothesis_seed}"


LAPTOP_FILES = {
    str(path.relative_to(TESTS.parent))
    for path in TESTS.rglob("test_*.py")
    if re.search(r"tests\.fixtures\.(laptop|pipeline) ", path.read_text())
} - {"tests/test_own_contracts.py"}  # starts its own cloud
SPLIT_FILES = {"tests/terraform/test_examples.py", "tests/terraform/test_images.py"}
"""Files whose tests take minutes each and share nothing."""


class OneLaptopCloud(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Send whole files to workers, and all files that use the laptop cloud to the same worker.

    Starting the cloud takes twenty seconds, and every worker would start its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        if file in SPLIT_FILES:
            return nodeid
        if file == "tests/faults/test_killed.py" and self.numnodes > 2:
            return file  # takes so long that a second cloud saves time
        return "laptop" if file in LAPTOP_FILES else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneLaptopCloud:
    """Replace the scheduler of `--dist=loadfile`."""
    return OneLaptopCloud(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failure."""
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped file into a failure."""
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    """Turn a skip into a failure: a passing run must have run every test. An xfail did run."""
    if report.skipped and not hasattr(report, "wasxfail"):
        assert isinstance(report.longrepr, tuple)
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{reason}\n{path}:{line}: no test may be skipped: "
            "install what it needs, or give it a marker with a make target"
        )
    return report
