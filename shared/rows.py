"""Rows of a landed file as text, each with its physical line number.

Arrow's CSV reader is fast, but it reports no physical line numbers and differs from `csv` in some
rules. It therefore reads only the chunks that both read alike. Such a chunk contains no quote, no
blank line, no lone carriage return, no leading byte order mark and no very long line. For all other
chunks, `shared.quotes` first finds the bounds of the rows.
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
"""Maximum columns of a file. Each takes time in every chunk, and PostgreSQL allows 1,600."""
_MAX_SKIPPED = 10_000
"""Rows of the wrong width in a chunk that Arrow may skip, because it reports them one by one."""
REPEATED = pa.dictionary(pa.int32(), pa.string())
"""Type for texts with few distinct values."""
_MALFORMED = pa.schema(
    [("line", pa.int64()), ("raw", pa.string()), ("rule", REPEATED), ("reason", REPEATED)]
)

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text.

    Attributes:
        lines: the physical line on which each row begins.
        columns: the values, one array per header column, each as long as `lines`.
        raw_texts: function from ascending row indices to the rows' original texts without line
            ends.
        malformed: rows with a wrong number of values or invalid quoting, with the columns `line`,
            `raw`, `rule` and `reason`. `lines` and `columns` do not include them.
    """

    lines: pa.Int64Array
    columns: list[pa.StringArray]
    raw_texts: Callable[[Indices], pa.StringArray]
    malformed: pa.Table = field(default_factory=_MALFORMED.empty_table)


LazyRows = Callable[[], Rows]
"""Function that reads one chunk; callers may read several chunks in parallel."""


@dataclass(frozen=True, slots=True)
class Table:
    """Parsed file: its column names and its chunks of rows, in order.

    If there is a refusal among the chunks, it is the last one.
    """

    header: list[str]
    chunks: Iterator[LazyRows | Refusal]


def read_table(chunks: Iterable[bytes], encoding: str, delimiter: str) -> Table | Refusal:
    """Read the header of a file; the chunks of the returned table read the rest lazily.

    Args:
        chunks: the file's bytes. Each chunk becomes one `Rows`.
        encoding: the contract's encoding, a name of a Python codec.
        delimiter: the contract's delimiter, one ASCII character.

    Returns:
        The table, or a refusal if the header cannot be read.
    """
    lines = read_lines(chunks, encoding)
    first = next(lines, None)
    if first is None:
        return Refusal("the file is empty")
    if isinstance(first, Refusal):
        return first
    line, newline, rest = first.text.partition(b"\n")
    records = find_records(scan(Lines(1, line + b"\n", 1), delimiter, quoted=True), final=True)
    fault = RowOutcome(records.outcomes.max(initial=RowOutcome.COMPLETE))  # none for a blank line
    if fault != RowOutcome.COMPLETE:
        return Refusal(f"line 1 cannot be read as a header: {_in_words(fault)}")
    names = next(csv.reader([line.decode()], delimiter=delimiter, strict=True), [])
    # The names in contracts are NFC too (`shared.odcs`).
    header = [unicodedata.normalize("NFC", name) for name in names]
    if len(header) > MAX_COLUMNS:
        return Refusal(
            f"line 1 has {len(header):,} columns, but the maximum is {MAX_COLUMNS:,}: remove some"
        )
    body = _chained(Lines(first.first + 1, rest, first.ends - len(newline)), lines)
    return Table(header, read_rows(body, len(header), delimiter))


def read_rows(
    chunks: Iterator[Lines | Refusal], width: int, delimiter: str
) -> Iterator[LazyRows | Refusal]:
    """Yield the chunks of rows after the header, and any refusals last.

    Args:
        chunks: the file's lines without the header.
        width: the number of columns that a row must have.
        delimiter: the contract's delimiter, one ASCII character.
    """
    pending: Scan | None = None  # begins with a row that continues in the next chunk
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
    """Read a chunk in which each line is a row; return None for any other chunk.

    Rows of the wrong width are allowed, because skipping them is faster than scanning all lines.
    """
    count = lines.ends + (not lines.text.endswith(b"\n"))
    if (
        # Arrow removes a byte order mark from every chunk, not only from the first.
        lines.text.startswith(codecs.BOM_UTF8)
        # Some rows have too few values, e.g. blank lines. Arrow would find that, but slowly.
        or len(lines.text) < width * count - 1
        or long_line(lines.text, csv.field_size_limit()) is not None
    ):
        return None
    wrong: dict[int, int] = {}  # number of values, by index of a line of the wrong width

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        wrong[row.number - 1] = row.actual_columns
        return "skip" if len(wrong) <= _MAX_SKIPPED else "error"

    try:
        columns = _values(lines.text, width, delimiter, skip)
    except pa.ArrowInvalid:  # more than _MAX_SKIPPED
        return None
    # Arrow ends a line at a lone carriage return, and reads a blank line as empty values.
    if len(columns[0]) + len(wrong) != count or _any_blank(columns):
        return None
    numbers = np.arange(lines.first, lines.first + count)
    if not wrong:

        def raw_texts(rows: Indices) -> pa.StringArray:
            bounds = _bounds(lines.text, count)
            return _texts(lines.text, bounds[rows], bounds[rows + 1])

        return Rows(pa.array(numbers), columns, raw_texts)
    values = np.full(count, width, np.int32)
    values[list(wrong)] = list(wrong.values())
    bounds, outcomes = _bounds(lines.text, count), np.full(count, RowOutcome.COMPLETE, np.int8)
    records = Records(lines.text, numbers, bounds[:-1], bounds[1:], outcomes, values, count)
    return _rows(records, values == width, columns, width)


