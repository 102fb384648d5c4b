"""Reading rows: each line as a row, and the exact way for quotes and other marks."""

import itertools
import time
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared import rows as reader
from shared.dialect import Dialect
from shared.grammar import Grammar, grammar
from shared.rows import read_table
from shared.verdict import Refusal
from tests.fixtures.contracts import any_file
from tests.fixtures.texts import texts
from tests.slow_reader import records, swapped, without_footer

CSV = Dialect()
Row = tuple[int, list[str | None], str]


def read_all(
    text: str, size: int, dialect: Dialect = CSV, *, nulls: bool = False
) -> tuple[list[str] | None, list[Row], list[dict[str, Any]]]:
    data = text.encode()
    contract = any_file(dialect, quoted_empty="text" if nulls else "missing")
    table = read_table((data[i : i + size] for i in range(0, len(data), size)), contract)
    assert not isinstance(table, Refusal), table
    rows: list[Row] = []
    malformed: list[dict[str, Any]] = []
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal), chunk
        each = chunk()
        lines = each.lines.to_pylist()
        values = zip(*(column.to_pylist() for column in each.columns), strict=True)
        raw_texts = each.raw_texts(np.arange(len(lines))).to_pylist()
        rows += zip(lines, map(list, values), raw_texts, strict=True)
        malformed += each.malformed.to_pylist()
    return table.header, rows, malformed


def read(
    text: str, size: int = 1000, dialect: Dialect = CSV, *, nulls: bool = False
) -> tuple[list[str] | None, list[Row], list[tuple[int, str, str]]]:
    header, rows, malformed = read_all(text, size, dialect, nulls=nulls)
    return header, rows, [(row["line"], row["rule"], row["raw"]) for row in malformed]


def filled(values: list[str | None]) -> list[str]:
    return [value or "" for value in values]


def ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


@pytest.mark.parametrize("other", ["1,2", '"1",2'])
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_value_may_be_long(other: str, size: int) -> None:
    long = "x" * 200_000

    _, rows, malformed = read(f'a,b\n{long},2\n"{long}",2\n{other}\n', size)

    assert [(line, len(values[0] or "")) for line, values, _ in rows] == [
        (2, 200_000),
        (3, 200_000),
        (4, 1),
    ]
    assert malformed == []


def test_text_with_every_control_character_cannot_have_a_long_delimiter() -> None:
    body = "".join(map(chr, [*range(1, 32), 127]))

    table = read_table([f"a||b\n{body}||c\n".encode()], any_file(Dialect(delimiter="||")))

    assert isinstance(table, Refusal)
    assert "every control character" in table.reason


@pytest.mark.scaled
@given(texts(), st.integers(1, 40), st.sampled_from([12, 10_000]), st.booleans())
@example((CSV, 'a",",b\n' * 5 + "xxxxxxxxx"), 8, 30, False)
@example((Dialect(escape_char="\\"), 'a,\\\nb\\\n\\\n,\\\n"x\\\ny"z'), 8, 12, False)
@example((Dialect(delimiter="||", quote_char="\x1f"), "a||\x1f||\x1f\n"), 8, 30, False)
@example((Dialect(delimiter="||", escape_char="\x1f"), "a||\\||\n"), 8, 30, False)
def test_rows_agree_with_slow_reader(
    written: tuple[Dialect, str], size: int, longest: int, nulls: bool
) -> None:
    dialect, text = written
    nulls = nulls and dialect.quote_char is not None
    # The limit applies to the text with short delimiters.
    longest = longest if len(dialect.delimiter) == 1 else 10_000
    with pytest.MonkeyPatch.context() as patch:
        for module in ("grammar", "records", "rows"):
            patch.setattr(f"shared.{module}.MAX_RECORD", longest)
        head = f"a{dialect.delimiter}b\n"
        body = without_footer(ended(text), dialect, longest)
        expected = list(records(head + body, len(head), 2, dialect, longest))
        _, rows, malformed = read(swapped(head + text, dialect), size, dialect, nulls=nulls)
    assert rows == [
        (line, values if nulls else filled(values), raw)
        for line, raw, values in expected
        if values and len(values) == 2
    ]
    assert malformed == [
        (line, "quoting" if values is None else "columnCount", raw)
        for line, raw, values in expected
        if values is None or len(values) != 2
    ]


