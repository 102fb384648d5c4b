"""What surrounds the rows of a file: skipped lines, header rows, footer, surplus delimiters."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from shared import frame
from shared.dialect import Dialect, Footer
from shared.rows import Table, read_table
from shared.verdict import Refusal
from tests.fixtures.contracts import any_file
from tests.shared.test_rows import read

Row = tuple[int, list[str | None]]
SIZES = pytest.mark.parametrize("size", [1, 7, 1000])


def rows_of(text: str, size: int = 1000, **dialect: Any) -> tuple[list[str] | None, list[Row]]:
    """Return the header and the rows with their lines; no row may be damaged."""
    header, rows, malformed = read(text, size, Dialect(**dialect))
    assert malformed == []
    return header, [(line, values) for line, values, _ in rows]


def table_of(text: str, **dialect: Any) -> Table | Refusal:
    return read_table([text.encode()], any_file(Dialect(**dialect)))


@pytest.mark.parametrize(
    ("dialect", "text", "line"),
    [
        ({"skip_lines": 2}, 'Report "x\n\na,b\n1,2\n', 4),
        ({"skip_lines": 1, "comment_char": "#"}, "a,b\n#\n\r\na,b\n1,2", 5),
        ({}, "\ufeffsep=,\r\na,b\r\n1,2\r\n", 3),
        ({}, '"sep=,"\na,b\n1,2\n', 3),
        ({"skip_lines": 1}, 'x\nsep=","\na,b\n1,2\n', 4),
        ({"skip_lines": 1}, "sep=;\na,b\n1,2\n", 3),
        ({}, "a,b\n1,2\n\x1a\x1a", 2),
        ({}, "a,b\n1,2\x1a", 2),
        ({"header_rows": (2, 3), "header_join": ""}, '"x"y\n,b\na\n1,2\n', 4),
        (
            {"header_rows": (1, 3), "comment_char": "#", "trailing_delimiter": True},
            '"a",\n\n"o\no"\n#\n"",b,\n1,2,\n',
            7,
        ),
        ({"trailing_delimiter": True}, "a,b,\n1,2\n", 2),
        ({"trailing_delimiter": True}, "a,b\n1,2,\r\n", 2),
        ({"trailing_delimiter": True, "skip_initial_space": True}, "a,b, \n1, 2, \n", 2),
        ({"skip_empty_rows": True}, 'a,b\n,\n"",""\n1,2\n,\n', 4),
        ({"skip_empty_rows": True, "trailing_delimiter": True}, "a,b\n,,\n1,2\n,,\n", 3),
        ({"footer": Footer(lines=2)}, 'a,b\n1,2\n"3\n4,4\n\n\r\n', 2),
        ({"footer": Footer(pattern="TOTAL|a")}, "a,b\n1,2\nTOTAL 3\n3,4\n", 2),
        (
            {"skip_lines": 1, "line_terminator": "\r", "footer": Footer(pattern="TOTAL$")},
            "x\rsep=,\ra,b\r1,2\rTOTAL\r\x1a",
            4,
        ),
        ({"footer": Footer(pattern="^$")}, "a,b\n1,2\n\n3,4\n5,6\n\n", 2),
    ],
)
@SIZES
def test_frame_is_ignored(dialect: dict[str, Any], text: str, line: int, size: int) -> None:
    header, rows = rows_of(text, size, **dialect)

    assert (header, rows) == (["a", "b"], [(line, ["1", "2"])])


@SIZES
def test_header_rows_are_joined(size: int) -> None:
    text = "Units,,Price,\n(pcs),Name,,e\u0301\n1,2,3,4\n"

    header, rows = rows_of(text, size, header_rows=(1, 2))

    assert (header, len(rows)) == (["Units (pcs)", "Name", "Price", "é"], 1)


@SIZES
def test_first_row_tells_width_without_header(size: int) -> None:
    header, rows = rows_of("\n1,2,\n3,4\n", size, header=False, trailing_delimiter=True)

    assert (header, rows) == (None, [(2, ["1", "2"]), (3, ["3", "4"])])


def test_only_empty_last_value_is_surplus() -> None:
    text = 'a,b\n1,\n1,2,\n1,2,""\n1,2,3\n1,2,,\n1,"2,",\n1\\,\n'

    _, rows, malformed = read(text, 1000, Dialect(trailing_delimiter=True, escape_char="\\"))

    assert [(line, values) for line, values, _ in rows] == [
        (2, ["1", ""]),
        (3, ["1", "2"]),
        (7, ["1", "2,"]),
    ]
    assert [line for line, *_ in malformed] == [4, 5, 6, 8]


@SIZES
def test_only_column_may_have_trailing_delimiter(size: int) -> None:
    header, rows = rows_of('a,\n,\n\n"",\n1\n2,\n', size, trailing_delimiter=True)

    assert (header, rows) == (["a"], [(2, [""]), (4, [""]), (5, ["1"]), (6, ["2"])])


@pytest.mark.parametrize(("rows_after", "loaded"), [(99, 0), (100, 1)])
@SIZES
def test_pattern_ignores_only_last_lines(rows_after: int, loaded: int, size: int) -> None:
    text = "a\n" + "-\n" + "x\n" * rows_after + "\n" * 150

    _, rows = rows_of(text, size, footer=Footer(pattern="-"))

    assert len(rows) == loaded * (1 + rows_after)


@SIZES
def test_footer_is_limited_in_bytes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MAX_TAIL", 9)

    _, rows = rows_of("a\n1\n2\n-\n4\n5\n6\n7\n", size, footer=Footer(pattern="-"))
    _, others = rows_of("a\n1\n2\n3\n4\n-\n6\n7\n", size, footer=Footer(pattern="-"))

    assert (len(rows), len(others)) == (7, 4)


def test_memory_is_bounded_with_footer() -> None:
    made = 0

    def chunks() -> Iterator[bytes]:
        nonlocal made
        yield b"a\n"
        for made in range(100):  # noqa: B007
            yield b"x" * 1000 + b"\n"

    table = read_table(chunks(), any_file(Dialect(footer=Footer(lines=3))))
    assert isinstance(table, Table)

    next(table.chunks)

    assert made < 10


@pytest.mark.parametrize(
    ("text", "lines"), [("a\n1\n-\n\n-\n\n\n", 3), ("a\n1\n-", 1), ("a\n1\n", 0)]
)
def test_lines_of_footer_are_counted(text: str, lines: int) -> None:
    table = table_of(text, footer=Footer(pattern="-"))
    assert isinstance(table, Table)

    list(table.chunks)

    assert table.footer.lines == lines


@pytest.mark.parametrize(
    ("dialect", "text", "reason"),
    [
        ({"skip_lines": 1}, "sep=,\nsep=;\n", "line 2 says that ';' is the delimiter, but .* ','"),
        ({"delimiter": "||"}, "sep=|\na||b\n", "line 1 says that .* the contract says '..'"),
        ({"skip_lines": 2}, 'x\ny\n\na"\n', "line 4 cannot be read as a header"),
        ({"header": False}, '\na"\n', "line 2 cannot be read as the first row"),
    ],
)
def test_file_that_differs_from_frame_is_refused(
    dialect: dict[str, Any], text: str, reason: str
) -> None:
    found = table_of(text, **dialect)

    assert isinstance(found, Refusal)
    assert re.match(reason, found.reason)
