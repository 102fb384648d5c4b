"""Rows of a landed file as text, each with the number of its physical line.

Arrow parses the values. A chunk in which each line is a row is parsed as it is. For any other,
`shared.records` first finds the well-formed records.
"""

import base64
import codecs
import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared import json_lines, undecodable
from shared.content import Content
from shared.contract import Contract
from shared.dialect import Dialect
from shared.frame import (
    FooterCount,
    Tail,
    divided,
    joined,
    with_tail,
    without_end_of_file,
    without_frame,
)
from shared.grammar import MAX_RECORD, Fault, Grammar, grammar
from shared.json_lines import Objects
from shared.lines import Lines, newlines, read_lines
from shared.ranges import ByteRange
from shared.records import (
    Damage,
    Positions,
    Records,
    ends_of,
    find_records,
    has_surplus,
    is_blank,
    value_counts,
    with_trailing_delimiters,
    without_gaps,
)
from shared.regex import beginning
from shared.verdict import Refusal

MAX_COLUMNS = 10_000
"""Columns of a file. Each costs time in every chunk, and PostgreSQL allows 1,600 in a table."""
REPEATED = pa.dictionary(pa.int32(), pa.string())
"""Texts with few distinct values; each is kept once."""
_MALFORMED = pa.schema(
    [("line", pa.int64()), ("raw", pa.string()), ("rule", REPEATED), ("reason", REPEATED)]
)
_UNDECODABLE = _MALFORMED.append(pa.field("rawBase64", pa.string()))
_BATCH = 10_000
"""Rows with undecodable bytes that become Python's strings at a time, to limit the memory."""

_FEW = 10_000
"""Maximum records of a chunk with a wrong number of values that Arrow reports one by one."""
_LF, _CR = b"\n\r"
_FAULTS = tuple(Fault)
_NO_SUBSTITUTE = Refusal(
    "the file contains every control character, but one must stand for the delimiter of several "
    "characters; remove one"
)

Indices = npt.NDArray[np.integer[Any]]
_Parsed = tuple[list[pa.StringArray], dict[int, int]]
"""Columns of values; and the number of values of each other record, by its index."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text.

    Attributes:
        lines: the physical line on which each row begins.
        columns: the values, one array per header column, each as long as `lines`.
        raw_texts: function from ascending row indices to the rows' original texts without line
            ends.
        malformed: rows with a wrong number of values or invalid quoting, with the columns `line`,
            `raw`, `rule` and `reason`; and rows with undecodable bytes, which also have their bytes
            in the column `rawBase64`. `lines` and `columns` do not include them.
        empty: the number of ignored rows of empty values.
    """

    lines: pa.Int64Array
    columns: list[pa.StringArray]
    raw_texts: Callable[[Indices], pa.StringArray]
    malformed: pa.Table = field(default_factory=_MALFORMED.empty_table)
    empty: int = 0


@dataclass(frozen=True, slots=True)
class Empty(Refusal):
    """Refusal of a file that has neither a header nor rows."""


@dataclass(frozen=True, slots=True)
class Foreign(Refusal):
    """Refusal of JSON lines of which none has a column of the contract."""


LazyRows = Callable[[], Rows]
"""Function that reads the rows, so that a caller can read several chunks at the same time."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's header, and its rows in chunks, in order.

    Attributes:
        header: the names of the columns; None if columns are found by position, or if the rows
            have all columns of the contract, in its order.
        line: the physical line on which the header begins, or the row that tells the width.
        width: the number of columns.
        begin: the physical line after the header.
        chunks: the rows. A refusal is the last chunk.
        footer: its `lines` are the number of lines of the footer when the chunks are consumed.
    """

    header: list[str] | None
    line: int
    width: int
    begin: int
    chunks: Iterator[LazyRows | Refusal]
    footer: FooterCount = field(default_factory=FooterCount)


