"""The rows of a landed file as text, each with its physical line number.

Arrow's reader is fast, but it knows no physical lines and some of its rules are not those of
`csv`. It reads as it is what is the same for both: a chunk of rows of the right width without a
quote, a blank line, a lone carriage return, a byte order mark in front or a line so long that a
value may be too long. For all else `shared.quotes` first says where the rows are.
"""

import codecs
import csv
import functools
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.lines import Lines, Refusal, long_line, read_lines
from shared.quotes import MAX_ROW, Records, RowOutcome, Scan, find_records, scan

MAX_COLUMNS = 10_000
"""Columns of a file. Each costs time in every chunk, and PostgreSQL takes 1,600 in a table."""
_FEW = 10_000
"""Rows of another width in a chunk, of which Arrow tells one by one."""
REPEATED = pa.dictionary(pa.int32(), pa.string())
"""Texts of which few are different: each is kept once."""
_MALFORMED = pa.schema(
    [("line", pa.int64()), ("raw", pa.string()), ("rule", REPEATED), ("reason", REPEATED)]
)

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text: `lines` int64, `columns` one string array per header column, same length.

    Attributes:
        lines: with which physical line each begins.
        columns: their values.
        raws: takes indices of rows, ascending, and returns the rows' untouched texts without their
            line ends.
        malformed: rows that have no columns to speak of, wrong in number or wrongly quoted, with
            the columns `line`, `raw`, `rule` and `reason`. They are not among the others.
    """

    lines: pa.Int64Array
    columns: list[pa.StringArray]
    raws: Callable[[Indices], pa.StringArray]
    malformed: pa.Table = field(default_factory=_MALFORMED.empty_table)


Unread = Callable[[], Rows]
"""Rows that are read when it is called, so that a caller may read several chunks at once."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file taken apart: its column names, and its rows a chunk at a time, in order.

    A refusal is the last of the chunks.
    """

    header: list[str]
    chunks: Iterator[Unread | Refusal]


def read_table(chunks: Iterable[bytes], encoding: str, delimiter: str) -> Table | Refusal:
    """Read a file as far as its header, and promise the rest.

    Args:
        chunks: the file's bytes; one `Rows` is made of each.
        encoding: the contract's, a name Python's codecs know.
        delimiter: the contract's, one ASCII character.

    Returns:
        The table; a refusal among its rows is the last of them. Or a refusal at once.
    """
    lines = read_lines(chunks, encoding)
    first = next(lines, None)
    if first is None:
        return Refusal("the file is empty")
    if isinstance(first, Refusal):
        return first
    line, newline, rest = first.text.partition(b"\n")
    records = find_records(scan(Lines(1, line + b"\n", 1), delimiter, quoted=True), final=True)
    fault = RowOutcome(records.outcomes.max(initial=RowOutcome.COMPLETE))  # a blank line is no row
    if fault != RowOutcome.COMPLETE:
        return Refusal(f"line 1 cannot be read as a header: {_in_words(fault)}")
    names = next(csv.reader([line.decode()], delimiter=delimiter, strict=True), [])
    # As a contract's names are (`odcs`): an é may be one character or two.
    header = [unicodedata.normalize("NFC", name) for name in names]
    if len(header) > MAX_COLUMNS:
        return Refusal(f"line 1 has {len(header):,} columns; at most {MAX_COLUMNS:,} are read")
    body = _chained(Lines(first.first + 1, rest, first.ends - len(newline)), lines)
    return Table(header, read_rows(body, len(header), delimiter))


def read_rows(
    chunks: Iterator[Lines | Refusal], width: int, delimiter: str
) -> Iterator[Unread | Refusal]:
    """Take the lines after the header for rows; a refusal is the last thing it yields.

    Args:
        chunks: the file's lines without the header.
        width: how many columns a row must have.
        delimiter: the contract's, one ASCII character.
    """
    pending: Scan | None = None
    """It begins with a row that goes on in the next chunk; it is no longer than a row may be."""
    refusals = []
    for lines in chunks:
        if isinstance(lines, Refusal):
            refusals.append(lines)
        elif pending is None and b'"' not in lines.text:
            yield functools.partial(_read_unquoted, lines, width, delimiter)
        else:
            found = scan(lines, delimiter, quoted=True)
            found = pending.joined(found) if pending else found
            records = find_records(found, final=False)
            if records.rest:
                yield functools.partial(_read_exactly, records, width, delimiter)
            pending = found.behind(records.rest) if records.rest < len(found.closes) else None
    if pending:
        yield functools.partial(_read_exactly, find_records(pending, final=True), width, delimiter)
    yield from refusals


def _chained(first: Lines, rest: Iterator[Lines | Refusal]) -> Iterator[Lines | Refusal]:
    if first.text:
        yield first
    yield from rest


def _read_unquoted(lines: Lines, width: int, delimiter: str) -> Rows:
    rows = _read_plain(lines, width, delimiter)
    if rows is None:
        found = scan(lines, delimiter, quoted=False)
        return _read_exactly(find_records(found, final=True), width, delimiter)
    return rows


def _read_plain(lines: Lines, width: int, delimiter: str) -> Rows | None:
    """Read a chunk in which each line is a row; return none if that is not so.

    Some rows of another width cost less this way than a second look at all lines.
    """
    count = lines.ends + (not lines.text.endswith(b"\n"))
    if (
        # Arrow takes what looks like a byte order mark from the first value of any chunk.
        lines.text.startswith(codecs.BOM_UTF8)
        # So some rows have too few values. Arrow would find that too, but read on blank lines.
        or len(lines.text) < width * count - 1
        or long_line(lines.text, csv.field_size_limit()) is not None
    ):
        return None
    wrong: dict[int, int] = {}
    """How many values a line has that has too many or too few."""

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        wrong[row.number - 1] = row.actual_columns
        return "skip" if len(wrong) <= _FEW else "error"

    try:
        columns = _values(lines.text, width, delimiter, skip)
    except pa.ArrowInvalid:  # there are more than a few
        return None
    # For Arrow a lone carriage return ends a line, and a blank line is a row of empty values.
    if len(columns[0]) + len(wrong) != count or _any_blank(columns):
        return None
    numbers = np.arange(lines.first, lines.first + count)
    if not wrong:

        def raws(rows: Indices) -> pa.StringArray:
            bounds = _bounds(lines.text, count)
            return _texts(lines.text, bounds[rows], bounds[rows + 1])

        return Rows(pa.array(numbers), columns, raws)
    values = np.full(count, width, np.int32)
    values[list(wrong)] = list(wrong.values())
    bounds, outcomes = _bounds(lines.text, count), np.full(count, RowOutcome.COMPLETE, np.int8)
    records = Records(lines.text, numbers, bounds[:-1], bounds[1:], outcomes, values, count)
    return _rows(records, values == width, columns, width)


def _bounds(text: bytes, count: int) -> npt.NDArray[np.int32]:
    """Return at which byte each of `count` lines begins, and where the last one ends."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    return np.concatenate([[0], ends, [len(text)]])[: count + 1].astype(np.int32)


