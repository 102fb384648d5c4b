"""Tests of bursts: the limit of concurrent runs holds, and every file is loaded."""

import pytest

from shared.gate import Gate
from tests.storms.burst import Burst
from tests.storms.environment import Environment
from tests.storms.scheduler import Discrepancy
from tests.storms.weather import Tally


def test_burst_starts_files_in_order(environment: Environment) -> None:
    burst = Burst("calm", 25, 5, 0.0, environment, Tally())

    burst.run()

    assert burst.most_at_once == 5
    assert burst.started == burst.landed


def test_burst_recovers_from_faults(environment: Environment, storm_tally: Tally) -> None:
    burst = Burst("a storm", 40, 5, 0.1, environment, storm_tally)

    burst.run()

    assert burst.most_at_once == 5


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_burst_of_many_files(environment: Environment, storm_tally: Tally) -> None:
    files = 1_200
    burst = Burst("many", files, 10, 0.03, environment, storm_tally)

    seconds = burst.run()

    storm_tally["burst: seconds of the simulated clock"] = round(seconds)
    assert burst.most_at_once == 10
    assert seconds < 2 * files * 12.5 / 10 + 4 * 900, "slots are unused for too long"


def test_burst_detects_gate_that_starts_nothing_after_run(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Gate.open
    monkeypatch.setattr(Gate, "open", lambda self, *known: opened(self, *known) if known else [])

    with pytest.raises(Discrepancy, match="a slot is free while"):
        Burst("calm", 20, 2, 0.0, environment, Tally()).run()
