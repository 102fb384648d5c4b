"""What callers may ask for, and what they are told when it is wrong."""

import base64
import json
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.exceptions import BadRequestError
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.api.query import Cursor, Query
from functions.api.view import View
from shared.contract import Column
from shared.odcs import load_all

VIEW = View.of(load_all().values())
CURSOR = Cursor("2019-09-27T00:00:00.123456Z", 2**63 - 1)


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_user_alone() -> None:
    assert Query.parse({"user": "ned"}, VIEW) == Query("ned", 100, None)


def test_everything() -> None:
    parameters = {"user": " Ned?", "limit": "1000", "cursor": CURSOR.encode()}

    assert Query.parse(parameters, VIEW) == Query(" Ned?", 1000, CURSOR)


@pytest.mark.parametrize("parameters", [{}, {"user": ""}, {"User": "ned"}])
def test_no_user(parameters: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match="'user' is missing: ask for /get"):
        Query.parse(parameters, VIEW)


@pytest.mark.parametrize("user", ["\0", "ned\0", "\ud800"])
def test_no_text(user: str) -> None:
    with pytest.raises(BadRequestError, match="'user' is no text"):
        Query.parse({"user": user}, VIEW)


@pytest.mark.parametrize(
    "limit", ["", "0", "-1", "+1", "1001", "1.5", "1e2", " 5", "ten", "٥", "9" * 5000]
)
def test_no_limit(limit: str) -> None:
    with pytest.raises(BadRequestError, match="'limit' must be a number from 1 to 1000"):
        Query.parse({"user": "ned", "limit": limit}, VIEW)


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
        Query.parse({"user": "ned", "cursor": cursor}, VIEW)


@settings(deadline=None)
@given(st.text())
def test_whatever_the_cursor_it_is_a_bad_request_at_most(cursor: str) -> None:
    with pytest.raises(BadRequestError):
        Cursor.decode(cursor, VIEW.order)


@settings(deadline=None)
@given(st.datetimes(), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_was(timestamp: Any, row_id: int) -> None:
    cursor = Cursor(timestamp.isoformat(timespec="microseconds") + "Z", row_id)

    encoded = cursor.encode()

    assert Cursor.decode(encoded, VIEW.order) == cursor
    assert encoded.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_is_what_it_always_was() -> None:
    """A caller may keep one over an update of the function."""
    assert CURSOR.encode() == (
        # pragma: allowlist nextline secret
        "WyIyMDE5LTA5LTI3VDAwOjAwOjAwLjEyMzQ1NloiLDkyMjMzNzIwMzY4NTQ3NzU4MDdd"
    )


def _column(logical_type: str, physical_type: str, name: str = "a column") -> Column:
    formats = ({"pattern": "yyyy"},) if logical_type in {"date", "timestamp"} else ()
    return Column.model_validate(
        {
            "name": name,
            "physical_name": "a",
            "logical_type": logical_type,
            "physical_type": physical_type,
            "required": True,
            "formats": formats,
        }
    )


@pytest.mark.parametrize(
    ("types", "shown", "not_shown"),
    [
        (("string", "text"), ["", "a", "кириллица '\"", "2019"], [1, None, "a\0", "\ud800"]),
        (("integer", "smallint"), [0, -(2**15), 2**15 - 1], [2**15, -(2**15) - 1, "1", 1.0, True]),
        (("integer", "bigint"), [-(2**63), 2**63 - 1], [2**63, None]),
        (
            ("number", "numeric(5,2)"),
            ["0.00", "-999.99", "7"],
            [7, "", "1e3", "NaN", ".5", "5.", "+1", "٥", "1" * 39, "1\n", "Infinity"],
        ),
        (
            ("date", "date"),
            ["0001-01-01", "2024-02-29", "9999-12-31"],
            ["2023-02-29", "0000-01-01", "20240101", "2024-01-01T00:00:00.000000Z", "infinity", 1],
        ),
    ],
)
def test_a_cursor_holds_what_is_shown_of_its_order(
    types: tuple[str, str], shown: list[Any], not_shown: list[Any]
) -> None:
    order = _column(*types)

    for value in shown:
        assert Cursor.decode(Cursor(value, 1).encode(), order) == Cursor(value, 1)
    for value in not_shown:
        with pytest.raises(BadRequestError):
            Cursor.decode(_encoded([value, 1]), order)


@pytest.fixture
def by_number() -> View:
    key = _column("integer", "smallint", "Nr ä")
    return View("a", key, _column("date", "date"), (key,))


def test_a_key_may_be_a_number(by_number: View) -> None:
    for text, number in (("7", 7), ("-32768", -32768), ("+0032767", 32767)):
        assert Query.parse({"Nr ä": text}, by_number) == Query(number)


@pytest.mark.parametrize("text", ["x", "1.0", " 1", "32768", "-32769", "٥", "9" * 5000, "1\0"])
def test_no_number(by_number: View, text: str) -> None:
    with pytest.raises(BadRequestError, match="'Nr ä' must be a whole number from -32768 to 32767"):
        Query.parse({"Nr ä": text}, by_number)


def test_a_missing_key_is_asked_for_as_a_url_has_it(by_number: View) -> None:
    with pytest.raises(BadRequestError, match=r"missing: ask for /get\?Nr%20%C3%A4=NUMBER"):
        Query.parse({"user": "ned"}, by_number)