def read_table(
    chunks: Iterable[bytes | Refusal], contract: Contract, *, is_end: bool = True
) -> Table | Refusal:
    """Read the header of a file; its rows are read when the chunks are consumed.

    Each of `chunks` yields at most one `Rows`. `is_end` says whether the file ends with them.
    """
    lines = lines_of(chunks, contract)
    first = next(lines, None)
    if first is None:
        return Empty("the file is empty")
    head = _read_head(itertools.chain([first], lines), contract)
    if isinstance(head, Refusal):
        return head
    footer = FooterCount()
    rows = _read_chunks(head.rest, head.width, contract, footer, is_start=True, is_end=is_end)
    return Table(head.names, head.line, head.width, head.begin, rows, footer)


def read_range(content: Content, contract: Contract, within: ByteRange) -> Table | Refusal:
    """Read the header of a file, and the rows of one of its ranges."""
    chunks = content.chunks(within.begin, within.end)
    if within.number == 0:
        return read_table(chunks, contract, is_end=within.is_last)
    table = read_table(content.chunks(), contract)
    if isinstance(table, Refusal):
        return table
    lines = without_end_of_file(lines_of(chunks, contract, within.line))
    rows = _read_chunks(
        lines, table.width, contract, table.footer, is_start=False, is_end=within.is_last
    )
    return replace(table, chunks=rows)


def lines_of(
    chunks: Iterable[bytes | Refusal], contract: Contract, first: int = 1
) -> Iterator[Lines | Refusal]:
    """Yield the lines of a file from the line with the number `first` on."""
    return read_lines(chunks, contract.encoding, contract.dialect, contract.encoding_errors, first)


@dataclass(frozen=True, slots=True)
class _Head:
    """The header of a file, and the lines after it, of which `begin` is the first one's number."""

    names: list[str] | None
    line: int
    width: int
    begin: int
    rest: Iterator[Lines | Refusal]


@dataclass(frozen=True, slots=True)
class _Record:
    """The first record of some lines.

    Attributes:
        values: its values, or its fault.
        line: the physical line on which it begins.
        read: the lines of which it is the first record.
        size: the number of bytes of `read` until its end, or the end of its first line if it is
            damaged.
    """

    values: list[str] | Fault
    line: int
    read: Lines
    size: int


def _read_head(lines: Iterator[Lines | Refusal], contract: Contract) -> _Head | Refusal:
    if contract.file_format == "jsonLines":
        return _Head(None, 1, len(contract.columns), 1, without_end_of_file(lines))
    head = _read_csv_head(without_frame(lines, contract.dialect), contract)
    if isinstance(head, Refusal):
        return head
    if head.width > MAX_COLUMNS:
        return Refusal(
            f"line {head.line} has {head.width:,} columns, but the maximum is {MAX_COLUMNS:,}: "
            "remove some"
        )
    encoding = contract.encoding
    for number, name in enumerate(head.names or (), start=1):
        if fault := undecodable.fault(name, encoding):
            return Refusal(f"the name of column {number}: {fault}; send the file as {encoding}")
    return head


def _read_csv_head(lines: Iterator[Lines | Refusal], contract: Contract) -> _Head | Refusal:
    dialect = contract.dialect
    rows: list[list[str]] = []
    peeked = [*itertools.islice(lines, 1)]
    begin = peeked[0].first if peeked and isinstance(peeked[0], Lines) else 1
    lines, line = itertools.chain(peeked, lines), 0
    for number in range(1, dialect.header_rows[-1] + 1 if dialect.header else 1):
        record = _first_record(lines, dialect)
        if record is None:
            reason = "the file has no header"
            return Empty(reason) if number == 1 else Refusal(reason)
        if isinstance(record, Refusal):
            return record
        if number in dialect.header_rows and not contract.by_position:
            line = line or record.line
            if isinstance(record.values, Fault):
                reason = f"line {record.line} cannot be read as a header: {record.values}"
                return Refusal(reason)
            rows.append(record.values)
        _, rest = divided(record.read, record.size)
        begin = rest.first
        lines = itertools.chain([rest] if rest.text else [], lines)
    if contract.by_position:
        return _without_names(lines, contract, begin)
    columns = itertools.zip_longest(*rows, fillvalue="")
    # The names of a contract have this form too (`odcs`): an é may be one character or two.
    names = [
        unicodedata.normalize("NFC", dialect.header_join.join(filter(None, parts)))
        for parts in columns
    ]
    return _Head(names, line, len(names), begin, lines)


