"""Both ways of reading rows: the fast one, and the exact one that quotes or blank lines ask for."""

import csv
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.lines import Refusal
from shared.rows import MAX_COLUMNS, _in_words, read_table
from tests.shared.test_quotes import fault

Row = tuple[int, list[str], str]


def taken(text: str, size: int) -> tuple[list[str], list[Row], list[dict[str, Any]]]:
    data = text.encode()
    table = read_table((data[i : i + size] for i in range(0, len(data), size)), "utf-8", ",")
    assert not isinstance(table, Refusal)
    rows: list[Row] = []
    malformed: list[dict[str, Any]] = []
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal)
        each = chunk()
        lines = each.lines.to_pylist()
        values = zip(*(column.to_pylist() for column in each.columns), strict=True)
        raws = each.raws(np.arange(len(lines))).to_pylist()
        rows += zip(lines, map(list, values), raws, strict=True)
        malformed += each.malformed.to_pylist()
    return table.header, rows, malformed


def read(text: str, size: int = 1000) -> tuple[list[str], list[Row], list[tuple[int, str, str]]]:
    header, rows, malformed = taken(text, size)
    return header, rows, [(row["line"], row["rule"], row["raw"]) for row in malformed]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_lines_are_rows(end: str, last: str, size: int) -> None:
    text = f"a,b{end}1,2{end},{end}x y, z " + (end if last else "")

    header, rows, malformed = read(text, size)

    assert header == ["a", "b"]
    assert rows == [(2, ["1", "2"], "1,2"), (3, ["", ""], ","), (4, ["x y", " z "], "x y, z ")]
    assert malformed == []


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_ragged_rows_keep_their_line_and_text_and_the_others_theirs(size: int) -> None:
    _, rows, malformed = read("a,b\n1,2\n3\n4,5,6\n7,8\n", size)

    assert [(line, values) for line, values, _ in rows] == [(2, ["1", "2"]), (5, ["7", "8"])]
    assert malformed == [(3, "columnCount", "3"), (4, "columnCount", "4,5,6")]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_quotes_hold_delimiters_line_ends_and_quotes(size: int) -> None:
    _, rows, malformed = read('a,b\r\n"1,1","x\r\ny"\r\n"he said ""no""",2\r\n3,4\r\n', size)

    assert rows == [
        (2, ["1,1", "x\r\ny"], '"1,1","x\r\ny"'),
        (4, ['he said "no"', "2"], '"he said ""no""",2'),
        (5, ["3", "4"], "3,4"),
    ]
    assert malformed == []


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_stray_quote_costs_one_row(size: int) -> None:
    _, rows, malformed = read('a,b\n"1,2\n3,4\n5,6\n', size)

    assert [(line, values) for line, values, _ in rows] == [(3, ["3", "4"]), (4, ["5", "6"])]
    assert malformed == [(2, "quoting", '"1,2')]


def test_a_quote_in_the_middle_of_a_value_is_a_character() -> None:
    _, rows, _ = read('a,b\n5" pipe,2\n')

    assert rows == [(2, ['5" pipe', "2"], '5" pipe,2')]


def test_text_behind_a_closing_quote_is_malformed() -> None:
    _, rows, malformed = read('a,b\n"1"x,2\n3,4\n')

    assert [line for line, _, _ in rows] == [3]
    assert malformed == [(2, "quoting", '"1"x,2')]


@pytest.mark.parametrize("size", [1, 1000])
def test_blank_lines_are_no_rows_but_count_as_lines(size: int) -> None:
    _, rows, malformed = read("a,b\n\n1,2\r\n\r\n3,4\n\n", size)

    assert [(line, values) for line, values, _ in rows] == [(3, ["1", "2"]), (5, ["3", "4"])]
    assert malformed == []


def test_a_lone_carriage_return_ends_no_line() -> None:
    _, rows, malformed = read("a,b\n1,x\ry\n3,4\n")

    assert [(line, values) for line, values, _ in rows] == [(3, ["3", "4"])]
    assert malformed == [(2, "quoting", "1,x\ry")]


def test_after_quotes_reading_is_fast_and_right_again() -> None:
    body = "".join(f"{n},{n}\n" for n in range(50))

    _, rows, _ = read(f'a,b\n"x\ny",1\n{body}', size=16)

    assert [line for line, _, _ in rows] == [2, *range(4, 54)]


def test_no_byte_at_all() -> None:
    assert read_table([], "utf-8", ",") == Refusal("the file is empty")


def test_a_header_that_cannot_be_read() -> None:
    refusal = read_table([b'"a,b\n1,2\n'], "utf-8", ",")

    assert isinstance(refusal, Refusal)
    assert refusal.reason.startswith("line 1 cannot be read")


def test_a_blank_line_is_a_header_without_columns() -> None:
    table = read_table([b"\n1,2\n"], "utf-8", ",")

    assert not isinstance(table, Refusal)
    assert table.header == []


def test_what_is_no_text_ends_the_rows_with_a_refusal() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'a,b\n"1,'
        yield b"\xff"

    table = read_table(chunks(), "utf-8", ",")

    assert not isinstance(table, Refusal)
    assert isinstance(list(table.chunks)[-1], Refusal)


