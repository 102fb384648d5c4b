"""Reject records: the details that the supplier of a file needs to correct a row."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.ingestion import Source
from shared.rows import REPEATED
from shared.spreadsheet import RISKY, escaped

SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("column", REPEATED),
        ("value", pa.string()),
        ("rule", REPEATED),
        ("severity", REPEATED),
        ("reason", REPEATED),
        ("raw", REPEATED),
        ("rawBase64", pa.string()),
    ]
)
"""One failed rule of one row; `line` is the physical line in the file, `raw` the row's text.

`column` and `value` are null if the rule is about the whole row. `rawBase64` is the row's bytes if
some cannot be decoded, otherwise null. A row with a reject of severity `error` is not loaded. A row
with warnings only is.
"""
FIELDS = ("sourceKey", "versionId", *SCHEMA.names)
"""The fields of a record in `rejects.jsonl`, which leaves out `rawBase64` if it is null."""
CSV_HEADER = ",".join(FIELDS[:-1]).encode() + b"\r\n"
_BATCH_BYTES = 16 * 1024**2
_RECORD_BYTES = 500  # of a record besides its value and its row
_CONTROLS = {code: json.dumps(chr(code))[1:-1] for code in range(ord(" "))}
_QUOTED = [*b',"\r\n']  # characters of cells that need quotes


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of both files."""

    json: pa.Buffer
    csv: pa.Buffer


class RejectFiles:
    """Writer of `rejects.jsonl`, the exact records, and `rejects.csv`, for spreadsheets.

    The latter has no `rawBase64`.
    """

    def __init__(self, folder: Path, source: Source) -> None:
        self.jsonl = folder / "rejects.jsonl"
        self.csv = folder / "rejects.csv"
        self._source = source

    def __enter__(self) -> Self:
        self._jsonl = self.jsonl.open("wb")
        self._csv = self.csv.open("wb")
        self._csv.write(CSV_HEADER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._jsonl.close()
        self._csv.close()

    def write(self, lines: Lines) -> None:
        """Append lines to both files."""
        self._jsonl.write(lines.json)
        self._csv.write(lines.csv)

    def lines_of(self, rejects: pa.Table) -> Lines:
        """Return the lines of records of the schema `SCHEMA`."""
        *columns, base64 = (column.combine_chunks() for column in rejects.columns)
        for text in (self._source.version_id, self._source.key):
            columns.insert(0, repeated(text, len(rejects)))
        names = [f', "{name}": ' for name in FIELDS[:-1]]
        objects = [pc.fill_null(of_each(column, _as_json), "null") for column in columns]
        bytes_of_row = pc.fill_null(_joined(', "rawBase64": "', base64, '"'), "")
        cells = [pc.fill_null(of_each(column, _as_cell), "") for column in columns]
        return Lines(
            _lines(["{" + names[0][2:], *names[1:], ""], [*objects, bytes_of_row], "}\n"),
            _lines(["", *[","] * (len(cells) - 1)], cells, "\r\n"),
        )


def batches(rejects: pa.Table) -> Iterator[pa.Table]:
    """Divide rejects into tables of about 16 MiB of text at most, or one record."""
    sizes = sum(
        of_each(rejects[name].combine_chunks(), pc.binary_length).fill_null(0).to_numpy()
        for name in ("value", "raw", "rawBase64")
    )
    numbers = np.cumsum(sizes + np.int64(_RECORD_BYTES)) // _BATCH_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(rejects)]
    for begin, end in itertools.pairwise(bounds if len(rejects) else []):
        yield rejects.slice(begin, end - begin)


def by_line(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of tables of one schema, sorted by `line`, otherwise in the same order."""
    table = pa.concat_tables(tables).combine_chunks()
    lines = table["line"].to_numpy()
    is_sorted = np.all(lines[1:] >= lines[:-1])
    return table if is_sorted else table.take(np.argsort(lines, kind="stable"))


def repeated(text: str, times: int) -> pa.DictionaryArray:
    """Return a column in which a text repeats."""
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), [text])


def of_each(values: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Apply a function to values, or to those in their dictionary if they are fewer."""
    if not pa.types.is_dictionary(values.type):
        return function(values)
    if len(values.dictionary) > len(values):
        return function(values.dictionary_decode())
    return function(values.dictionary).take(values.indices)


def _as_json(texts: pa.Array) -> pa.StringArray:
    if pa.types.is_integer(texts.type):
        return texts.cast(pa.string())
    data = _bytes(texts)
    for character in '\\"':
        if np.any(data == ord(character)):
            texts = pc.replace_substring(texts, character, "\\" + character)
    if np.any(data < ord(" ")):
        texts = _changed(texts, r"[\x00-\x1f]", lambda text: text.translate(_CONTROLS))
    return _joined('"', texts, '"')


def _as_cell(texts: pa.Array) -> pa.StringArray:
    if pa.types.is_integer(texts.type):
        return texts.cast(pa.string())
    texts = _changed(texts, RISKY, escaped)
    data = _bytes(texts)
    if not any(np.any(data == character) for character in _QUOTED):
        return texts
    quoted = pc.replace_substring(texts, '"', '""') if np.any(data == ord('"')) else texts
    must = pc.match_substring_regex(texts, '[,"\r\n]')
    return pc.if_else(must, _joined('"', quoted, '"'), texts)


def _bytes(texts: pa.StringArray) -> npt.NDArray[np.uint8]:
    """Return at least the bytes of texts. What does not occur in them need not be searched."""
    return np.frombuffer(texts.buffers()[2] or b"", np.uint8)


def _changed(texts: pa.StringArray, pattern: str, function: Callable[[str], str]) -> pa.StringArray:
    """Apply a function to the texts in which a pattern occurs."""
    chosen = pc.match_substring_regex(texts, pattern).fill_null(False)
    changed = [function(each) for each in texts.filter(chosen).to_pylist()]
    return pc.replace_with_mask(texts, chosen, pa.array(changed, pa.string()))


def _joined(*texts: pa.StringArray | str) -> pa.StringArray:
    return pc.binary_join_element_wise(*texts, "")


def _lines(before: list[str], values: list[pa.StringArray], end: str) -> pa.Buffer:
    """Return a line of values, each with a text before it, for each record."""
    lines = _joined(*itertools.chain.from_iterable(zip(before, values, strict=True)), end)
    _, offsets, data = lines.buffers()
    return data[: np.frombuffer(offsets, np.int32)[len(lines)]]
