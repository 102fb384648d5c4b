"""Tests that every outcome is alerted once, with faults in every function."""

import itertools
import math

import pytest

from functions.watch.deadlines import Deadlines
from shared.endings import Kind
from shared.settings import AlertOn
from tests.storms import sabotage
from tests.storms.discrepancy import Discrepancy
from tests.storms.ends import Ends
from tests.storms.environment import Environment
from tests.storms.weather import Tally

_MOST = 60
"""Maximum simulations to detect a defect; the seeds below detect it early."""


@pytest.mark.scaled
@pytest.mark.timeout(1800)
def test_each_outcome_is_alerted_once(
    environment: Environment,
    storm_seeds: list[int],
    storm_tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Produces at least as many outcomes as there are storms."""
    seeds = storm_seeds[: math.ceil(len(storm_seeds) / len(Kind))]
    for seed, alert_on in zip(seeds, itertools.cycle(AlertOn), strict=False):
        Ends(f"{seed}", alert_on, environment, storm_tally, monkeypatch).run()


def no_deadlines(patch: pytest.MonkeyPatch) -> None:
    """Watch does not look for missing files."""
    patch.setattr(Deadlines, "missing", lambda *_: 0)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("broken", "found", "seed"),
    [
        (sabotage.no_claim, r"duplicate alerts: \[\(", 1),
        (sabotage.marked_before_sent, r"missing alerts: \[\(", 1),
        (no_deadlines, "missing is not settled", 1),
    ],
)
def test_simulation_detects_defects(
    broken: sabotage.Sabotage,
    found: str,
    seed: int,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def inject() -> None:
        for number in range(_MOST):
            Ends(f"{seed + number}", AlertOn.ALL, environment, Tally(), monkeypatch).run()

    with pytest.raises(Discrepancy, match=found):
        inject()
