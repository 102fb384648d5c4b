import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.test import repeats
from functions.test.repeats import Keys, Repeats, keys_of

DAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def repeated(*parts: Keys) -> tuple[list[int], int]:
    """Return the lines that repeat earlier ones, and their number."""
    with tempfile.TemporaryDirectory() as folder:
        found = Repeats(Path(folder, "rows"))
        for part in parts:
            found.add(part)
        found.settle()
    lines = np.arange(2_000)
    return lines[found.lines.among(lines)].tolist(), len(found.lines)


def keys(rows: pa.Table, first: int = 2) -> Keys:
    columns = [column.combine_chunks() for column in rows.columns]
    return keys_of(columns, pa.array(range(first, first + len(rows)), pa.int64()))


def test_repeats_are_found_in_every_part() -> None:
    first = pa.table({"a": ["x", "x", "y", None], "b": [1, 1, 1, 1]})
    second = pa.table({"a": ["y", "", None], "b": [1, 1, 1]})

    assert repeated(keys(first), keys(second, 6)) == ([3, 6, 8], 3)
    assert repeated(keys(pa.table({"a": ["x", "y", None], "b": ["y", "x", "x"]}))) == ([], 0)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, None], pa.int16()),
        pa.array([-(2**63), 2**63 - 1, None, 0x9E3779B97F4A7C15 - 2**64], pa.int64()),
        pa.array([Decimal("0.01"), Decimal("-0.01"), None], pa.decimal128(5, 2)),
        pa.array([Decimal(2**64), Decimal(2 * 2**64), Decimal(0), None], pa.decimal128(38, 0)),
        pa.array([True, False, None]),
        pa.array([0.1, -0.1, None], pa.float32()),
        pa.array([DAY.date(), None]),
        pa.array([DAY.time(), None], pa.time64("us")),
        pa.array([DAY, DAY + dt.timedelta(microseconds=1), None], pa.timestamp("us", "UTC")),
        pa.array(["", "a", "ё", None]),
        pa.array(["", "a", "ё", None]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_keys_distinguish_values_and_nulls_of_every_type(values: pa.Array) -> None:
    twice = pa.concat_arrays([values, values.slice(1)])
    count = len(values)

    lines = range(2 + count, 2 + len(twice))
    assert repeated(keys(pa.table({"a": twice}))) == ([*lines], len(lines))
    parts = keys(pa.table({"a": values.drop_null()})), keys(pa.table({"a": twice[1:]}), 100)
    assert repeated(*parts)[1] == 2 * count - 3


@given(st.lists(st.lists(st.integers(0, 30) | st.integers(), max_size=40), max_size=12))
def test_repeats_are_exact_with_runs_on_disk(parts: list[list[int]]) -> None:
    seen: set[int] = set()
    expected, made, line = [], [], 2
    for part in parts:
        made.append(keys(pa.table({"a": pa.array(map(str, part), pa.string())}), line))
        for value in part:
            if value in seen:
                expected.append(line)
            seen.add(value)
            line += 1
    with mock.patch.multiple(repeats, _RUN=16, _LARGE=3):
        assert repeated(*made) == (expected, len(expected))


def test_repeats_with_equal_first_half_of_hash_differ() -> None:
    same = np.array([[7, 2 << 40 | 4], [7, 1 << 40 | 3], [7, 2 << 40 | 2]], np.uint64)

    assert repeated(same) == ([4], 1)


def test_repeats_keep_one_row_of_many_equal_ones(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    found = Repeats(file)
    with mock.patch.multiple(repeats, _RUN=100, _LARGE=4):
        for line in range(0, 2_000, 100):
            found.add(keys(pa.table({"a": ["x"] * 100}), line))
        found.settle()

    assert len(found.lines) == 1_999
    assert file.stat().st_size == 20 * 16
