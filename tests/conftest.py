"""Fixtures for every test, each plugin says what it starts; and how many files Hypothesis makes."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadGroupScheduling

pytest_plugins = [
    f"tests.fixtures.{path.stem}"
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.py"))
]

# A deadline would measure the machine. Loaded by name, for on CI Hypothesis fixes the seed.
settings.register_profile("quick", max_examples=200, deadline=None, print_blob=True)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before Hypothesis does, so that it can be said."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbelow(2**32))


class Scheduler(LoadGroupScheduling):  # type: ignore[misc]
    """Hands out the tests of a file together, and those of the laptop cloud: it comes up once."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Choose who hands out the tests to the cores."""
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name what belongs together, and begin with what takes longest: no core is left with it."""

    def is_short(item: pytest.Item) -> bool:
        clouds = {"laptop", "sandbox"}.intersection(getattr(item, "fixturenames", ()))
        return not clouds and item.get_closest_marker("scaled") is None

    for item in items:
        if "laptop" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("laptop"))
    items.sort(key=is_short)


def pytest_report_header(config: pytest.Config) -> str:
    """Say how this run's generated examples can be had again."""
    return f"to generate the same again: --hypothesis-seed={config.option.hypothesis_seed}"
