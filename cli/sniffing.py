"""The form of a file, found from a sample of it: encoding, dialect and names of the columns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cli.items import many
from cli.readings import best
from cli.sample import Sample, encoding_of, lines_of, sample_of
from cli.structure import Structure
from shared.contract import MAX_COLUMNS, Column, Contract, HeaderPolicy
from shared.dialect import Dialect
from shared.lines import Refusal, long_line
from shared.rows import read_table

__all__ = ["Sample", "Sniffed", "sample_of", "sniff"]

_LONGEST_LINE = 1 << 19
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
    """

    encoding: str
    dialect: Dialect
    header_policy: HeaderPolicy
    names: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def properties(self) -> dict[str, Any]:
        """The table's custom properties that differ from the defaults, by name, as in a contract.

        Those are `encoding`, `dialect` and `headerPolicy`.
        """
        found: dict[str, Any] = {} if self.encoding == "utf-8" else {"encoding": self.encoding}
        for name, model in (("dialect", self.dialect), ("headerPolicy", self.header_policy)):
            if value := model.model_dump(mode="json", by_alias=True, exclude_defaults=True):
                found[name] = value
        return found

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
            encoding=self.encoding,
            dialect=self.dialect,
            header_policy=self.header_policy,
        )


def sniff(sample: Sample) -> Sniffed | Refusal:
    """Return the form of a file, or why it cannot be found."""
    encoding = encoding_of(sample)
    if isinstance(encoding, Refusal):
        return encoding
    text, end = lines_of(sample, encoding)
    feeds, returns = text.count(b"\n"), text.count(b"\r")
    dialect = Dialect(line_terminator="\r" if returns > 2 * feeds else "\r\n")
    text, end = (dialect.swapped(each).rstrip(_END_OF_FILE) for each in (text, end))
    if not text or long_line(text, _LONGEST_LINE) is not None:
        return Refusal(
            f"a line is longer than {_LONGEST_LINE // 1024} KiB: end each row with a line end"
        )
    reading = best(text, dialect, is_whole=sample.is_whole)
    if reading is None:
        return Refusal("the file has no rows: use a file with rows")
    if reading.width > MAX_COLUMNS:
        return Refusal(
            f"the file has {reading.width:,} columns, but the maximum of a table is "
            f"{MAX_COLUMNS:,}: split it"
        )
    table = Structure(reading, end, is_whole=sample.is_whole)
    found = Sniffed(
        encoding.name,
        table.dialect,
        table.header_policy,
        table.names,
        (_extent(sample), encoding.evidence, *table.evidence),
        (*encoding.doubts, *table.doubts),
    )
    return replace(found, doubts=(*found.doubts, *_rejected(found, text)))


def _extent(sample: Sample) -> str:
    if sample.is_whole:
        return f"The whole file was examined: {sample.size:,} bytes."
    return (
        f"Of {sample.size:,} bytes, the first {len(sample.begin):,} and the last "
        f"{len(sample.end):,} were examined."
    )


def _rejected(found: Sniffed, text: bytes) -> Iterator[str]:
    """Yield which rows of a sample the pipeline would reject, as one sentence."""
    # The footer is at the end of the file, which may be elsewhere.
    dialect = found.dialect.model_copy(update={"line_terminator": "\r\n", "footer": None})
    table = read_table([text], replace(found, encoding="utf-8", dialect=dialect).contract)
    if isinstance(table, Refusal):
        yield f"The file would be refused: {table.reason}."
        return
    rows = [each() for each in table.chunks if not isinstance(each, Refusal)]
    wrong = [row for each in rows for row in each.malformed.to_pylist()]
    if wrong:
        count = sum(len(each.lines) for each in rows) + len(wrong)
        yield (
            f"{many(len(wrong), 'row')} of {count:,} would be rejected, the first at line "
            f"{wrong[0]['line']}: {wrong[0]['reason']}."
        )
