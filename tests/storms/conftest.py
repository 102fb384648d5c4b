"""Fixture of the simulations."""

from collections.abc import Iterator

import pytest

from tests.fixtures.database import Database
from tests.storms.environment import Environment, simulated_environment


@pytest.fixture
def environment(
    migrated: Database, s3: object, state_machine: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    """Return an environment that any number of simulations may use, one after another."""
    with simulated_environment(migrated, state_machine, monkeypatch) as environment:
        yield environment
