import datetime as dt
from decimal import Decimal

import pyarrow as pa

from functions.test.profile import Profile


def profile(*parts: pa.Table) -> Profile:
    found = Profile()
    for part in parts:
        found.add(part)
    return found


def test_profile_covers_all_parts() -> None:
    found = profile(
        pa.table({"n": pa.array([Decimal("2.50"), None]), "line": [2, 3]}),
        pa.table({"n": pa.array([None, None], pa.decimal128(3, 2)), "line": [4, 5]}),
        pa.table({"n": pa.array([Decimal("-1.00"), Decimal("2.00")]), "line": [6, 7]}),
    )

    assert found.columns["n"].as_json() == {"nulls": 3, "min": "-1.00", "max": "2.50"}
    assert "line" not in found.columns


def test_profile_has_minimum_and_maximum_of_every_type() -> None:
    found = profile(
        pa.table(
            {
                "text": ["b", "a"],
                "flag": [True, False],
                "day": [dt.date(2020, 1, 2), dt.date(2020, 1, 1)],
                "none": pa.array([None, None], pa.string()),
            }
        )
    )

    assert found.columns["text"].as_json() == {"nulls": 0, "min": "a", "max": "b"}
    assert found.columns["flag"].as_json() == {"nulls": 0, "min": "false", "max": "true"}
    assert found.columns["day"].as_json()["max"] == "2020-01-02"
    assert found.columns["none"].as_json() == {"nulls": 2, "min": None, "max": None}


def test_profile_counts_exact_repeats() -> None:
    first = pa.table({"a": ["x", "x", "y", None], "b": [1, 1, 1, 1], "line": [2, 3, 4, 5]})
    second = pa.table({"a": ["y", "", None], "b": [1, 1, 1], "line": [6, 7, 8]})

    assert profile(first, second).repeats == 3
    assert profile(pa.table({"a": ["x", "y", None], "b": ["y", "x", "x"]})).repeats == 0


def test_profile_truncates_long_values() -> None:
    found = profile(pa.table({"text": ["x" * 1024**2], "line": [2]}))

    assert len(found.columns["text"].as_json()["max"]) == 200
