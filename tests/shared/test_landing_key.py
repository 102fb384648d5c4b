import datetime as dt

import pytest

from shared.landing_key import LandingKey


def test_a_key_is_taken_apart() -> None:
    key = LandingKey.parse("table=dailycheckins/year=2024/month=3/day=9/a b+ё.csv")

    assert key == LandingKey("dailycheckins", dt.date(2024, 3, 9), "a b+ё.csv")
    assert str(key) == "table=dailycheckins/year=2024/month=3/day=9/a b+ё.csv"


def test_leading_zeros_are_the_same_day() -> None:
    key = LandingKey.parse("table=t/year=2024/month=03/day=09/f.csv")

    assert key is not None
    assert key.date == dt.date(2024, 3, 9)


@pytest.mark.parametrize(
    "key",
    [
        "dailycheckins.csv",
        "table=dailycheckins/dailycheckins.csv",
        "table=dailycheckins/year=2024/month=13/day=1/f.csv",
        "table=dailycheckins/year=2023/month=2/day=29/f.csv",
        "table=dailycheckins/year=0000/month=1/day=1/f.csv",
        "table=dailycheckins/year=2024/month=3/day=3/",
        "table=dailycheckins/year=2024/month=3/day=3/sub/f.csv",
        "table=Daily/year=2024/month=3/day=3/f.csv",
        "x/table=dailycheckins/year=2024/month=3/day=3/f.csv",
        "table=dailycheckins/year=２０２４/month=3/day=3/f.csv",
    ],
)
def test_what_is_no_landing_key(key: str) -> None:
    assert LandingKey.parse(key) is None
