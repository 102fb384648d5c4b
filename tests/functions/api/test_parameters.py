"""Parsing and validation of request parameters."""

import datetime as dt
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from functions.api.parameters import Limit, Moment, column_schema, column_value
from shared.column import Column
from tests.fixtures.contracts import column

TEXT = column("user", "string", "text")
NUMBER = column("number", "integer", "smallint")


def _read(column_type: Any, text: Any) -> Any:
    return TypeAdapter(column_type).validate_python(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019-09-27", "2019-09-27T00:00:00+00:00"),
        ("2019-09-27T08:30:00Z", "2019-09-27T08:30:00+00:00"),
        ("2019-09-27t08:30:00z", "2019-09-27T08:30:00+00:00"),
        ("2019-09-27T08:30:00.5+02:00", "2019-09-27T06:30:00.500000+00:00"),
        ("2019-09-27T08:30:00.123456789-23:59", "2019-09-28T08:29:00.123456+00:00"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:30:00-01:00", "9999-12-31T23:30:00+00:00"),
    ],
)
def test_moment_accepts_dates_and_timestamps(text: str, moment: str) -> None:
    assert _read(Moment, text).isoformat() == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2019", "2019-09", "20190927", "2019-W39-5", "2019-09-31", "0000-01-01"),
        *("2019-09-27T08:30:00", "2019-09-27T08:30Z", "2019-09-27 08:30:00Z", "٢019-09-27"),
        *("2019-09-27T08:30:60Z", "2019-09-27T24:30:00Z", "2019-09-27T08:30:00 02:00", "1e9"),
        ["2019-09-27", "2019-09-28"],
        7,
    ],
)
def test_moment_refuses_other_formats(text: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be a date .* or a timestamp with its zone"):
        _read(Moment, text)


@settings(max_examples=50)
@given(st.datetimes(timezones=st.timezones()).filter(lambda at: 1 < at.year < 9999))
def test_moment_round_trip(at: dt.datetime) -> None:
    # RFC 3339 allows only offsets of whole minutes.
    at = at.astimezone(dt.timezone(dt.timedelta(minutes=at.utcoffset() // dt.timedelta(minutes=1))))  # type: ignore[operator]

    assert _read(Moment, at.isoformat()) == at


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "1001", "1.5", "1e2", " 5", "1_0", "ten", "٥", "9" * 5000, ["1"]]
)
def test_limit_refuses_other_values(text: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be (one|a) whole number from 1 to 1000"):
        _read(Limit, text)


def test_limit_accepts_1_to_1000() -> None:
    assert [_read(Limit, text) for text in ("1", "1000", "0100")] == [1, 1000, 100]


def _key(column_: Column, text: Any) -> Any:
    return _read(Annotated[Any, column_value(column_)], text)


@pytest.mark.parametrize("text", ["", "\0", "ned\0", "\ud800", ["a", "b"]])
def test_key_refuses_invalid_text(text: Any) -> None:
    with pytest.raises(ValidationError):
        _key(TEXT, text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_key_accepts_any_text(text: str) -> None:
    assert _key(TEXT, text) == text


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-32768", -32768), ("032767", 32767)])
def test_key_accepts_numbers(text: str, number: int) -> None:
    assert _key(NUMBER, text) == number


@pytest.mark.parametrize("text", ["x", "1.0", " 1", "32768", "-32769", "٥", "9" * 5000, "1\0", ""])
def test_numeric_key_refuses_other_values(text: str) -> None:
    with pytest.raises(ValidationError, match=r"must be (one|a) whole number from -32768 to 32767"):
        _key(NUMBER, text)


def test_schema_lists_only_valid_examples() -> None:
    """Examples in a contract may be any YAML values of any length."""
    examples = ("7", 8, 1.5, "x", dt.date(2024, 1, 1), "9" * 101, None, *range(20, 30))

    shown = column_schema(column("n", "integer", "smallint", examples=examples))["examples"]

    assert shown == [7, 8, 20, 21, 22]
