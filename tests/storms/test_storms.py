"""Tests of storms: afterwards the table and the log agree on the newest version of every key.

A removed key has no rows, or those of a version that landed after the removal.
"""

import datetime as dt

import pytest

from tests.storms import sabotage
from tests.storms.environment import Environment
from tests.storms.scheduler import Discrepancy
from tests.storms.storm import Storm
from tests.storms.weather import Tally

_MOST = 240
"""Maximum storms to detect a defect."""
_BROKEN: list[tuple[sabotage.Sabotage, str, int]] = [
    (sabotage.no_ledger_check, "holds", 7),
    (sabotage.no_bucket_check, "holds", 31),
    (sabotage.no_second_check, "holds", 50),
    (sabotage.no_delete, "holds|constraint load_source_id_fkey", 7),
    (sabotage.switch_before_copy, "holds", 17),
    (sabotage.no_transaction, "holds|code 23503", 9),
    (sabotage.commit_before_copy_ends, "holds", 7),
    (sabotage.no_step_deduplication, "times in the log", 7),
    (sabotage.no_limit, "concurrent runs", 7),
    (sabotage.no_recovery, "does not recover|slots are held|still wait", 7),
    (sabotage.no_queued_files, "does not recover|still wait", 7),
    (sabotage.no_claim, "has [2-9] alerts", 7),
    (sabotage.marked_before_sent, "has 0 alerts", 8),
    (sabotage.no_manifest_claim, "vouch for several versions", 183),
    (sabotage.no_search_for_manifests, "does not recover|waiting", 33),
]
"""Defect, expected message, and a seed that detects it early."""


@pytest.mark.scaled
@pytest.mark.timeout(1800)
def test_storms(environment: Environment, storm_seeds: list[int], storm_tally: Tally) -> None:
    for seed in storm_seeds:
        Storm(seed, environment, storm_tally).run()


def test_storm_is_deterministic(environment: Environment, storm_seeds: list[int]) -> None:
    # A storm lasts simulated hours, and what watch does depends on the day.
    seed, start = storm_seeds[0], dt.datetime.now(dt.UTC)

    traces = {Storm(seed, environment, Tally(), start).run() for _ in range(2)}

    assert len(traces) == 1


@pytest.mark.deep
@pytest.mark.parametrize(
    ("broken", "found", "seed"), _BROKEN, ids=[broken.__name__ for broken, *_ in _BROKEN]
)
def test_storm_detects_defects(
    broken: sabotage.Sabotage,
    found: str,
    seed: int,
    environment: Environment,
    storm_tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def run_storms() -> None:
        for number in range(_MOST):
            storm_tally[f"storms until detected: {broken.__name__}"] += 1
            Storm(seed + number, environment, Tally()).run()

    with pytest.raises(Discrepancy, match=found):
        run_storms()
