"""Fixtures for every test, each plugin says what it starts; and how many files Hypothesis makes."""

import secrets
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

pytest_plugins = [
    f"tests.fixtures.{path.stem}"
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.py"))
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no core is left with it at the end."""
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
