"""After any storm the table holds the newest loadable version of every key; the log says so."""

from collections.abc import Iterator

import pytest

from tests.fixtures.database import Database
from tests.storms import sabotage
from tests.storms.discrepancy import Discrepancy
from tests.storms.storm import Storm
from tests.storms.theatre import Theatre, theatre
from tests.storms.weather import Tally

_FIRST, _MOST = 5, 60
"""Storms that have to find a defect out; the first has four versions of a key at once."""


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


def test_a_seed_is_a_storm(stage: Theatre, storm_seeds: list[int]) -> None:
    seed = storm_seeds[0]

    traces = {Storm(seed, stage, Tally()).run() for _ in range(2)}

    assert len(traces) == 1


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (sabotage.no_ledger_check, "the table holds"),
        (sabotage.no_ledger_lock, "the table holds|the ledger holds|deadlock"),
        (sabotage.no_delete, "the table holds"),
        (sabotage.delete_by_itself, "the table holds"),
        (sabotage.no_transaction, "the table holds"),
        (sabotage.commit_before_copy_ends, "the table holds"),
        (sabotage.no_step_only_once, "times in the log"),
        (sabotage.no_claim, "was told [2-9] times"),
        (sabotage.noted_before_told, "was told 0 times"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_broken_pipeline_is_found_out(
    broken: sabotage.Sabotage,
    found: str,
    stage: Theatre,
    storm_tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def rage() -> None:
        for seed in range(_FIRST, _FIRST + _MOST):
            storm_tally[f"storms until found out: {broken.__name__}"] += 1
            Storm(seed, stage, Tally()).run()

    with pytest.raises(Discrepancy, match=found):
        rage()
