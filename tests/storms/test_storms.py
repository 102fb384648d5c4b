"""After any storm the table holds the newest loadable version of every key; the log says so.

Of a key that was removed it holds nothing, or what has landed since.
"""

import pytest

from tests.storms import sabotage
from tests.storms.discrepancy import Discrepancy
from tests.storms.storm import Storm
from tests.storms.theatre import Theatre
from tests.storms.weather import Tally

_MOST = 60
"""Storms that have to find a defect out."""
_BROKEN: list[tuple[sabotage.Sabotage, str, int]] = [
    (sabotage.no_ledger_check, "holds", 7),
    (sabotage.no_look_at_the_bucket, "holds", 31),
    (sabotage.no_ledger_lock, "holds|deadlock", 14),
    (sabotage.no_delete, "holds", 7),
    (sabotage.delete_by_itself, "holds", 17),
    (sabotage.no_transaction, "holds", 9),
    (sabotage.commit_before_copy_ends, "holds", 7),
    (sabotage.no_step_only_once, "times in the log", 7),
    (sabotage.no_bound, "at once", 7),
    (sabotage.no_recovery, "no end to it|slots are held|wait for ever", 7),
    (sabotage.waiting_is_forgotten, "no end to it|wait for ever", 7),
    (sabotage.no_claim, "was told [2-9] times", 7),
    (sabotage.noted_before_told, "was told 0 times", 8),
]
"""How, what the storms say of it, and a seed that saves time."""


@pytest.mark.scaled
@pytest.mark.timeout(1800)
def test_storms(stage: Theatre, storm_seeds: list[int], storm_tally: Tally) -> None:
    for seed in storm_seeds:
        Storm(seed, stage, storm_tally).run()


def test_a_seed_is_a_storm(stage: Theatre, storm_seeds: list[int]) -> None:
    seed = storm_seeds[0]

    traces = {Storm(seed, stage, Tally()).run() for _ in range(2)}

    assert len(traces) == 1


@pytest.mark.deep
@pytest.mark.parametrize(
    ("broken", "found", "seed"), _BROKEN, ids=[broken.__name__ for broken, *_ in _BROKEN]
)
def test_a_broken_pipeline_is_found_out(
    broken: sabotage.Sabotage,
    found: str,
    seed: int,
    stage: Theatre,
    storm_tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def rage() -> None:
        for number in range(_MOST):
            storm_tally[f"storms until found out: {broken.__name__}"] += 1
            Storm(seed + number, stage, Tally()).run()

    with pytest.raises(Discrepancy, match=found):
        rage()
