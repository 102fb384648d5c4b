"""What storms and ends take place in."""

from collections.abc import Iterator

import pytest

from tests.fixtures.database import Database
from tests.storms.theatre import Theatre, theatre


@pytest.fixture
def stage(
    migrated: Database, s3: object, state_machine: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Theatre]:
    """A theatre, for as many storms as one likes, one after another."""
    with theatre(migrated, state_machine, monkeypatch) as scene:
        yield scene
