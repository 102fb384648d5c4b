"""However many files come at once, no more runs than allowed are under way, and all end."""

import pytest

from shared.gate import Gate
from tests.storms.burst import Burst
from tests.storms.discrepancy import Discrepancy
from tests.storms.theatre import Theatre
from tests.storms.weather import Tally


def test_files_are_started_in_the_order_in_which_they_came(stage: Theatre) -> None:
    burst = Burst("calm", 40, 5, 0.0, stage, Tally())

    burst.run()

    assert burst.most_at_once == 5
    assert burst.started == burst.landed


def test_a_burst_in_which_much_is_lost(stage: Theatre, storm_tally: Tally) -> None:
    burst = Burst("a storm", 60, 5, 0.1, stage, storm_tally)

    burst.run()

    assert burst.most_at_once == 5


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_3000_files_at_once(stage: Theatre, storm_tally: Tally) -> None:
    burst = Burst("many", 3_000, 10, 0.03, stage, storm_tally)

    seconds = burst.run()

    storm_tally["burst: seconds by its own clock"] = round(seconds)
    assert burst.most_at_once == 10
    assert seconds < 2 * 3_000 * 12.5 / 10 + 4 * 900, "slots stay free for long"


def test_a_gate_that_starts_nothing_at_the_end_of_a_run_is_found_out(
    stage: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Gate.open
    monkeypatch.setattr(Gate, "open", lambda self, *known: opened(self, *known) if known else [])

    with pytest.raises(Discrepancy, match="a slot is free"):
        Burst("calm", 20, 2, 0.0, stage, Tally()).run()
