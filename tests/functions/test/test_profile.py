import datetime as dt
from decimal import Decimal

import pyarrow as pa

from functions.test.profile import ColumnProfile, Profile


def profile(*parts: pa.Table) -> Profile:
    found = Profile()
    for part in parts:
        found.add(
            {name: ColumnProfile.of(part[name].combine_chunks()) for name in part.column_names}
        )
    return found


def test_profile_covers_all_parts() -> None:
    found = profile(
        pa.table({"n": pa.array([Decimal("2.50"), None])}),
        pa.table({"n": pa.array([None, None], pa.decimal128(3, 2))}),
        pa.table({"n": pa.array([Decimal("-1.00"), Decimal("2.00")])}),
    )

    assert found.columns["n"].as_json() == {"nulls": 3, "min": "-1.00", "max": "2.50"}


def test_profile_has_minimum_and_maximum_of_every_type() -> None:
    found = profile(
        pa.table(
            {
                "text": ["b", "a"],
                "repeated": pa.array(["b", None]).dictionary_encode(),
                "real": pa.array([0.1, 0.2], pa.float32()),
                "flag": [True, False],
                "day": [dt.date(2020, 1, 2), dt.date(2020, 1, 1)],
                "none": pa.array([None, None], pa.string()),
            }
        )
    )

    assert found.columns["text"].as_json() == {"nulls": 0, "min": "a", "max": "b"}
    assert found.columns["repeated"].as_json() == {"nulls": 1, "min": "b", "max": "b"}
    assert found.columns["real"].as_json() == {"nulls": 0, "min": "0.1", "max": "0.2"}
    assert found.columns["flag"].as_json() == {"nulls": 0, "min": "false", "max": "true"}
    assert found.columns["day"].as_json()["max"] == "2020-01-02"
    assert found.columns["none"].as_json() == {"nulls": 2, "min": None, "max": None}


def test_profile_truncates_long_values() -> None:
    found = profile(pa.table({"text": ["x" * 1024**2]}))

    assert len(found.columns["text"].as_json()["max"]) == 200
