"""Cursors: opaque, bound to one query, and validated."""

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from hypothesis import given
from hypothesis import strategies as st

from functions.api.cursor import Cursors, is_number, is_text, is_total, is_value_of
from shared.column_types import is_day
from tests.fixtures.contracts import DAYS, column

TIME = is_value_of(column("t", "timestamp", "timestamptz", **DAYS))
QUERY = Cursors(("get", "ned", {"since": "2019-09-27"}), (TIME, is_number, is_number, is_total))
POSITION = ["2019-09-27T00:00:00.123456Z", 2**31 - 1, 2, 2**63 - 1]


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(st.datetimes(), *[st.integers(0, 2**31 - 1)] * 2, st.integers(0, 2**63 - 1))
def test_cursor_round_trip(time: Any, source: int, line: int, total: int) -> None:
    position = [time.isoformat(timespec="microseconds") + "Z", source, line, total]

    encoded = QUERY.encode(position)

    assert QUERY.decode(encoded) == position
    assert encoded.replace("-", "").replace("_", "").isalnum()


def test_cursor_format_is_stable() -> None:
    """A caller may use a cursor after an update of the function."""
    assert QUERY.encode(POSITION) == (
        # pragma: allowlist nextline secret
        "WyIwODFiMDI0MmQzNjIwMzYwIiwiMjAxOS0wOS0yN1QwMDowMDowMC4xMjM0NTZaIiwyMTQ3NDgzNjQ3LDIsOTIyMzM3MjAzNjg1NDc3NTgwN10"
    )


@given(st.text() | st.from_regex("[A-Za-z0-9_-]{22,}", fullmatch=True))
def test_decode_refuses_any_text(cursor: str) -> None:
    with pytest.raises(BadRequestError):
        QUERY.decode(cursor)


@pytest.mark.parametrize(
    "cursor",
    [
        # Of an earlier version:
        # pragma: allowlist nextline secret
        "WyJhOWU0MDQzNWI3MTZlMjZkIiwiMjAxOS0wOS0yN1QwMDowMDowMC4xMjM0NTZaIiw5MjIzMzcyMDM2ODU0Nzc1ODA3XQ",
        *("", "garbage", "ü", "a", "W10", "[" * 100_000),
        *map(_encoded, (None, {}, [], ["0" * 16], ["0" * 16, *POSITION], POSITION)),
        *map(QUERY.encode, (POSITION[:1], [*POSITION, 1])),
        QUERY.encode(POSITION) + "A",
        QUERY.encode(POSITION) + "\n",
        base64.urlsafe_b64encode(("[" * 100_000).encode()).decode(),
    ],
)
def test_decode_refuses_malformed_cursor(cursor: str) -> None:
    with pytest.raises(BadRequestError, match="Omit it to start with the first page"):
        QUERY.decode(cursor)


# These checks protect against forged cursors with a valid digest.
@pytest.mark.parametrize(
    ("check", "valid", "invalid"),
    [
        (
            is_value_of(column("c", "string", "text")),
            ["", "a", "кириллица '\"", "2019"],
            [1, None, "a\0", "\ud800"],
        ),
        (
            is_value_of(column("c", "integer", "smallint")),
            [0, -(2**15), 2**15 - 1],
            [2**15, -(2**15) - 1, "1", 1.0, True],
        ),
        (is_value_of(column("c", "integer", "bigint")), [-(2**63), 2**63 - 1], [2**63, None]),
        (
            is_value_of(column("c", "number", "numeric(5,2)")),
            ["0.00", "-999.99", "7"],
            [7, "", "1e3", "NaN", ".5", "5.", "+1", "٥", "1" * 39, "1\n", "Infinity"],
        ),
        (
            is_value_of(column("c", "date", "date", **DAYS)),
            ["0001-01-01", "2024-02-29", "9999-12-31"],
            ["2023-02-29", "0000-01-01", "20240101", "2024-01-01T00:00:00.000000Z", 1],
        ),
        (is_day, ["2024-02-29"], ["20240229", "2024-W01-1", 1, "2024-02-30"]),
        (
            TIME,
            [POSITION[0]],
            [
                *("2019-02-29T00:00:00.123456Z", "0000-01-01T00:00:00.123456Z", "2019-09-27"),
                *("2019-W01-1T00:00:00.123456Z", "٢019-09-27T00:00:00.123456Z", "-infinity"),
                *(1, None),
            ],
        ),
        (is_number, [0, 2**31 - 1], ["1", True, 1.0, -1, 2**31, None]),
        (is_total, [0, 2**63 - 1], ["1", True, 1.0, -1, 2**63, None]),
        (is_text, ["a", "2024"], ["", 1, None, "a" * 1025, "\ud800"]),
    ],
)
def test_decode_validates_positions(check: Any, valid: list[Any], invalid: list[Any]) -> None:
    cursors = Cursors((), (check,))

    for value in valid:
        assert cursors.decode(cursors.encode([value])) == [value]
    for value in invalid:
        with pytest.raises(BadRequestError):
            cursors.decode(cursors.encode([value]))
