"""After any storm the table equals the newest loadable version of every key, and the log says so."""

from collections.abc import Iterator

import pytest

from tests.fixtures.database import Database
from tests.storms.storm import Storm
from tests.storms.theatre import Theatre, theatre
from tests.storms.weather import Tally


@pytest.fixture
def stage(
    migrated: Database, s3: object, log_table: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Theatre]:
    """A theatre, for as many storms as one likes, one after another."""
    with theatre(migrated, monkeypatch) as scene:
        yield scene


@pytest.mark.timeout(1800)
def test_storms(stage: Theatre, storm_seeds: list[int], storm_tally: Tally) -> None:
    for seed in storm_seeds:
        Storm(seed, stage, storm_tally).run()
