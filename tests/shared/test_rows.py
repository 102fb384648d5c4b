"""Both ways of reading rows: the fast one, and the exact one for quotes and blank lines."""

import time
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.lines import Refusal
from shared.quotes import RowOutcome
from shared.rows import _in_words, read_table
from tests.shared.test_quotes import longest, one_by_one

Row = tuple[int, list[str], str]


def read_all(text: str, size: int) -> tuple[list[str], list[Row], list[dict[str, Any]]]:
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
        raw_texts = each.raw_texts(np.arange(len(lines))).to_pylist()
        rows += zip(lines, map(list, values), raw_texts, strict=True)
        malformed += each.malformed.to_pylist()
    return table.header, rows, malformed


def read(text: str, size: int = 1000) -> tuple[list[str], list[Row], list[tuple[int, str, str]]]:
    header, rows, malformed = read_all(text, size)
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


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_quotes_hold_delimiters_line_ends_and_quotes(size: int) -> None:
    _, rows, malformed = read('a,b\r\n"1,1","x\r\ny"\r\n"he said ""no""",2\r\n3,4\r\n', size)

    assert rows == [
        (2, ["1,1", "x\r\ny"], '"1,1","x\r\ny"'),
        (4, ['he said "no"', "2"], '"he said ""no""",2'),
        (5, ["3", "4"], "3,4"),
    ]
    assert malformed == []


@pytest.mark.parametrize("other", ["1,2", '"1",2'])
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_maximum_value_length_is_independent_of_other_rows(other: str, size: int) -> None:
    longest = "x" * 131_072

    _, rows, malformed = read(f"a,b\n{longest},2\n{longest}x,2\n{other}\n", size)

    assert [(line, len(values[0])) for line, values, _ in rows] == [(2, 131_072), (4, 1)]
    assert [(line, rule) for line, rule, _ in malformed] == [(3, "quoting")]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_only_first_byte_order_mark_is_removed(size: int) -> None:
    header, rows, _ = read("\ufeffa,b\n\ufeff1,\ufeff2\n\ufeff3,4\n", size)

    assert header == ["a", "b"]
    assert [values for _, values, _ in rows] == [["\ufeff1", "\ufeff2"], ["\ufeff3", "4"]]


HOSTILE = st.text('aaa",,\n\r\0', min_size=1)


@settings(max_examples=1000)
@given(st.text('aab",,\n\n\r', max_size=60), st.sampled_from([3, 8, 100]), st.integers(1, 40))
@example('a",",b\n' * 5 + "xxxxxxxxx", 8, 7)
def test_invalid_row_is_one_line(text: str, value: int, size: int) -> None:
    with longest(value):
        expected = list(one_by_one(text))
        _, rows, malformed = read_all("a,b\n" + text, size)
        assert [(line, row) for line, row, _ in rows] == [
            (line + 1, row) for line, _, row in expected if len(row) == 2
        ]
        assert [(row["line"], row["reason"]) for row in malformed if row["rule"] == "quoting"] == [
            (line + 1, f"the row cannot be read: {_in_words(outcome)}")
            for line, outcome, _ in expected
            if outcome != RowOutcome.COMPLETE
        ]


PLAIN = "ned,2019-09-27\n"


def seconds(unit: str, size: int) -> float:
    """Return the CPU time for a file of about `size` bytes, in seconds."""
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
def test_time_is_linear_and_close_to_that_of_plain_file(unit: str) -> None:
    # For eight times the size, a quadratic reader takes 64 times as long. Retry on a busy machine.
    assert any(seconds(unit, 2**19) < 24 * max(seconds(unit, 2**16), 0.001) for _ in range(3))
    # Arrow reads a plain file at more than 500 MB/s. A reader with one Python object per row takes
    # more than 300 times as long. benchmarks/hostile.py measures this more exactly.
    assert any(seconds(unit, 2**19) < 100 * seconds(PLAIN, 2**19) for _ in range(5))


def test_open_quote_ends_at_maximum_row_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.quotes.MAX_ROW", 30)
    text = "a,b\n" + 'a",",b\n' * 5 + '1,2\n"3","4\n5"\n'

    _, rows, malformed = read(text)

    assert malformed == [(line, "quoting", 'a",",b') for line in range(2, 7)]
    assert [(line, row) for line, row, _ in rows] == [(7, ["1", "2"]), (8, ["3", "4\n5"])]


def test_column_names_are_normalized_to_nfc() -> None:
    """NFC makes a semicolon of the Greek question mark, which must not divide columns."""
    written = unicodedata.normalize("NFD", "größe") + ";a\u037eb\n1;2\n"
    table = read_table([written.encode()], "utf-8", ";")
    assert not isinstance(table, Refusal)
    assert table.header == ["größe", "a;b"]
