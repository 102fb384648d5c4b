"""Rows that PostgreSQL may refuse although their contract allows them.

PostgreSQL limits a B-tree index entry to 2,704 bytes and a row to 8,160 bytes. It first compresses
index entries and moves long values out of the row, so the size of a value alone does not decide.
The pipeline quarantines refused rows with PostgreSQL's message.
https://www.postgresql.org/docs/current/btree.html
https://www.postgresql.org/docs/current/storage-toast.html
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shared.column import Column
from shared.contract import MAX_ROW_BYTES, Contract

_INDEX_ENTRY = 2_704
_POINTER = 18  # bytes that a value takes in its row after it was moved out; shorter values stay


@dataclass(frozen=True, slots=True)
class Refusable:
    """A row that PostgreSQL may refuse: its first line and the reason."""

    line: int
    reason: str


def refusable(parts: Iterable[pa.Table], contract: Contract) -> Iterator[Refusable]:
    """Yield the rows of staged parts that PostgreSQL may refuse."""
    indexes = [*contract.indexes]
    if contract.lookup:
        indexes.append((contract.lookup.key, contract.lookup.order))
    for part in parts:
        lengths = {each.name: _bytes(each, part) for each in contract.columns}
        for index in indexes:
            size = functools.reduce(pc.add, (lengths[name] for name in index))
            for line, found in _above(_INDEX_ENTRY, size, part):
                yield Refusable(
                    line,
                    f"its entry in the index on {', '.join(index)} has {found:,} bytes before "
                    f"compression, and the limit is {_INDEX_ENTRY:,} after compression",
                )
        stored = (pc.min_element_wise(each, _POINTER) for each in lengths.values())
        for line, found in _above(MAX_ROW_BYTES, functools.reduce(pc.add, stored), part):
            yield Refusable(
                line,
                f"it has {found:,} bytes even with its long values moved out, and the limit is "
                f"{MAX_ROW_BYTES:,}",
            )


def _bytes(column: Column, part: pa.Table) -> pa.ChunkedArray:
    values = part[column.physical_name]
    size = column.limits.least_bytes
    if column.type.is_long:
        size = pc.add(pc.binary_length(values), size)
    return pc.if_else(pc.is_valid(values), size, 0).cast(pa.int64())


def _above(limit: int, sizes: pa.ChunkedArray, part: pa.Table) -> Iterator[tuple[int, int]]:
    found = pc.greater(sizes, limit)
    return zip(part["line"].filter(found).to_pylist(), sizes.filter(found).to_pylist(), strict=True)