@pytest.mark.parametrize("other", ["1,2", '"1",2'])
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_how_long_a_value_may_be_does_not_depend_on_other_rows(other: str, size: int) -> None:
    longest = "x" * 131_072

    _, rows, malformed = read(f"a,b\n{longest},2\n{longest}x,2\n{other}\n", size)

    assert [(line, len(values[0])) for line, values, _ in rows] == [(2, 131_072), (4, 1)]
    assert [(line, rule) for line, rule, _ in malformed] == [(3, "quoting")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,x\ry", "a carriage return stands alone; end lines with LF or CRLF"),
        ("x" * 131_073 + ",1", "a value is longer than 131072 characters"),
        ('"1,2', "a quote opens a value and none closes it"),
        ('"1"x,2', "text stands behind the quote that closes a value"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_in_words(row: str, reason: str) -> None:
    table = read_table([f"a,b\n{row}\n".encode()], "utf-8", ",")

    assert not isinstance(table, Refusal)
    (chunk,) = table.chunks
    assert not isinstance(chunk, Refusal)
    assert chunk().malformed["reason"].to_pylist() == [f"the row cannot be read: {reason}"]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_only_the_first_byte_order_mark_is_none_of_the_text(size: int) -> None:
    header, rows, _ = read("\ufeffa,b\n\ufeff1,\ufeff2\n\ufeff3,4\n", size)

    assert header == ["a", "b"]
    assert [values for _, values, _ in rows] == [["\ufeff1", "\ufeff2"], ["\ufeff3", "4"]]


HOSTILE = st.text('aaa",,\n\r\0', min_size=1)


def one_by_one(lines: list[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row with its line, or why it cannot be read: as slow as can be."""
    i = 0
    while i < len(lines):
        reader = csv.reader(lines[i:], strict=True)
        try:
            row = next(reader)
        except csv.Error as error:
            yield i + 2, str(error)
            i += 1
        else:
            if row:
                yield i + 2, row
            i += reader.line_num


@settings(max_examples=1000)
@given(st.text('aab",,\n\n\r', max_size=60), st.sampled_from([3, 8, 100]), st.integers(1, 40))
@example('a",",b\n' * 5 + "xxxxxxxxx", 8, 7)
def test_a_row_that_cannot_be_read_costs_one_line(text: str, longest: int, size: int) -> None:
    limit = csv.field_size_limit(longest)
    try:
        lines = [line + "\n" for line in text.split("\n")]
        lines[-1] = lines[-1].removesuffix("\n")
        expected = list(one_by_one(lines if lines[-1] else lines[:-1]))
        _, rows, malformed = taken("a,b\n" + text, size)
        reasons = [
            (line, f"the row cannot be read: {_in_words(fault(error))}")
            for line, error in expected
            if isinstance(error, str)
        ]
    finally:
        csv.field_size_limit(limit)
    assert [(line, row) for line, row, _ in rows] == [
        (line, row) for line, row in expected if isinstance(row, list) and len(row) == 2
    ]
    assert [
        (row["line"], row["reason"]) for row in malformed if row["rule"] == "quoting"
    ] == reasons


PLAIN = "ned,2019-09-27\n"


def seconds(unit: str, size: int) -> float:
    """Return the processor time that a file of about `size` bytes takes."""
    body = ("a,b\n" + unit * (size // len(unit.encode()))).encode()
    begin = time.process_time()
    table = read_table((body[i : i + 2**18] for i in range(0, len(body), 2**18)), "utf-8", ",")
    assert not isinstance(table, Refusal)
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal)
        chunk()
    return time.process_time() - begin


@settings(max_examples=40)
@given(HOSTILE | st.lists(HOSTILE, min_size=2, max_size=9).map("\n".join))
@example('a",",b\n')
@example('pipe 3",",x\n')
@example("x" * 999)
@example('"' * 999 + "\n")
@example('"')
@example("\n")
@example("\0\n")
@example("," * 999 + "\n")
@example('a"\r\r\n"\r\n",\r\n')
@example('"' + "\n" * 999)
@example('"a"a""a"",' * 99 + "\n")
def test_the_time_is_linear_in_the_size_and_not_far_from_that_of_a_plain_file(unit: str) -> None:
    # Eight times the size: a quadratic reader takes 64 times as long. The machine may be disturbed.
    assert any(seconds(unit, 2**19) < 24 * max(seconds(unit, 2**16), 0.001) for _ in range(3))
    # Arrow reads a plain file at more than 500 MB a second. A Python object for each row, which
    # there was once, takes more than 300 times as long; benchmarks/hostile.py is more exact.
    assert any(seconds(unit, 2**19) < 100 * seconds(PLAIN, 2**19) for _ in range(5))


def test_an_open_quote_ends_where_its_row_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.quotes.MAX_ROW", 30)
    text = "a,b\n" + 'a",",b\n' * 5 + '1,2\n"3","4\n5"\n'

    _, rows, malformed = read(text)

    assert malformed == [(line, "quoting", 'a",",b') for line in range(2, 7)]
    assert [(line, row) for line, row, _ in rows] == [(7, ["1", "2"]), (8, ["3", "4\n5"])]


def test_too_many_columns_are_refused() -> None:
    header = ",".join(str(n) for n in range(MAX_COLUMNS + 1))

    found = read_table([header.encode()], "utf-8", ",")

    assert isinstance(found, Refusal)
    assert found.reason == "line 1 has 10,001 columns; at most 10,000 are read"