def _any_blank(columns: list[pa.StringArray]) -> bool:
    blank = functools.reduce(pc.and_, (pc.equal(column, "") for column in columns))
    return bool(pc.any(blank).as_py())


def _read_exactly(records: Records, width: int, delimiter: str) -> Rows:
    good = (records.outcomes == RowOutcome.COMPLETE) & (records.values == width)
    # The line in front is skipped, and keeps Arrow from taking away a byte order mark.
    pieces = _cut(records.text, records.begins[good], records.ends[good])
    columns = _values(b"\n" + pieces.buffers()[2].to_pybytes(), width, delimiter)
    return _rows(records, good, columns, width)


def _rows(
    records: Records, good: npt.NDArray[np.bool_], columns: list[pa.StringArray], width: int
) -> Rows:
    begins, ends = records.begins[good], records.ends[good]

    def raws(rows: Indices) -> pa.StringArray:
        return _texts(records.text, begins[rows], ends[rows])

    return Rows(pa.array(records.lines[good]), columns, raws, _malformed(records, ~good, width))


def _malformed(records: Records, bad: npt.NDArray[np.bool_], width: int) -> pa.Table:
    # What is wrong with a row is a number of values, or less than zero and an outcome.
    is_complete = records.outcomes == RowOutcome.COMPLETE
    kinds = np.where(is_complete, records.values, -records.outcomes)[bad]
    encoded = pa.array(kinds).dictionary_encode()
    rules, reasons = [], []
    for kind in encoded.dictionary.to_pylist():
        if kind > 0:
            rules.append("columnCount")
            reasons.append(f"{kind} values where the header has {width}")
        else:
            rules.append("quoting")
            reasons.append(f"the row cannot be read: {_in_words(RowOutcome(-kind))}")
    return pa.Table.from_arrays(
        [
            pa.array(records.lines[bad]),
            _texts(records.text, records.begins[bad], records.ends[bad]),
            *(
                pa.DictionaryArray.from_arrays(encoded.indices, pa.array(each, pa.string()))
                for each in (rules, reasons)
            ),
        ],
        schema=_MALFORMED,
    )


def _values(
    text: bytes,
    width: int,
    delimiter: str,
    skip: Callable[[pyarrow.csv.InvalidRow], str] | None = None,
) -> list[pa.StringArray]:
    """Have Arrow read rows behind a line that is skipped; or, with `skip`, plain lines.

    Raises:
        pyarrow.ArrowInvalid: `skip` says that of a row of another width.
    """
    quoted = skip is None
    names = [str(i) for i in range(width)]
    table = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(text) + 1, skip_rows=int(quoted)
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            invalid_row_handler=skip,
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            # Blank lines are none of the rows; but with two carriage returns at the end of a line,
            # Arrow sees a blank line between them.
            ignore_empty_lines=quoted,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,  # it was checked before
        ),
    )
    return [column.combine_chunks() for column in table.columns]


def _texts(text: bytes, begins: Indices, ends: Indices) -> pa.StringArray:
    """Cut out rows, in order, without their line ends."""
    codes = np.frombuffer(text, np.uint8)
    ends = ends - (codes[ends - 1] == ord("\n"))
    ends = ends - ((ends > begins) & (codes[ends - 1] == ord("\r")))
    return _cut(text, begins, ends)


def _cut(text: bytes, begins: Indices, ends: Indices) -> pa.StringArray:
    # Arrow divides the whole text into what is asked for and what lies between.
    count = 2 * len(begins)
    offsets = np.empty(count + 1, np.int32)
    offsets[0:-1:2], offsets[1::2], offsets[-1] = begins, ends, len(text)
    pieces = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))
    return pieces.take(pa.array(np.arange(0, count, 2, dtype=np.int32)))


def _in_words(fault: RowOutcome) -> str:
    return {
        RowOutcome.LONE_RETURN: "a carriage return stands alone; end lines with LF or CRLF",
        RowOutcome.TEXT_BEHIND: "text stands behind the quote that closes a value",
        RowOutcome.LARGE_VALUE: f"a value is longer than {csv.field_size_limit()} characters",
        RowOutcome.LONG_ROW: "a quote opens a value, and the row is longer than "
        f"{MAX_ROW // 1024**2} MiB",
        RowOutcome.UNCLOSED: "a quote opens a value and none closes it",
    }[fault]