def _without_names(
    lines: Iterator[Lines | Refusal], contract: Contract, begin: int
) -> _Head | Refusal:
    """Return the head of a file whose header, if it has one, says nothing about the columns."""
    if contract.fixed_width is not None:
        return _Head(None, 1, contract.fixed_width, begin, lines)
    record = _first_record(lines, contract.dialect)
    if record is None:
        return Empty("the file has no rows")
    if isinstance(record, Refusal):
        return record
    if isinstance(record.values, Fault):
        return Refusal(f"line {record.line} cannot be read as the first row: {record.values}")
    rest = itertools.chain([record.read], lines)
    return _Head(None, record.line, len(record.values), record.read.first, rest)


def _first_record(lines: Iterator[Lines | Refusal], dialect: Dialect) -> _Record | Refusal | None:
    """Return the first record of some lines; None if there is none."""
    read, final = Lines(1, b"", 0), False
    while True:
        rules = grammar(dialect, read.text)
        if rules is None:
            return _NO_SUBSTITUTE
        encoded = rules.encoded(_ended(read.text))
        found = rules.first(encoded, final=final or len(read.text) > MAX_RECORD)
        if found is not None:
            break
        if final:
            return None
        more = next(lines, None)
        if isinstance(more, Refusal):
            return more
        if rules.begin(encoded) == len(encoded):
            read = Lines(read.first + read.ends, b"", 0)  # any number of lines may be ignored
        if more is None:
            final = True
        else:
            read = joined(read, more)
    if isinstance(found, Fault):
        begin = rules.begin(encoded)
        end = encoded.index(b"\n", begin) + 1
        values: list[str] | Fault = found
    else:
        begin, end = found
        values = rules.values(encoded[begin:end])
        if dialect.trailing_delimiter and _is_trailed(rules, encoded[begin:end]):
            values.pop()
    line = read.first + encoded.count(b"\n", 0, begin)
    return _Record(values, line, read, len(rules.decoded(encoded[:end])))


def _is_trailed(rules: Grammar, record: bytes) -> bool:
    """Return whether a well-formed record ends with an empty value without quotes."""
    text = record.removesuffix(b"\n").rstrip(b"\r")
    text = text.rstrip(b" ") if rules.dialect.skip_initial_space else text
    return text.endswith(rules.delimiter) and not rules.values(record)[-1]


class _Layout(NamedTuple):
    """The number of values of a row, and whether empty values without quotes become null."""

    width: int
    has_nulls: bool


def _read_chunks(
    lines: Iterator[Lines | Refusal],
    width: int,
    contract: Contract,
    footer: FooterCount,
    *,
    is_start: bool,
    is_end: bool,
) -> Iterator[LazyRows | Refusal]:
    """Read lines after the header as rows; a refusal is the last item.

    `is_start` and `is_end` say whether they are the file's first and last ones.
    """
    match contract.file_format:
        case "csv":
            rows = _read_rows(lines, width, contract, footer, is_end=is_end)
            return _quarantined(rows, contract)
        case "jsonLines":
            return _quarantined(_read_objects(lines, contract, is_start=is_start), contract)


def _quarantined(
    chunks: Iterator[LazyRows | Refusal], contract: Contract
) -> Iterator[LazyRows | Refusal]:
    """Move rows with undecodable bytes to the malformed ones, if the contract rejects such rows."""
    for read in chunks:
        if isinstance(read, Refusal) or contract.encoding_errors == "refuse":
            yield read
        else:
            yield functools.partial(_decodable, read, contract.encoding)


