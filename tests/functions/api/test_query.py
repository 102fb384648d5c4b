"""What callers may ask for, and what they are told when it is wrong."""

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.api.query import Cursor, Query

CURSOR = Cursor("2019-09-27T00:00:00.123456Z", 2**63 - 1)


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_user_alone() -> None:
    assert Query.parse({"user": "ned"}) == Query("ned", 100, None)


def test_everything() -> None:
    parameters = {"user": " Ned?", "limit": "1000", "cursor": CURSOR.encode()}

    assert Query.parse(parameters) == Query(" Ned?", 1000, CURSOR)


@pytest.mark.parametrize("parameters", [{}, {"user": ""}, {"User": "ned"}])
def test_no_user(parameters: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match="'user' is missing: ask for /get"):
        Query.parse(parameters)


@pytest.mark.parametrize("user", ["\0", "ned\0", "\ud800"])
def test_no_text(user: str) -> None:
    with pytest.raises(BadRequestError, match="'user' is no text"):
        Query.parse({"user": user})


@pytest.mark.parametrize(
    "limit", ["", "0", "-1", "+1", "1001", "1.5", "1e2", " 5", "ten", "٥", "9" * 5000]
)
def test_no_limit(limit: str) -> None:
    with pytest.raises(BadRequestError, match="'limit' must be a number from 1 to 1000"):
        Query.parse({"user": "ned", "limit": limit})


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "garbage",
        "ü",
        "a",
        "W10",
        "[" * 100_000,
        _encoded(None),
        _encoded({}),
        _encoded(["2019-09-27T00:00:00.123456Z"]),
        _encoded(["2019-09-27T00:00:00.123456Z", 1, 2]),
        _encoded(["2019-09-27T00:00:00.123456Z", "1"]),
        _encoded(["2019-09-27T00:00:00.123456Z", True]),
        _encoded(["2019-09-27T00:00:00.123456Z", 1.0]),
        _encoded(["2019-09-27T00:00:00.123456Z", -1]),
        _encoded(["2019-09-27T00:00:00.123456Z", 2**63]),
        _encoded(["2019-02-29T00:00:00.123456Z", 1]),
        _encoded(["0000-01-01T00:00:00.123456Z", 1]),
        _encoded(["2019-W01-1T00:00:00.123456Z", 1]),
        _encoded(["2019-09-27", 1]),
        _encoded(["٢019-09-27T00:00:00.123456Z", 1]),
        _encoded(["-infinity", 1]),
        _encoded([1, 1]),
        CURSOR.encode() + "A",
        CURSOR.encode() + "\n",
        base64.urlsafe_b64encode(("[" * 100_000).encode()).decode(),
    ],
)
def test_no_cursor(cursor: str) -> None:
    with pytest.raises(BadRequestError, match="'cursor' is none that an earlier answer gave"):
        Query.parse({"user": "ned", "cursor": cursor})


@settings(deadline=None)
@given(st.text())
def test_whatever_the_cursor_it_is_a_bad_request_at_most(cursor: str) -> None:
    with pytest.raises(BadRequestError):
        Cursor.decode(cursor)


@settings(deadline=None)
@given(st.datetimes(), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_was(timestamp: Any, row_id: int) -> None:
    cursor = Cursor(timestamp.isoformat(timespec="microseconds") + "Z", row_id)

    encoded = cursor.encode()

    assert Cursor.decode(encoded) == cursor
    assert encoded.replace("-", "").replace("_", "").isalnum()
