"""Division of a file: its ranges have the same rows as the whole file."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.transform.division import Reading, Scanner, bounds, can_divide, joined, tail_of
from shared.contract import Contract
from shared.dialect import Dialect
from shared.ranges import ByteRange
from shared.rows import Table, read_range, read_table
from shared.verdict import Refusal
from tests.fixtures.contracts import any_file
from tests.fixtures.texts import texts
from tests.processing import Pieces
from tests.slow_reader import swapped

CSV = Dialect()


def divided(content: Pieces, contract: Contract, stretch: int) -> list[ByteRange]:
    scanner = Scanner(content, contract)
    table = read_table(content.chunks(), contract)
    assert isinstance(table, Table)
    limits = bounds(content.size, stretch, 1000)
    start = scanner.start(table.begin)
    first, *others = itertools.pairwise(limits)
    scans = [[scanner.reading(start.end, first[1])], *(scanner.readings(*each) for each in others)]
    ranges, _ = joined(start, limits, scans, scanner.reading, tail_of(contract))
    return ranges


def rows_of(table: Table | Refusal) -> list[tuple[Any, ...]]:
    """Return lines, values and raw texts of rows; lines, rules and so on of malformed ones."""
    assert isinstance(table, Table)
    found: list[tuple[Any, ...]] = []
    for chunk in table.chunks:
        if isinstance(chunk, Refusal):
            return [*found, (0, chunk.reason)]
        rows = chunk()
        raws = rows.raw_texts(np.arange(len(rows.lines))).to_pylist()
        values = (each.to_pylist() for each in rows.columns)
        found += zip(rows.lines.to_pylist(), *values, raws, strict=True)
        found += (tuple(each.values()) for each in rows.malformed.to_pylist())
    return sorted(found)


def rows_in(ranges: list[ByteRange], content: Pieces, contract: Contract) -> list[tuple[Any, ...]]:
    found = (rows_of(read_range(content, contract, each)) for each in ranges)
    return [*itertools.chain.from_iterable(found)]


@pytest.mark.scaled
@given(texts(), st.integers(1, 40), st.integers(1, 40), st.sampled_from([12, 10_000]))
@example((CSV, '"a\n",b\n' * 9), 8, 9, 10_000)
@example((CSV, 'a,"b\n' * 9), 8, 9, 12)
@example((Dialect(escape_char="\\"), 'a,\\\nb\\\n\\\n,\\\n"x\\\ny"z'), 8, 5, 12)
def test_ranges_have_the_rows_of_the_file(
    written: tuple[Dialect, str], size: int, stretch: int, longest: int
) -> None:
    dialect, text = written
    # The limit applies to the text with short delimiters.
    longest = longest if len(dialect.delimiter) == 1 else 10_000
    content = Pieces(swapped(f"a{dialect.delimiter}b\n{text}", dialect).encode(), size)
    contract = any_file(dialect)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("shared.grammar", "shared.records", "shared.rows"):
            patch.setattr(f"{module}.MAX_RECORD", longest)
        patch.setattr("functions.transform.division.MAX_RECORD", longest)
        patch.setattr("shared.frame.MAX_TAIL", 16)

        ranges = divided(content, contract, stretch)

        found = [
            *itertools.chain.from_iterable(
                rows_of(read_range(content, contract, each)) for each in ranges
            )
        ]
        assert found == [*rows_of(read_table(content.chunks(), contract))]
    assert [each.begin for each in ranges[1:]] == [each.end for each in ranges[:-1]]
    assert [each.is_last for each in ranges] == [*[False] * (len(ranges) - 1), True]


def test_quoted_value_may_be_longer_than_stretches() -> None:
    value = "x,\n" * 100
    content = Pieces(f'a,b\n1,2\n"{value}",2\n'.encode() + b"3,4\n" * 20, 64)

    ranges = divided(content, any_file(CSV), 20)

    assert [each.line for each in ranges] == [1, 104, 109, 114, 119]
    assert [each.end - each.begin for each in ranges] == [313, 20, 20, 20, 20]


def test_stretch_is_read_once_if_both_readings_continue_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[tuple[int, int]] = []

    def counted(self: Scanner, begin: int, end: int) -> Reading:
        reads.append((begin, end))
        return read(self, begin, end)

    read = Scanner.reading
    monkeypatch.setattr(Scanner, "reading", counted)
    content = Pieces(b"a,b\n" + b'"1","2 ""x"" "\n' * 1_000, 2**20)

    ranges = divided(content, any_file(CSV), 1_000)

    assert len(ranges) == len(reads) == 15


def test_stretch_after_damage_is_read_again() -> None:
    """The quote that opens in the second stretch is damage, as only the third one shows."""
    row = b"1,2\n"
    body = b"a,b\n" + row * 20 + b'x,"\n' + row * 20 + b'y"z\n' + row * 40
    content, contract = Pieces(body, 16), any_file(CSV)

    ranges = divided(content, contract, 60)

    assert [each.line for each in ranges] == [1, 18, 46, 51, 68]
    assert rows_in(ranges, content, contract) == rows_of(read_table(content.chunks(), contract))


@pytest.mark.parametrize(
    ("encoding", "can"),
    [
        *((each, True) for each in ("utf-8", "utf-8-sig", "cp1252", "latin-1", "koi8-r")),
        *((each, True) for each in ("shift_jis", "euc_jp", "gb18030", "big5", "cp949")),
        *((each, False) for each in ("utf-16", "utf-16-le", "utf-32", "utf-7", "cp500")),
        *((each, False) for each in ("iso2022_jp", "iso2022_kr", "hz")),
    ],
)
def test_encoding_can_be_divided(encoding: str, can: bool) -> None:
    assert can_divide(any_file(CSV).model_copy(update={"encoding": encoding})) == can


@pytest.mark.parametrize("size", [1, 2, 999, 1_000, 1_999, 2_000, 10**12 + 7])
def test_bounds_are_even_and_few(size: int) -> None:
    limits = bounds(size, 1_000, 400)

    lengths = np.diff(limits)
    assert (limits[0], limits[-1]) == (0, size)
    assert len(lengths) <= 400
    assert max(lengths) - min(lengths) <= 1
    assert size < 2_000 or min(lengths) >= 1_000