def _read_rows(
    lines: Iterator[Lines | Refusal],
    width: int,
    contract: Contract,
    footer: FooterCount,
    *,
    is_end: bool,
) -> Iterator[LazyRows | Refusal]:
    """Read lines of CSV as `_read_chunks` does; leave out and count those of the footer."""
    dialect = contract.dialect
    layout = _Layout(width, contract.distinguishes_quoted_empty)
    chunks = with_tail(lines, dialect.footer) if dialect.footer and is_end else lines
    first, text = 1, b""
    refusal = None
    for each in chunks:
        if isinstance(each, Refusal):
            refusal = each
            break
        first, text = (first, text + each.text) if text else (each.first, each.text)
        rules = grammar(dialect, text)
        if rules is None:
            refusal = _NO_SUBSTITUTE
            break
        if isinstance(each, Tail):
            begin = _begin_of_footer(rules, text, len(text) - len(each.text))
            footer.add(text[begin:])
            text = text[:begin]
            break
        if len(text) == len(each.text) and is_plain(text, dialect):
            yield functools.partial(_read_lines, each, layout, rules)
            text = b""
            continue
        records = find_records(rules, rules.encoded(_ended(text)), final=not text.endswith(b"\n"))
        yield functools.partial(_read_records, first, records, layout, rules)
        first += newlines(records.text[: records.end])
        text = rules.decoded(records.text[records.end :])
    if text and (rules := grammar(dialect, text)):
        records = find_records(rules, rules.encoded(_ended(text)), final=True)
        yield functools.partial(_read_records, first, records, layout, rules)
    if refusal:
        yield refusal


def _read_objects(
    chunks: Iterator[Lines | Refusal], contract: Contract, *, is_start: bool
) -> Iterator[LazyRows | Refusal]:
    """Read JSON lines as rows with the columns of the contract; a refusal is the last item."""
    objects = Objects(contract)
    first: tuple[int, bytes] | None = None
    is_ours = False
    for lines in chunks:
        if isinstance(lines, Refusal):
            yield lines
            return
        read = functools.partial(_rows_of_objects, lines, objects)
        if is_ours:
            yield read
            continue
        text = lines.text.lstrip(b" \t\r\n")
        if first is None and text:
            line = text.partition(b"\n")[0]
            first = lines.first + lines.text.count(b"\n", 0, -len(text)), line
            if is_start and (reason := objects.refusal(line.decode(errors="replace"))):
                yield Refusal(f"line {first[0]} {reason}")
                return
        # Until a line has a column of the contract, the file may be another one.
        rows = read()
        rules = {*rows.malformed["rule"].unique().to_pylist()}
        is_ours = len(rows.lines) > 0 or not rules <= {json_lines.RULE}
        yield functools.partial(_unchanged, rows)
    if first and not is_ours:
        yield Foreign(objects.mismatch(*first))


def _rows_of_objects(lines: Lines, objects: Objects) -> Rows:
    text = _ended(lines.text)
    spans = _Spans.of_lines(text)
    numbers = lines.first + np.arange(len(spans.ends))
    schema = pa.schema([(str(index), pa.string()) for index in range(objects.width)])
    rows, malformed = [schema.empty_table()], [_MALFORMED.empty_table()]
    good = np.zeros(len(numbers), np.bool_)
    for begin in range(0, len(numbers), _BATCH):
        part = np.arange(begin, min(begin + _BATCH, len(numbers)))
        bounds = zip(spans.begins[part].tolist(), spans.ends[part].tolist(), strict=True)
        found = [*objects.read(text[slice(*each)] for each in bounds)]
        values = [each for each in found if isinstance(each, list)]
        faults = {
            i: each for i, each in enumerate(found, begin) if isinstance(each, json_lines.Fault)
        }
        good[part] = [isinstance(each, list) for each in found]
        if values:
            columns = [pa.array(each, pa.string()) for each in zip(*values, strict=True)]
            rows.append(pa.Table.from_arrays(columns, schema=schema))
        if faults:
            bad = np.array([*faults])
            texts = zip(*((each.rule, each.reason) for each in faults.values()), strict=True)
            why = [pa.array(each, pa.string()).dictionary_encode() for each in texts]
            arrays = [pa.array(numbers[bad]), spans[bad].texts(), *why]
            malformed.append(pa.Table.from_arrays(arrays, schema=_MALFORMED))
    kept = np.flatnonzero(good)
    return Rows(
        pa.array(numbers[kept], pa.int64()),
        [column.combine_chunks() for column in pa.concat_tables(rows).columns],
        lambda chosen: spans[kept[chosen]].texts(),
        pa.concat_tables(malformed),
    )


