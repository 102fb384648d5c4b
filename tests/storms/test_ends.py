"""Tests that every outcome is alerted once, with faults in every function."""

import itertools
import math

import pytest

from functions.watch.deadlines import Deadlines
from shared.endings import Kind
from shared.settings import AlertOn
from tests.storms import sabotage
from tests.storms.ends import Ends
from tests.storms.environment import Environment
from tests.storms.scheduler import Discrepancy
from tests.storms.weather import Tally

_MOST = 60
"""Maximum simulations to detect a defect; the first seeds detect it."""


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
    ("broken", "found"),
    [
        (sabotage.no_claim, r"duplicate alerts: \[\("),
        (sabotage.marked_before_sent, r"missing alerts: \[\("),
        (no_deadlines, "missing is not settled"),
    ],
)
def test_simulation_detects_defects(
    broken: sabotage.Sabotage,
    found: str,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def inject() -> None:
        for seed in range(1, 1 + _MOST):
            Ends(f"{seed}", AlertOn.ALL, environment, Tally(), monkeypatch).run()

    with pytest.raises(Discrepancy, match=found):
        inject()
