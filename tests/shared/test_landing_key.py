import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import landing_key
from shared.landing_key import LandingKey, prefixes


def test_key_is_parsed() -> None:
    key = LandingKey.parse("table=dailycheckins/year=2024/month=3/day=9/a b+ё.csv")

    text = "table=dailycheckins/year=2024/month=3/day=9/a b+ё.csv"
    assert key == LandingKey("dailycheckins", dt.date(2024, 3, 9), "a b+ё.csv", text)
    assert str(key) == key.canonical == text
    assert str(replace(key, spelling=None)) == text


@pytest.mark.parametrize(
    "key",
    [
        "dailycheckins.csv",
        "table=dailycheckins/dailycheckins.csv",
        "table=dailycheckins/year=24/month=3/day=3/f.csv",
        "table=dailycheckins/year=2024/month=003/day=3/f.csv",
        "table=dailycheckins/year=2024/month=3/day=003/f.csv",
        "table=dailycheckins/year=2024/month=3/day=3/f\0.csv",
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
def test_other_keys_are_not_landing_keys(key: str) -> None:
    assert LandingKey.parse(key) is None


@pytest.mark.parametrize(
    ("date", "spellings"),
    [
        (dt.date(2024, 3, 9), ["03/day=09", "03/day=9", "3/day=09", "3/day=9"]),
        (dt.date(2024, 3, 19), ["03/day=19", "3/day=19"]),
        (dt.date(2024, 11, 9), ["11/day=09", "11/day=9"]),
        (dt.date(2024, 11, 19), ["11/day=19"]),
    ],
)
def test_prefixes_of_day_include_all_spellings(date: dt.date, spellings: list[str]) -> None:
    assert prefixes("t", date) == [f"table=t/year=2024/month={each}/" for each in spellings]


@given(
    st.from_regex(landing_key.TABLE, fullmatch=True),
    st.dates(),
    st.booleans(),
    st.booleans(),
    st.from_regex("[^/\0]+", fullmatch=True),
)
def test_every_key_has_exactly_one_prefix_of_its_day(
    table: str, date: dt.date, long_month: bool, long_day: bool, name: str
) -> None:
    month, day = f"{date:%m}" if long_month else date.month, f"{date:%d}" if long_day else date.day
    key = f"table={table}/year={date.year:04}/month={month}/day={day}/{name}"
    parsed = LandingKey.parse(key)

    assert parsed is not None
    assert (parsed.table, parsed.date, parsed.filename) == (table, date, name)
    assert sum(map(key.startswith, prefixes(table, date))) == 1