def _unchanged(rows: Rows) -> Rows:
    return rows


def _begin_of_footer(rules: Grammar, text: bytes, tail: int) -> int:
    """Return where the footer begins in a text that ends with the tail from the byte `tail` on."""
    footer = rules.dialect.footer
    if footer is None or footer.pattern is None:
        return tail
    is_begin = beginning(footer.pattern)
    encoded = rules.encoded(_ended(text))
    least = len(rules.encoded(text[:tail]))
    lines = np.append(0, np.flatnonzero(np.frombuffer(encoded, np.uint8) == _LF) + 1)
    lines = lines[(lines >= least) & (lines < len(encoded))]
    for begin, end in find_records(rules, encoded, final=True).spans:
        if end > least:
            # A line inside a record is part of a quoted value.
            records = begin + np.append(0, ends_of(rules, encoded[begin:end]))
            lines = lines[(lines < begin) | (lines >= end) | np.isin(lines, records)]
    for begin in lines.tolist():
        line = rules.decoded(encoded[begin : encoded.index(b"\n", begin)])
        if is_begin(line.rstrip(b"\r")):
            return len(rules.decoded(encoded[:begin]))
    return len(text)


def is_plain(text: bytes, dialect: Dialect) -> bool:
    """Return whether each line of a text is a row or damaged."""
    marks = (dialect.quote_char, dialect.escape_char, dialect.comment_char)
    return (
        len(dialect.delimiter) == 1
        and not dialect.skip_initial_space
        and not any(mark is not None and mark.encode() in text for mark in marks)
    )


def _read_lines(lines: Lines, layout: _Layout, rules: Grammar) -> Rows:
    """Read a chunk in which each line is a row or damaged."""
    text = _ended(lines.text)
    # Arrow removes a byte order mark from the first value of any chunk.
    if not text.startswith(codecs.BOM_UTF8):
        spans = _Spans.of_lines(text)
        parsed = _parsed(text, layout, rules, is_quoted=False)
        # For Arrow, a lone carriage return ends a line, and a blank line is a row of empty values.
        is_row = parsed is not None and len(parsed[0][0]) + len(parsed[1]) == len(spans.ends)
        if parsed and is_row and not _any_blank(parsed[0]):
            return _rows(lines.first, spans, spans, parsed, [], layout.width, rules)
    return _read_records(lines.first, find_records(rules, text, final=True), layout, rules)


def _read_records(first: int, records: Records, layout: _Layout, rules: Grammar) -> Rows:
    text = b"".join(records.text[begin:end] for begin, end in records.spans)
    lines = _Spans.of_lines(records.text)
    ends = lines.ends if records.are_lines else ends_of(rules, text)
    begins = np.append(0, ends)[:-1]
    blank = is_blank(rules, text, begins)
    if blank.any():
        begins, ends = begins[~blank], ends[~blank]
    gapless = without_gaps(rules, text)
    parsed = _parsed(gapless, layout, rules, is_quoted=True)
    if parsed is None:
        counts = value_counts(rules, text, begins, ends)
        if rules.dialect.trailing_delimiter:
            counts = counts - has_surplus(rules, gapless, layout.width)
        parsed = _parsed_good(_Spans(text, begins, ends), counts, layout, rules)
    spans = _Spans(records.text, begins, ends)
    if not records.are_lines:
        # From the text of all spans back to the whole text.
        bounds = np.array(records.spans, np.intp).reshape(-1, 2)
        offsets = np.cumsum(np.append(0, bounds[:, 1] - bounds[:, 0]))
        shifts = (bounds[:, 0] - offsets[:-1])[np.searchsorted(offsets, begins, "right") - 1]
        spans = _Spans(records.text, begins + shifts, ends + shifts)
    elif not blank.any():
        spans = lines
    return _rows(first, spans, lines, parsed, records.damages, layout.width, rules)