@pytest.mark.parametrize(("letters", "length"), [('a",\n\r', 4), ('a",\n', 5), ('a"\n', 7)])
def test_every_short_text_agrees_with_slow_reader(letters: str, length: int) -> None:
    for size in range(1, length + 1):
        for each in itertools.product(letters, repeat=size):
            text = ended("a\n" + "".join(each))
            expected = {
                line: None if values is None or len(values) != 1 else filled(values)
                for line, _, values in records(text, 2, 1, CSV)
            }
            _, rows, malformed = read(text, 1000)
            found = {line: filled(values) for line, values, _ in rows}
            assert len(rows) + len(malformed) == len(expected), text
            assert found | dict.fromkeys(line for line, _, _ in malformed) == expected, text


@pytest.mark.parametrize("delimiter", ["||", "|", ";~"])
@pytest.mark.parametrize("values", [["a|", "b"], ["|", "|x"], ["a;", "~b"], ["a||", "||"]])
def test_record_is_read_back(delimiter: str, values: list[str]) -> None:
    dialect = Dialect(delimiter=delimiter)
    record = dialect.record(values)

    _, rows, malformed = read(f"a{delimiter}b\n{record}\n", dialect=dialect)

    assert rows == [(2, values, record)]
    assert malformed == []


def test_ignored_lines_before_the_header_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def measured(dialect: Dialect, text: bytes) -> Grammar | None:
        sizes.append(len(text))
        return grammar(dialect, text)

    monkeypatch.setattr(reader, "grammar", measured)
    chunks = [b"#x\n\n"] * 100 + [b"a,b\n1,2\n"]

    table = read_table(chunks, any_file(Dialect(comment_char="#")))

    assert not isinstance(table, Refusal)
    assert (table.header, table.line) == (["a", "b"], 201)
    assert max(sizes) < 10


PLAIN = "ned,2019-09-27\n"
HOSTILE = st.text('aaa",,\n\r\0', min_size=1)


def seconds(unit: str, size: int, dialect: Dialect = CSV) -> float:
    """Return the CPU time for a file of about `size` bytes, in seconds."""
    body = ("a,b\n" + unit * (size // len(unit.encode()))).encode()
    begin = time.process_time()
    table = read_table((body[i : i + 2**18] for i in range(0, len(body), 2**18)), any_file(dialect))
    assert not isinstance(table, Refusal)
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal)
        chunk()
    return time.process_time() - begin


@settings(max_examples=15)
@given(HOSTILE | st.lists(HOSTILE, min_size=2, max_size=9).map("\n".join))
@example('a",",b\n')
@example('pipe 3",",x\n')
@example('"x\n')
@example('"""x\n')
@example("x" * 999)
@example('"' * 999 + "\n")
@example('"')
@example("\n")
@example("\0\n")
@example("," * 999 + "\n")
@example('a"\r\r\n"\r\n",\r\n')
@example('"' + "\n" * 999)
@example('"a"a""a"",' * 99 + "\n")
def test_time_is_linear(unit: str) -> None:
    # For eight times the size, a quadratic reader takes 64 times as long. Retry on a busy machine.
    # benchmarks/hostile.py compares the time with that of a plain file.
    assert any(seconds(unit, 2**19) < 24 * max(seconds(unit, 2**16), 0.001) for _ in range(3))


@pytest.mark.parametrize(
    "unit", ["\\" * 99 + "\n", "\\\n", "x,\\\n", '"",\\\n', '""",\\\n', " #\\\n"]
)
def test_time_is_linear_with_escaped_line_ends(unit: str) -> None:
    dialect = Dialect(escape_char="\\", skip_initial_space=True)

    assert any(
        seconds(unit, 2**17, dialect) < 24 * max(seconds(unit, 2**14, dialect), 0.001)
        for _ in range(3)
    )


def test_column_names_are_normalized_to_nfc() -> None:
    """NFC makes a semicolon of the Greek question mark, which must not divide columns."""
    written = unicodedata.normalize("NFD", "größe") + ";a\u037eb\n1;2\n"
    table = read_table([written.encode()], any_file(Dialect(delimiter=";")))
    assert not isinstance(table, Refusal)
    assert table.header == ["größe", "a;b"]
