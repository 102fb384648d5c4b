"""What concerns every test: fixtures, Hypothesis, markers, and which worker runs which file."""

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

# A deadline would measure the machine. Loaded by name, for on CI Hypothesis fixes the seed.
settings.register_profile("quick", max_examples=200, deadline=None, print_blob=True)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before Hypothesis does, so that it can be said."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


SERVICES = {"aws", "laptop", "postgres", "sandbox", "tls_postgres", "tools"}
"""The fixtures that stand for something outside this process, or start it."""
SELECTED = {"api", "deep", "git", "npm", "programs", "security", "tls"}
"""The markers of tests that need more than this process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is pure, and begin with what takes longest, or one core would be left with it."""
    for item in items:
        needed = {*getattr(item, "fixturenames", ()), *(each.name for each in item.iter_markers())}
        if needed.isdisjoint(SERVICES | SELECTED):
            item.add_marker("pure")
    clouds = {"laptop", "sandbox"}
    items.sort(
        key=lambda item: (
            clouds.isdisjoint(getattr(item, "fixturenames", ()))
            and item.get_closest_marker("scaled") is None
        )
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Say how this run's generated examples can be had again."""
    return f"to generate the same again: --hypothesis-seed={config.option.hypothesis_seed}"


OF_THE_LAPTOP = {
    str(path.relative_to(TESTS.parent))
    for path in TESTS.rglob("test_*.py")
    if re.search(r"tests\.fixtures\.(laptop|pipeline) ", path.read_text())
}


class OneCloud(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives whole files to workers, and all files that use the laptop cloud to one of them.

    Making the cloud takes a minute, and each worker would make its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "laptop" if file in OF_THE_LAPTOP else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneCloud:
    """Use it in place of `--dist=loadfile`."""
    return OneCloud(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that is skipped fail."""
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a file that is skipped fail."""
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    """A run that is green must have run every test; a test that is expected to fail did run."""
    if report.skipped and not hasattr(report, "wasxfail"):
        assert isinstance(report.longrepr, tuple)
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{reason}\n{path}:{line}: no test may be skipped: "
            "install what it needs, or mark it for a target of its own"
        )
    return report