def _parsed_good(records: "_Spans", counts: Indices, layout: _Layout, rules: Grammar) -> _Parsed:
    """Do the same as `_parsed` with records whose numbers of values are known."""
    is_good = counts == layout.width
    good = records[is_good].pieces().buffers()[2].to_pybytes()
    columns, _ = _parsed(without_gaps(rules, good), layout, rules, is_quoted=True) or ([], {})
    bad = np.flatnonzero(~is_good)
    return columns, dict(zip(bad.tolist(), counts[bad].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Spans:
    """Parts of a text, in order: at which bytes they begin and end, the line ends included."""

    text: bytes
    begins: Positions
    ends: Positions

    @classmethod
    def of_lines(cls, text: bytes) -> "_Spans":
        """Return the lines of a text that ends with a newline."""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _LF) + 1
        return cls(text, np.append(0, ends)[:-1], ends)

    def __getitem__(self, chosen: Indices | npt.NDArray[np.bool_]) -> "_Spans":
        return _Spans(self.text, self.begins[chosen], self.ends[chosen])

    def texts(self) -> pa.StringArray:
        """Return the parts without their line ends."""
        codes = np.frombuffer(self.text, np.uint8)
        ends = self.ends - (codes[self.ends - 1] == _LF)
        ends = ends - ((ends > self.begins) & (codes[ends - 1] == _CR))
        return _Spans(self.text, self.begins, ends).pieces()

    def pieces(self) -> pa.StringArray:
        """Return the parts one after the other."""
        # Arrow divides the whole text into the parts and what is between them.
        count = 2 * len(self.begins)
        offsets = np.empty(count + 1, np.int32)
        offsets[0:-1:2], offsets[1::2], offsets[-1] = self.begins, self.ends, len(self.text)
        buffers = pa.py_buffer(offsets), pa.py_buffer(self.text)
        pieces = pa.StringArray.from_buffers(count, *buffers)
        return pieces.take(pa.array(np.arange(0, count, 2, dtype=np.int32)))


def _rows(
    first: int,
    spans: _Spans,
    all_lines: _Spans,
    parsed: _Parsed,
    damages: list[Damage],
    width: int,
    rules: Grammar,
) -> Rows:
    """Return the records of `spans`, which are `parsed`, as rows.

    `all_lines` are the lines of its text.
    """
    columns, wrong = parsed

    def places(parts: _Spans) -> Indices:
        return np.searchsorted(all_lines.begins, parts.begins)

    # Most often, each line is a record.
    numbers = np.arange(len(spans.begins)) if spans is all_lines else places(spans)
    is_good = np.ones(len(spans.begins), np.bool_)
    is_good[list(wrong)] = False
    good, bad, numbers = spans[is_good], spans[~is_good], numbers[is_good]
    empty = np.zeros(len(good.begins), np.bool_)
    if rules.dialect.skip_empty_rows:
        empty = _is_empty(columns).to_numpy(zero_copy_only=False)
    if empty.any():
        good, numbers = good[~empty], numbers[~empty]
        columns = [column.filter(pa.array(~empty)) for column in columns]
    damaged, kinds = _damaged_lines(all_lines, damages)
    kinds = np.append(np.array(list(wrong.values()), np.int64), kinds)
    begins, ends = np.append(bad.begins, damaged.begins), np.append(bad.ends, damaged.ends)
    order = np.argsort(begins, kind="stable")
    malformed = _Spans(spans.text, begins[order], ends[order])

    def raw_texts(rows: Indices) -> pa.StringArray:
        return _decoded(good[rows].texts(), rules)

    raws = _decoded(malformed.texts(), rules)
    table = _malformed(pa.array(first + places(malformed)), raws, kinds[order], width)
    values = [_decoded(each, rules) for each in columns]
    return Rows(pa.array(first + numbers), values, raw_texts, table, int(empty.sum()))


def _damaged_lines(
    all_lines: _Spans, damages: list[Damage]
) -> tuple[_Spans, npt.NDArray[np.int64]]:
    """Return the damaged lines, and for each the negative index of its fault."""
    bounds = np.array([each[:2] for each in damages], np.intp).reshape(-1, 2)
    first, last = np.searchsorted(all_lines.begins, bounds).T
    lines = np.repeat(first, last - first) + _ranges(last - first)
    faults = np.array([-1 - _FAULTS.index(each.fault) for each in damages], np.int64)
    return (
        all_lines[lines],
        np.repeat(faults, last - first),
    )


def _ranges(counts: Indices) -> Indices:
    """Return 0, 1, … for each count, in a row."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _malformed(
    lines: pa.Int64Array, raws: pa.StringArray, kinds: npt.NDArray[np.int64], width: int
) -> pa.Table:
    encoded = pa.array(kinds).dictionary_encode()
    rules, reasons = [], []
    for kind in encoded.dictionary.to_pylist():
        if kind > 0:
            rules.append("columnCount")
            reasons.append(f"{kind} value{'s' * (kind != 1)} instead of {width}")
        else:
            rules.append("quoting")
            reasons.append(f"the row cannot be read: {_FAULTS[-1 - kind]}")
    return pa.Table.from_arrays(
        [
            lines,
            raws,
            *(
                pa.DictionaryArray.from_arrays(encoded.indices, pa.array(each, pa.string()))
                for each in (rules, reasons)
            ),
        ],
        schema=_MALFORMED,
    )


def _parsed(text: bytes, layout: _Layout, rules: Grammar, *, is_quoted: bool) -> _Parsed | None:
    """Return what `_values` does, but without surplus values."""
    if not rules.dialect.trailing_delimiter:
        return _values(text, layout, rules, is_quoted=is_quoted)
    text = with_trailing_delimiters(rules, text, layout.width)
    parsed = _values(text, layout._replace(width=layout.width + 1), rules, is_quoted=is_quoted)
    if parsed is None:
        return None
    columns, wrong = parsed
    return columns[:-1], {index: count - 1 for index, count in wrong.items()}


def _values(text: bytes, layout: _Layout, rules: Grammar, *, is_quoted: bool) -> _Parsed | None:
    """Let Arrow parse records; return the columns, and how many values each other record has.

    None: more than `_FEW` records have a wrong number of values.
    """
    names = [str(i) for i in range(layout.width)]
    text = undecodable.masked(text)
    if not text:
        return [pa.array([], pa.string()) for _ in names], {}
    wrong: dict[int, int] = {}
    dialect = rules.dialect
    # A blank line in front keeps a byte order mark in the first value.
    has_mark = text.startswith(codecs.BOM_UTF8)

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        wrong[row.number - 1 - has_mark] = row.actual_columns
        return "skip" if len(wrong) <= _FEW else "error"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(b"\n" + text if has_mark else text),
            read_options=pyarrow.csv.ReadOptions(
                column_names=names,
                use_threads=False,
                block_size=len(text) + 2,
                skip_rows=int(has_mark),
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=rules.delimiter.decode(),
                invalid_row_handler=skip,
                quote_char=(is_quoted and dialect.quote_char) or False,
                double_quote=dialect.double_quote,
                escape_char=(is_quoted and dialect.escape_char) or False,
                newlines_in_values=is_quoted,
                # Arrow sees a blank line between two carriage returns at the end of a line.
                ignore_empty_lines=is_quoted,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=layout.has_nulls,
                quoted_strings_can_be_null=False,
                null_values=[""],
                check_utf8=False,  # it was checked before
            ),
        )
    except pa.ArrowInvalid:
        if len(wrong) <= _FEW:
            raise
        return None
    # To combine a single chunk would copy it.
    chunks = (column.chunks for column in table.columns)
    return [each[0] if len(each) == 1 else pa.concat_arrays(each) for each in chunks], wrong


def _decoded(texts: pa.StringArray, rules: Grammar) -> pa.StringArray:
    """Return encoded texts as they are in the file."""
    dialect = rules.dialect
    if len(dialect.delimiter) > 1:
        texts = pc.replace_substring(texts, rules.delimiter.decode(), dialect.delimiter)
    if dialect.line_terminator == "\r":
        valid, offsets, data = texts.buffers()
        swapped = pa.py_buffer(dialect.swapped(bytes(data or b"")))
        texts = pa.StringArray.from_buffers(
            len(texts), offsets, swapped, valid, texts.null_count, texts.offset
        )
    return texts


def _decodable(read: LazyRows, encoding: str) -> Rows:
    """Return the rows with those that have undecodable bytes among the malformed ones."""
    rows = read()
    masked = (_contains(column, undecodable.MASKED_MARK) for column in rows.columns)
    bad = np.flatnonzero(functools.reduce(np.logical_or, masked))
    raws = rows.raw_texts(bad)
    bad = bad[is_bad := _contains(raws, undecodable.MARK)]
    malformed = rows.malformed
    is_malformed = _contains(malformed["raw"].combine_chunks(), undecodable.MARK)
    if not len(bad) and not is_malformed.any():
        return rows
    raws = [raws.filter(is_bad), *malformed["raw"].filter(is_malformed).chunks]
    lines = [rows.lines.take(bad), *malformed["line"].filter(is_malformed).chunks]
    texts = pa.table(
        {"line": pa.chunked_array(lines), "raw": pa.chunked_array(raws).cast(pa.binary())}
    )
    undecoded = [_undecoded(batch, encoding) for batch in texts.to_batches(_BATCH)]
    malformed = malformed.filter(~is_malformed)
    good = np.delete(np.arange(len(rows.lines)), bad)
    return replace(
        rows,
        lines=rows.lines.take(good),
        columns=[column.take(good) for column in rows.columns],
        raw_texts=lambda chosen: rows.raw_texts(good[chosen]),
        malformed=pa.concat_tables([malformed, *undecoded], promote_options="default"),
    )


def _undecoded(rows: pa.RecordBatch, encoding: str) -> pa.Table:
    """Return malformed rows for the lines and the raw UTF-8 of rows with undecodable bytes."""
    raws = rows["raw"].dictionary_encode()  # the same few rows may repeat
    texts = [raw.decode("utf-8", "surrogatepass") for raw in raws.dictionary.to_pylist()]
    columns = {
        "raw": [undecodable.shown(text) for text in texts],
        "rule": [undecodable.RULE] * len(texts),
        "reason": [
            f"{undecodable.fault(text, encoding)}; send the row as {encoding}" for text in texts
        ],
        "rawBase64": [
            base64.b64encode(undecodable.encoded(text, encoding)).decode() for text in texts
        ],
    }
    repeated = {name: pa.array(each).take(raws.indices) for name, each in columns.items()}
    return pa.table({"line": rows["line"], **repeated}).cast(_UNDECODABLE)


def _contains(texts: pa.StringArray, expression: bytes) -> npt.NDArray[np.bool_]:
    """Return which texts have bytes that match an expression."""
    data = texts.buffers()[2]
    if data is None or re.search(expression, data) is None:
        return np.zeros(len(texts), np.bool_)
    found = pc.match_substring_regex(texts.cast(pa.binary()), expression).fill_null(False)
    return found.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _ended(text: bytes) -> bytes:
    return text if text.endswith(b"\n") else text + b"\n"


def _is_empty(columns: list[pa.StringArray]) -> pa.BooleanArray:
    return functools.reduce(pc.and_, (pc.equal(column.fill_null(""), "") for column in columns))


def _any_blank(columns: list[pa.StringArray]) -> bool:
    return bool(pc.any(_is_empty(columns)).as_py())
