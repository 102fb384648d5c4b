"""Rows that PostgreSQL may refuse, though their contract allows them.

PostgreSQL limits an entry of a B-tree index to 2,704 bytes and a row to 8,160, but compresses the
one and moves long values out of the other first, so only trying tells. What it refuses in the end
is quarantined with its words.
https://www.postgresql.org/docs/current/btree.html
https://www.postgresql.org/docs/current/storage-toast.html
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shared.contract import MAX_ROW_BYTES, Column, Contract

_INDEX_ENTRY = 2_704
_POINTER = 18
"""Bytes that a value takes in its row at least, once it has moved out; a shorter one stays."""


@dataclass(frozen=True, slots=True)
class Refusable:
    """A row, by its first line, and why PostgreSQL may refuse it."""

    line: int
    reason: str


def refusable(parts: Iterable[pa.Table], contract: Contract) -> Iterator[Refusable]:
    """Yield the rows that may be refused.

    Args:
        parts: the columns as staged, and `line`.
        contract: the table's.
    """
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
                    f"the index on {', '.join(index)} would get an entry of {found:,} bytes, and "
                    f"PostgreSQL takes {_INDEX_ENTRY:,} after compression",
                )
        stored = (pc.min_element_wise(each, _POINTER) for each in lengths.values())
        for line, found in _above(MAX_ROW_BYTES, functools.reduce(pc.add, stored), part):
            yield Refusable(
                line,
                f"it would take {found:,} bytes even with its long values moved out, and "
                f"PostgreSQL takes {MAX_ROW_BYTES:,}",
            )


def _bytes(column: Column, part: pa.Table) -> pa.ChunkedArray:
    values = part[column.physical_name]
    size = column.limits.least_bytes
    if column.type.is_text:
        size = pc.add(pc.binary_length(values), size)
    return pc.if_else(pc.is_valid(values), size, 0).cast(pa.int64())


def _above(limit: int, sizes: pa.ChunkedArray, part: pa.Table) -> Iterator[tuple[int, int]]:
    found = pc.greater(sizes, limit)
    return zip(part["line"].filter(found).to_pylist(), sizes.filter(found).to_pylist(), strict=True)
