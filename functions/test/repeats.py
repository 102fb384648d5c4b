"""Finds rows that repeat an earlier row of a file, in constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared.line_set import LineSet

_RUN = 2**19
"""Rows in memory at a time."""
SLICES = 256
"""Parts into which a run is divided by hash. All runs are compared slice by slice."""
_LARGE = 4 * _RUN // SLICES
"""Rows of a slice that cannot all differ, because hashes are spread evenly."""
_LINE_BITS = np.uint64(40)
_LINE = np.uint64(2**40 - 1)
_NULL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
# pragma: allowlist nextline secret
_TEXT_KEYS = "0123456789abcdef", "fedcba9876543210"

_Words = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint64]
"""Two numbers for each row: 64 bits of its hash; 24 more bits, and its line in the other 40 bits.

In a file of 20 million rows, two different rows have the same 88 bits with a probability of 1e-12.
"""

NO_KEYS: Keys = np.empty((0, 2), np.uint64)


class Repeats:
    """The rows whose values equal those of an earlier row.

    The keys of all rows but the last are in a temporary file, in runs, if there are many. `lines`
    are the lines of the rows that repeat others, after `settle`.
    """

    def __init__(self, file: Path) -> None:
        """Keep rows in `file` if there are many. It must not exist."""
        self._file = file
        self._runs: list[npt.NDArray[np.int64]] = []
        self._pending: list[Keys] = []
        self.lines = LineSet()

    def add(self, keys: Keys) -> None:
        """Add the keys of the next rows."""
        self._pending.append(keys)
        if sum(map(len, self._pending)) >= _RUN:
            self._spill()

    def settle(self) -> None:
        """Compare the rows of all runs; the last call before those of `among`."""
        for _ in self.firsts():
            pass

    def firsts(self) -> Iterator[Keys]:
        """Do what `settle` does, and yield the keys of the other rows, slice by slice."""
        pending = self._slices()
        for number, rest in enumerate(pending):
            stored = (
                np.fromfile(
                    self._file,
                    np.uint64,
                    (bounds[number + 1] - bounds[number]) // 8,
                    offset=bounds[number],
                )
                for bounds in self._runs
            )
            yield self._noted(np.concatenate([*(each.reshape(-1, 2) for each in stored), rest]))

    def _spill(self) -> None:
        # Rows that are equal fill one slice, so the first of them replaces them.
        kept = [each if len(each) <= _LARGE else self._noted(each) for each in self._slices()]
        with self._file.open("ab") as file:
            self._runs.append(file.tell() + 16 * np.cumsum([0, *map(len, kept)]))
            file.writelines(each.data for each in kept)

    def _slices(self) -> list[Keys]:
        """Return the pending keys, divided by the first byte of the hash."""
        keys = np.concatenate([NO_KEYS, *self._pending])
        self._pending = []
        first = (keys[:, 0] >> np.uint64(56)).astype(np.uint8)
        # A stable sort of bytes takes linear time.
        keys = keys.take(np.argsort(first, kind="stable"), axis=0)
        return np.split(keys, np.cumsum(np.bincount(first, minlength=SLICES))[:-1])

    def _noted(self, keys: Keys) -> Keys:
        """Note the repeats among some rows; return the keys of the others."""
        firsts, lines = compared(keys)
        self.lines.add(lines)
        return firsts


def compared(keys: Keys) -> tuple[Keys, npt.NDArray[np.int64]]:
    """Return the keys of rows that do not repeat an earlier one, and the lines of those that do."""
    keys = keys.take(np.argsort(keys[:, 0]), axis=0)
    same = keys[1:, 0] == keys[:-1, 0]
    if not same.any():
        return keys, np.empty(0, np.int64)
    # Few rows have to be sorted by the rest of the hash and the line.
    group = np.flatnonzero(np.append(False, same) | np.append(same, False))
    members = keys.take(group, axis=0)
    keys[group] = members.take(np.lexsort((members[:, 1], members[:, 0])), axis=0)
    same &= keys[1:, 1] >> _LINE_BITS == keys[:-1, 1] >> _LINE_BITS
    lines = (keys[1:, 1][same] & _LINE).astype(np.int64)
    return keys.take(np.flatnonzero(np.append(True, ~same)), axis=0), lines


def keys_of(columns: Iterable[pa.Array], lines: pa.Int64Array) -> Keys:
    """Return the keys of rows; equal values of one type have equal keys. A null is a value."""
    high = np.full(len(lines), _NULL[0], np.uint64)
    low = np.full(len(lines), _NULL[1], np.uint64)
    for column in columns:
        for for_high, for_low in _words(column):
            high, low = _mixed(high ^ for_high), _mixed(low + for_low)
    return np.column_stack([high, low << _LINE_BITS | lines.to_numpy().view(np.uint64)])


def _words(values: pa.Array) -> Iterator[tuple[_Words, _Words]]:
    """Yield numbers that are equal if the values are; they differ if only one of them is null."""
    if pa.types.is_string(values.type):
        values = values.dictionary_encode()
    if pa.types.is_dictionary(values.type):
        texts = values.dictionary.to_numpy(zero_copy_only=False)
        places = values.indices.fill_null(len(texts)).to_numpy()
        high, low = (
            np.append(pd.util.hash_array(texts, hash_key=key, categorize=False), null)[places]
            for key, null in zip(_TEXT_KEYS, _NULL, strict=True)
        )
        yield high, low
        return
    for words in _bits_of(values):
        if not values.null_count:
            yield words, words
            continue
        is_null = values.is_null().to_numpy(zero_copy_only=False)
        yield np.where(is_null, _NULL[0], words), np.where(is_null, _NULL[1], words)


def _bits_of(values: pa.Array) -> list[_Words]:
    """Return the bits of values of a fixed width; those of nulls have no meaning."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    size = values.type.byte_width
    here = slice(values.offset * size, (values.offset + len(values)) * size)
    if size <= 8:
        return [np.frombuffer(values.buffers()[1][here], f"u{size}").astype(np.uint64)]
    words = np.frombuffer(values.buffers()[1][here], np.uint64).reshape(-1, size // 8)
    # 18 digits fit into the first word. The second one is the sign.
    return [words[:, 0]] if values.type.precision <= 18 else [*words.T]


def _mixed(hashes: _Words) -> _Words:
    """Mix the bits of each number in place, as SplitMix64 does; different ones stay different."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)
    return hashes
