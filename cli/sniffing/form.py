"""The form of a file: its encoding, its dialect and the names of its columns."""

import io
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cli.items import many
from cli.sniffing.readings import best
from cli.sniffing.sample import Sample, encoding_of, lines_of
from cli.sniffing.structure import Structure
from shared.column import Column
from shared.contract import MAX_COLUMNS, Contract, HeaderPolicy
from shared.dialect import Dialect
from shared.file_types import FileFormat, type_of_text
from shared.frame import sep
from shared.lines import long_line
from shared.rows import read_table
from shared.undecodable import EncodingErrors
from shared.verdict import Refusal

_FOUND = {"encoding", "encoding_errors", "file_format", "dialect", "header_policy"}
"""The properties of a contract that are found."""
_LONGEST_LINE = 1 << 19
"""Half of the sample, so that it has at least one line."""
_END_OF_FILE = b"\x1a"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The form of a file.

    Attributes:
        encoding: the name of a Python codec.
        dialect: how the file separates records and values, and what surrounds them.
        header_policy: by position if names in the header are missing or repeated.
        names: a name for each column, none empty or repeated. They are those of the header if it
            has good ones.
        evidence: why, one sentence each.
        doubts: what a person should look at, one sentence each.
        encoding_errors: what a byte that is no character costs.
        file_format: CSV or JSON lines, whose names are the keys of all objects.
    """

    encoding: str
    dialect: Dialect
    header_policy: HeaderPolicy
    names: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    encoding_errors: EncodingErrors = "refuse"
    file_format: FileFormat = "csv"

    @property
    def properties(self) -> dict[str, Any]:
        """The custom properties of the table, as in a contract, without defaults."""
        return self.contract.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, include=_FOUND
        )

    @property
    def contract(self) -> Contract:
        """A contract for reading the file, in which each column is text."""
        return Contract(
            table="sample",
            relation="sample",
            version="1.0.0",
            columns=tuple(
                Column(
                    name=name,
                    physical_name=f"c{number}",
                    logical_type="string",
                    physical_type="text",
                )
                for number, name in enumerate(self.names, start=1)
            ),
            **{name: getattr(self, name) for name in _FOUND},
        )


def sniff(sample: Sample | Refusal) -> Sniffed | Refusal:
    """Return the form of a file, or why it cannot be found."""
    if isinstance(sample, Refusal):
        return sample
    encoding = encoding_of(sample)
    if isinstance(encoding, Refusal):
        return encoding
    text, end = lines_of(sample, encoding)
    found = _json_lines(text) or _csv(text, end, is_whole=sample.is_whole)
    if isinstance(found, Refusal):
        return found
    found = replace(
        found,
        encoding=encoding.name,
        encoding_errors=encoding.damage,
        evidence=(_extent(sample), encoding.evidence, *found.evidence),
        doubts=(*encoding.doubts, *found.doubts),
    )
    return replace(found, doubts=(*found.doubts, *_rejected(found, text, is_whole=sample.is_whole)))


def _csv(text: bytes, end: bytes, *, is_whole: bool) -> Sniffed | Refusal:
    """Return the form of a CSV file, of which `end` is the end unless the text is all of it."""
    if kind := type_of_text(text, "csv"):
        return Refusal(f"the file {kind}")
    ends = Counter(each[-1:] for each in re.findall(rb"\n|\r+\n?", text))
    dialect = Dialect(line_terminator="\r" if ends[b"\r"] > ends[b"\n"] else "\r\n")
    text, end = (dialect.swapped(each).rstrip(_END_OF_FILE) for each in (text, end))
    if long_line(text, _LONGEST_LINE) is not None or not (text or is_whole):
        return Refusal(
            f"a line is longer than {_LONGEST_LINE // 1024} KiB: end each row with a line end"
        )
    told = sep(text)
    if told:
        text = text[text.find(b"\n") :]  # an empty line keeps the numbers of lines
    reading = best(text, dialect, told, is_whole=is_whole)
    if reading is None or not text.strip():
        return Refusal("the file has no rows: use a file with rows")
    if reading.width > MAX_COLUMNS:
        return Refusal(
            f"the file has {reading.width:,} columns, but the maximum of a table is "
            f"{MAX_COLUMNS:,}: split it"
        )
    table = Structure(reading, end, is_whole=is_whole)
    return Sniffed(
        "utf-8",
        table.dialect,
        table.header_policy,
        table.names,
        tuple(table.evidence),
        tuple(table.doubts),
    )


def _json_lines(text: bytes) -> Sniffed | None:
    """Return the form of JSON lines; None if the first line is no JSON object."""
    lines = filter(bytes.strip, io.BytesIO(text))
    first = keys_of(next(lines, b""))
    if not first:
        return None
    found = [first, *map(keys_of, lines)]
    objects = [keys for keys in found if keys is not None]
    names = dict.fromkeys(itertools.chain.from_iterable(objects))
    if "" in names:
        return None
    evidence = f"{len(objects):,} of the first {many(len(found), 'line')} are JSON objects."
    return Sniffed(
        "utf-8", Dialect(), HeaderPolicy(), tuple(names), (evidence,), file_format="jsonLines"
    )


def keys_of(line: bytes) -> list[str] | None:
    """Return the keys of a JSON object in the form NFC; None if the line is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return [unicodedata.normalize("NFC", key) for key in found] if isinstance(found, dict) else None


def _extent(sample: Sample) -> str:
    if sample.is_whole:
        return f"The whole file was examined: {sample.size:,} bytes."
    return (
        f"Of {sample.size:,} bytes, the first {len(sample.begin):,} and the last "
        f"{len(sample.end):,} were examined."
    )


def _rejected(found: Sniffed, text: bytes, *, is_whole: bool) -> Iterator[str]:
    """Yield which rows of a text the pipeline would reject, as one sentence."""
    dialect = found.dialect
    if dialect.footer and not is_whole:
        dialect = dialect.model_copy(update={"footer": None})
    plain = replace(found, encoding="utf-8", encoding_errors="refuse", dialect=dialect)
    table = read_table([text], plain.contract)
    if isinstance(table, Refusal):
        yield f"The file would be refused: {table.reason}."
        return
    for chunk in table.chunks:  # one, because the text is one chunk
        if isinstance(chunk, Refusal):
            yield f"The file would be refused: {chunk.reason}."
            continue
        rows = chunk()
        if len(rows.malformed):
            first = rows.malformed.slice(0, 1).to_pylist()[0]
            yield (
                f"{many(len(rows.malformed), 'row')} of {len(rows.lines) + len(rows.malformed):,} "
                f"would be rejected, the first at line {first['line']}: {first['reason']}."
            )
