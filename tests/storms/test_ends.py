"""However unlucky everybody is, each end is told once."""

import itertools
import math

import pytest

from functions.watch.deadlines import Deadlines
from shared.endings import Kind
from shared.settings import AlertOn
from tests.storms import sabotage
from tests.storms.discrepancy import Discrepancy
from tests.storms.ends import Ends
from tests.storms.theatre import Theatre
from tests.storms.weather import Tally

_MOST = 60
"""Worlds that have to find a defect out; the seeds save time."""


@pytest.mark.scaled
@pytest.mark.timeout(1800)
def test_each_end_is_told_once(
    stage: Theatre, storm_seeds: list[int], storm_tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least as many ends as there are storms."""
    seeds = storm_seeds[: math.ceil(len(storm_seeds) / len(Kind))]
    for seed, alert_on in zip(seeds, itertools.cycle(AlertOn), strict=False):
        Ends(f"{seed}", alert_on, stage, storm_tally, monkeypatch).run()


def no_silence(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks what is not there."""
    patch.setattr(Deadlines, "missing", lambda *_: 0)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("broken", "found", "seed"),
    [
        (sabotage.no_claim, r"for nothing: \[\(", 1),
        (sabotage.noted_before_told, r"missed: \[\(", 1),
        (no_silence, "missing is not settled", 1),
    ],
)
def test_who_misses_or_doubles_an_end_is_found_out(
    broken: sabotage.Sabotage,
    found: str,
    seed: int,
    stage: Theatre,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken(monkeypatch)

    def inject() -> None:
        for number in range(_MOST):
            Ends(f"{seed + number}", AlertOn.ALL, stage, Tally(), monkeypatch).run()

    with pytest.raises(Discrepancy, match=found):
        inject()
