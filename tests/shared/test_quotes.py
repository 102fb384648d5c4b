"""Bounds of rows compared with `csv`, for every short text, also with low limits."""

import csv
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared import quotes
from shared.lines import Lines
from shared.quotes import RowOutcome, find_records, scan

MEANINGS = {
    "new-line character": RowOutcome.LONE_RETURN,
    "expected after": RowOutcome.TEXT_BEHIND,
    "field larger than": RowOutcome.LARGE_VALUE,
    "unexpected end": RowOutcome.UNCLOSED,
    "too long": RowOutcome.LONG_ROW,
}

Row = tuple[int, RowOutcome, int]
"""First line, outcome, and number of values (0 for an invalid row)."""


def fault(error: str) -> RowOutcome:
    """Return the outcome for an error of `csv`."""
    (found,) = (outcome for words, outcome in MEANINGS.items() if words in error)
    return found


def found(text: str, cut: int | None = None) -> list[Row]:
    """Return the rows; with `cut`, scan the text in two parts after that many lines."""
    lines = text.split("\n")
    cut = len(lines) if cut is None else cut
    parts = ["\n".join([*lines[:cut], ""]), "\n".join(lines[cut:])] if lines[cut:] else [text]
    whole, *others = (scan(Lines(1, part.encode(), 0), ",", quoted=True) for part in parts if part)
    for other in others:
        before = find_records(whole, final=False)
        rows = list(listed(before))
        after = whole.behind(before.rest).joined(other)
        return rows + list(listed(find_records(after, final=True)))
    return list(listed(find_records(whole, final=True)))


def listed(records: quotes.Records) -> Iterator[Row]:
    for line, outcome, values in zip(
        records.lines.tolist(), records.outcomes.tolist(), records.values.tolist(), strict=True
    ):
        yield line, RowOutcome(outcome), 0 if outcome else values


def one_by_one(text: str) -> Iterator[tuple[int, RowOutcome, list[str]]]:
    """Yield line, outcome and values of each row, as a separate `csv` reader reads it."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    lines = lines if lines[-1] else lines[:-1]
    i = 0
    while i < len(lines):
        reader = csv.reader(up_to_the_longest_row(lines[i:]), strict=True)
        try:
            row = next(reader)
        except csv.Error as error:
            yield i + 1, fault(str(error)), []
            i += 1
        else:
            if row:
                yield i + 1, RowOutcome.COMPLETE, row
            i += reader.line_num


def expected(text: str) -> list[Row]:
    return [(line, outcome, len(values)) for line, outcome, values in one_by_one(text)]


@contextmanager
def longest(value: int) -> Iterator[None]:
    """Limit the characters of a value."""
    before = csv.field_size_limit(value)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def up_to_the_longest_row(lines: list[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size += len(line.encode())
        if size > quotes.MAX_ROW and line is not lines[0]:
            raise csv.Error("too long")
        yield line


@pytest.mark.parametrize(
    ("letters", "length", "longest_value", "longest_row"),
    [
        ('a",\n\r', 5, 100, 1000),
        ('a",\n', 6, 2, 1000),
        ('a"\n', 7, 3, 6),
        ('é",\n', 5, 2, 7),
        ('"\n\0', 6, 100, 1000),
    ],
)
def test_rows_agree_with_csv(
    letters: str,
    length: int,
    longest_value: int,
    longest_row: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quotes, "MAX_ROW", longest_row)
    monkeypatch.setattr(quotes, "_WINDOW", 3)  # tests the bounds of windows too
    with longest(longest_value):
        for size in range(1, length + 1):
            for each in itertools.product(letters, repeat=size):
                text = "".join(each)
                assert found(text) == expected(text), text


@pytest.mark.parametrize("longest_value", [3, 100])
def test_text_in_two_parts_has_same_rows(longest_value: int) -> None:
    with longest(longest_value):
        for size in range(1, 7):
            for each in itertools.product('a",\n', repeat=size):
                text = "".join(each)
                whole = expected(text)
                for cut in range(1, text.count("\n") + 1):
                    assert found(text, cut) == whole, (text, cut)
