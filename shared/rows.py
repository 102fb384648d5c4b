"""The rows of a landed file as text, each with its physical line number.

Arrow's reader is fast and knows no physical lines. Its rows are taken where line and row are the
same, and values are as they were: in chunks without a quote, a blank line, a lone carriage return,
a byte order mark in front or a line so long that `csv` might refuse a value. All else goes through
Python's `csv`, which is exact and slow.
"""

import codecs
import csv
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.lines import Lines, Refusal, long_line, read_lines

MAX_ROW = 1 << 24
"""Characters of a row of several lines: what is longer would only fill the memory."""
MAX_COLUMNS = 10_000
"""Columns of a file. Each costs time in every chunk, and PostgreSQL takes 1,600 in a table."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that has no columns to speak of: wrong in number, or wrongly quoted."""

    line: int
    raw: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text: `lines` int64, `columns` one string array per header column, same length.

    `raw(i)` is the untouched text of row i without its line end; `malformed` rows are not among
    the columns.
    """

    lines: pa.Int64Array
    columns: list[pa.StringArray]
    raw: Callable[[int], str]
    malformed: list[Malformed] = field(default_factory=list)


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
    try:
        header = next(csv.reader([line.decode()], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        return Refusal(f"line 1 cannot be read as a header: {_in_words(str(error))}")
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
    for lines in chunks:
        if isinstance(lines, Refusal):
            yield lines
            return
        if b'"' not in lines.text:
            yield functools.partial(_read_unquoted, lines, width, delimiter)
        else:
            # A quoted field may reach into the next chunk, so this one is read at once.
            refusals: list[Refusal] = []
            rows = _read_exactly(lines, chunks, width, delimiter, refusals)
            yield functools.partial(_given, rows)
            yield from refusals


def _given(rows: Rows) -> Rows:
    return rows


def _chained(first: Lines, rest: Iterator[Lines | Refusal]) -> Iterator[Lines | Refusal]:
    if first.text:
        yield first
    yield from rest


def _read_unquoted(lines: Lines, width: int, delimiter: str) -> Rows:
    # Arrow takes what looks like a byte order mark from the first value of any chunk.
    is_marked = lines.text.startswith(codecs.BOM_UTF8)
    if is_marked or long_line(lines.text, csv.field_size_limit()) is not None:
        return _read_exactly(lines, iter(()), width, delimiter, [])
    rows = _read_fast(lines, width, delimiter)
    physical = lines.ends + (not lines.text.endswith(b"\n"))
    lone_returns = len(rows.lines) + len(rows.malformed) != physical
    if lone_returns or _any_blank(rows):
        return _read_exactly(lines, iter(()), width, delimiter, [])
    return rows


def _any_blank(rows: Rows) -> bool:
    # Arrow takes a blank line for a row of empty values, as `,,,` is one.
    blank = functools.reduce(pc.and_, (pc.equal(column, "") for column in rows.columns))
    return bool(pc.any(blank).as_py())


def _read_fast(lines: Lines, width: int, delimiter: str) -> Rows:
    malformed: list[Malformed] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        line = lines.first + row.number - 1
        malformed.append(_wrong_width(line, row.text, row.actual_columns, width))
        return "skip"

    names = [str(i) for i in range(width)]
    table = pyarrow.csv.read_csv(
        pa.BufferReader(lines.text),
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(lines.text) + 1
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char=False,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,  # it was checked before
        ),
    )
    numbers = np.arange(lines.first, lines.first + table.num_rows + len(malformed))
    kept = np.delete(numbers, [row.line - lines.first for row in malformed])

    @functools.cache
    def ends() -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.frombuffer(lines.text, np.uint8) == ord("\n"))

    def raw(i: int) -> str:
        number = kept[i] - lines.first
        begin = ends()[number - 1] + 1 if number else 0
        end = ends()[number] if number < len(ends()) else None
        return lines.text[begin:end].removesuffix(b"\r").decode()

    return Rows(
        pa.array(kept),
        [column.combine_chunks() for column in table.columns],
        raw,
        malformed,
    )


def _read_exactly(
    lines: Lines,
    chunks: Iterator[Lines | Refusal],
    width: int,
    delimiter: str,
    refusals: list[Refusal],
) -> Rows:
    unread = _Unread(lines, chunks, refusals)
    numbers: list[int] = []
    raws: list[str] = []
    columns: list[list[str]] = [[] for _ in range(width)]
    malformed: list[Malformed] = []
    while unread.pending:
        try:
            row = unread.row(delimiter)
        except csv.Error as error:
            malformed.append(unread.give_back(str(error), delimiter))
            continue
        line, raw = unread.taken[0][0], unread.text()
        if not row:
            continue
        if len(row) != width:
            malformed.append(_wrong_width(line, raw, len(row), width))
            continue
        numbers.append(line)
        raws.append(raw)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return Rows(
        pa.array(numbers, pa.int64()),
        [pa.array(column, pa.string()) for column in columns],
        raws.__getitem__,
        malformed,
    )


class _Unread:
    """The lines from which `csv` takes a row; it takes the next chunk only if a row needs it.

    A row that cannot be read costs its first line, and the lines behind that are read again. They
    are read once more at most, or the time would grow with the square of the size: where a row
    went on over the end of a line inside quotes, each row that leaves a quote open there ends as
    that one did. So such a row is not read to its end again. Of a row that is too long that is a
    decision: a later one may be short enough, but nobody could tell without reading all of them.
    """

    def __init__(
        self, lines: Lines, chunks: Iterator[Lines | Refusal], refusals: list[Refusal]
    ) -> None:
        self.pending = deque(_split(lines))
        self.taken: list[tuple[int, str]] = []
        self._chunks = chunks
        self._refusals = refusals
        self._failed_through = 0
        """The last line at whose beginning an open quote is known to lead to `_failure`."""
        self._failure = ""

    def row(self, delimiter: str) -> list[str]:
        """Take the lines of a row and return its values; none for a blank line.

        Raises:
            csv.Error: it cannot be read.
        """
        text = _without_end(self.pending[0][1])
        if '"' in text or "\r" in text or len(text) > csv.field_size_limit():
            # A reader of its own for every row: after an error the old one would be of no use.
            return next(csv.reader(self._take(), delimiter=delimiter, strict=True), [])
        self.taken = [self.pending.popleft()]
        return text.split(delimiter) if text else []

    def _take(self) -> Iterator[str]:
        self.taken = []
        size = 0
        while self._more():
            number, text = self.pending.popleft()
            self.taken.append((number, text))
            size += len(text)
            if size > MAX_ROW and len(self.taken) > 1:
                raise csv.Error(_TOO_LONG)
            yield text
            if number < self._failed_through:
                return

    def _more(self) -> bool:
        if not self.pending:
            more = next(self._chunks, None)
            if isinstance(more, Lines):
                self.pending.extend(_split(more))
            elif more is not None:
                self._refusals.append(more)
        return bool(self.pending)

    def text(self) -> str:
        """Return the text of the row that was taken."""
        return _without_end("".join(text for _, text in self.taken))

    def give_back(self, error: str, delimiter: str) -> Malformed:
        """Blame the line that began the row; those behind it are read again."""
        number, text = self.taken[0]
        if number < self._failed_through and _UNCLOSED in error:
            error = self._failure
        elif len(self.taken) > 1:
            self._failure = error
            self._failed_through = self._last_in_quotes(error, delimiter)
        self.pending.extendleft(reversed(self.taken[1:]))
        reason = f"the row cannot be read: {_in_words(error)}"
        return Malformed(number, _without_end(text), "quoting", reason)

    def _last_in_quotes(self, error: str, delimiter: str) -> int:
        last = self.taken[-1][0]
        if _TOO_LARGE not in error:
            return last
        # A value that begins later has more room, so what follows its first line is not known.
        rest = len("".join(text for _, text in self.taken)) - _open_value(self.text(), delimiter)
        for number, text in reversed(self.taken):
            rest -= len(text)
            if rest <= 0:
                return number
        return last


def _open_value(text: str, delimiter: str) -> int:
    """Return where the value begins, in quotes or not, in which the beginning of a row ends."""
    begin = 0
    while True:
        end = begin
        if text.startswith('"', begin):
            end = text.find('"', begin + 1)
            while text.startswith('""', end):
                end = text.find('"', end + 2)
        end = text.find(delimiter, end) if end != -1 else -1
        if end == -1:
            return begin
        begin = end + 1


_UNCLOSED = "unexpected end"
_TOO_LARGE = "field larger than"
_TOO_LONG = "row too long"


def _in_words(error: str) -> str:
    # The reader's own words are for who programs with it.
    for theirs, ours in (
        ("new-line character", "a carriage return stands alone; end lines with LF or CRLF"),
        (_TOO_LARGE, f"a value is longer than {csv.field_size_limit()} characters"),
        (_UNCLOSED, "a quote opens a value and none closes it"),
        ("expected after", "text stands behind the quote that closes a value"),
        (
            _TOO_LONG,
            f"a quote opens a value, and the row is longer than {MAX_ROW:,} characters",
        ),
    ):
        if theirs in error:
            return ours
    return error


def _split(lines: Lines) -> Iterator[tuple[int, str]]:
    texts = lines.text.decode().split("\n")
    last = texts.pop()
    for offset, text in enumerate(texts):
        yield lines.first + offset, text + "\n"
    if last:
        yield lines.first + len(texts), last


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _wrong_width(line: int, raw: str, actual: int, width: int) -> Malformed:
    return Malformed(line, raw, "columnCount", f"{actual} values where the header has {width}")
