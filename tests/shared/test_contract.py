"""The models; test_odcs tests how they are read from a file."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import Literal

import pytest

from shared.contract import Contract, ServiceLevel
from shared.quality import RowCount, Threshold
from tests.fixtures.contracts import READINGS


@pytest.mark.parametrize(
    ("limit", "unit", "inclusive", "failed", "rows", "kept"),
    [
        ("5", "rows", False, 4, 100, True),
        ("5", "rows", False, 5, 100, False),
        ("5", "rows", True, 5, 100, True),
        ("5", "rows", True, 6, 100, False),
        ("5", "percent", False, 4, 100, True),
        ("5", "percent", False, 5, 100, False),
        ("5", "percent", True, 5, 100, True),
        ("5", "percent", True, 51, 1000, False),
        ("0.1", "percent", False, 1, 1001, True),
        ("0.1", "percent", False, 1, 1000, False),
        ("100", "percent", True, 3, 3, True),
        ("0", "rows", True, 0, 0, True),
        ("1", "percent", False, 0, 0, True),
    ],
)
def test_threshold_is_kept(
    limit: str,
    unit: Literal["rows", "percent"],
    inclusive: bool,
    failed: int,
    rows: int,
    kept: bool,
) -> None:
    threshold = Threshold(limit=Decimal(limit), unit=unit, inclusive=inclusive)

    assert threshold.is_met(failed, rows) is kept


def test_threshold_as_text() -> None:
    assert str(Threshold(limit=Decimal(5))) == "fewer than 5 rows"
    assert str(Threshold(limit=Decimal("2.5"), unit="percent", inclusive=True)) == "at most 2.5%"
    assert str(Threshold(limit=Decimal("1E+3"))) == "fewer than 1000 rows"


@pytest.mark.parametrize(
    ("minimum", "maximum", "kept", "words"),
    [
        (2, None, [2, 3], "at least 2"),
        (None, 2, [0, 1, 2], "at most 2"),
        (1, 2, [1, 2], "1 to 2"),
        (0, 0, [0], "0 to 0"),
    ],
)
def test_row_count_bounds_and_text(
    minimum: int | None, maximum: int | None, kept: list[int], words: str
) -> None:
    count = RowCount(name="some", minimum=minimum, maximum=maximum)

    assert [rows for rows in range(4) if count.is_met(rows)] == kept
    assert str(count) == words


@pytest.mark.parametrize(
    ("bounds", "allowed"),
    [
        ([], False),
        ([(None, 9)], False),
        ([(0, None)], True),
        ([(0, 0), (None, 9)], True),
        ([(0, 9), (2, None)], False),
    ],
)
def test_contract_allows_no_rows_only_if_rule_says_so(
    bounds: list[tuple[int | None, int | None]], allowed: bool
) -> None:
    counts = tuple(RowCount(name="rows", minimum=low, maximum=high) for low, high in bounds)

    assert READINGS.model_copy(update={"row_counts": counts}).allows_no_rows is allowed


def with_deadline(time: str, zone: str = "Europe/Berlin", **more: object) -> Contract:
    sla = ServiceLevel.model_validate({"time": time} | more)
    return READINGS.model_copy(update={"sla": sla, "timezone": zone})


@pytest.mark.parametrize(
    ("time", "zone", "day", "utc"),
    [
        ("09:00", "Europe/Berlin", "2024-01-15", "2024-01-15T08:00"),
        ("09:00", "Europe/Berlin", "2024-07-15", "2024-07-15T07:00"),
        # 02:30 does not exist on the first of these days, and occurs twice on the second.
        ("02:30", "Europe/Berlin", "2024-03-31", "2024-03-31T01:30"),
        ("02:30", "Europe/Berlin", "2024-10-27", "2024-10-27T01:30"),
        ("03:00", "Europe/Berlin", "2024-03-31", "2024-03-31T01:00"),
        ("00:00", "Pacific/Kiritimati", "2024-03-03", "2024-03-02T10:00"),
        ("23:59", "Pacific/Pago_Pago", "2024-03-03", "2024-03-04T10:59"),
        # Samoa skipped this day.
        ("09:00", "Pacific/Apia", "2011-12-30", "2011-12-30T19:00"),
    ],
)
def test_deadline_is_local_time(time: str, zone: str, day: str, utc: str) -> None:
    deadline = with_deadline(time, zone).deadline(dt.date.fromisoformat(day))

    assert deadline == dt.datetime.fromisoformat(f"{utc}+00:00")


def test_deadline_has_latency_and_weekdays() -> None:
    contract = with_deadline("09:00", "Etc/UTC", latency=3, weekdays=["fri"])

    assert contract.deadline(dt.date(2024, 3, 1)) == dt.datetime(2024, 3, 4, 9, tzinfo=dt.UTC)
    assert contract.deadline(dt.date(2024, 3, 2)) is None
    assert READINGS.deadline(dt.date(2024, 3, 1)) is None
    assert READINGS.due(dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime.now(dt.UTC)) == {}


def test_each_day_is_due_exactly_once() -> None:
    """Consecutive intervals of a year contain each deadline exactly once."""
    for zone in ("Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns"):
        contract = with_deadline("02:30", zone, latency=1, weekdays=["mon", "tue", "sun"])
        times = [
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + n * dt.timedelta(hours=7) for n in range(1300)
        ]

        found = [day for a, b in itertools.pairwise(times) for day in contract.due(a, b)]

        days = [dt.date(2024, 1, 5) + dt.timedelta(days=n) for n in range(350)]
        assert [day for day in found if days[0] <= day <= days[-1]] == [
            day for day in days if day.weekday() in {0, 1, 6}
        ]


def test_due_includes_end_of_interval() -> None:
    contract = with_deadline("09:00", "Etc/UTC")
    nine = dt.datetime(2024, 3, 3, 9, tzinfo=dt.UTC)

    assert list(contract.due(nine - dt.timedelta(minutes=1), nine)) == [nine.date()]
    assert contract.due(nine, nine + dt.timedelta(minutes=1)) == {}