def _bounds(text: bytes, count: int) -> npt.NDArray[np.int32]:
    """Return the byte offsets at which `count` lines begin, and the end of the last one."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
    return np.concatenate([[0], ends, [len(text)]])[: count + 1].astype(np.int32)


def _any_blank(columns: list[pa.StringArray]) -> bool:
    blank = functools.reduce(pc.and_, (pc.equal(column, "") for column in columns))
    return bool(pc.any(blank).as_py())


def _read_exactly(records: Records, width: int, delimiter: str) -> Rows:
    good = (records.outcomes == RowOutcome.COMPLETE) & (records.values == width)
    # Arrow skips the first line; it prevents Arrow from removing a byte order mark.
    pieces = _cut(records.text, records.begins[good], records.ends[good])
    columns = _values(b"\n" + pieces.buffers()[2].to_pybytes(), width, delimiter)
    return _rows(records, good, columns, width)


def _rows(
    records: Records, good: npt.NDArray[np.bool_], columns: list[pa.StringArray], width: int
) -> Rows:
    begins, ends = records.begins[good], records.ends[good]

    def raw_texts(rows: Indices) -> pa.StringArray:
        return _texts(records.text, begins[rows], ends[rows])

    return Rows(
        pa.array(records.lines[good]), columns, raw_texts, _malformed(records, ~good, width)
    )


def _malformed(records: Records, bad: npt.NDArray[np.bool_], width: int) -> pa.Table:
    # Encode each fault as one number: the number of values, or a negated outcome.
    is_complete = records.outcomes == RowOutcome.COMPLETE
    kinds = np.where(is_complete, records.values, -records.outcomes)[bad]
    encoded = pa.array(kinds).dictionary_encode()
    rules, reasons = [], []
    for kind in encoded.dictionary.to_pylist():
        if kind > 0:
            rules.append("columnCount")
            values = "1 value" if kind == 1 else f"{kind} values"
            reasons.append(f"{values}, but the header has {width}")
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
    """Read rows with Arrow: with `skip` plain lines, else quoted rows after a first line to skip.

    Raises:
        pyarrow.ArrowInvalid: `skip` returned "error" for a row of the wrong width.
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
            # Arrow reads a blank line between two carriage returns at the end of a line.
            ignore_empty_lines=quoted,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,  # shared.lines has checked it
        ),
    )
    return [column.combine_chunks() for column in table.columns]


def _texts(text: bytes, begins: Indices, ends: Indices) -> pa.StringArray:
    """Return the texts between ascending offsets, without line ends."""
    codes = np.frombuffer(text, np.uint8)
    ends = ends - (codes[ends - 1] == ord("\n"))
    ends = ends - ((ends > begins) & (codes[ends - 1] == ord("\r")))
    return _cut(text, begins, ends)


def _cut(text: bytes, begins: Indices, ends: Indices) -> pa.StringArray:
    # Divide the whole text into the requested pieces and those between them.
    count = 2 * len(begins)
    offsets = np.empty(count + 1, np.int32)
    offsets[0:-1:2], offsets[1::2], offsets[-1] = begins, ends, len(text)
    pieces = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))
    return pieces.take(pa.array(np.arange(0, count, 2, dtype=np.int32)))


def _in_words(fault: RowOutcome) -> str:
    return {
        RowOutcome.LONE_RETURN: "a carriage return without a line feed; end lines with LF or CRLF",
        RowOutcome.TEXT_BEHIND: "text follows the closing quote of a value",
        RowOutcome.LARGE_VALUE: f"a value is longer than {csv.field_size_limit()} characters",
        RowOutcome.LONG_ROW: f"a row with a quoted value is longer than {MAX_ROW // 1024**2} MiB",
        RowOutcome.UNCLOSED: "the opening quote of a value has no closing quote",
    }[fault]
