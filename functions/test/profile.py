"""Profile of the clean rows: nulls, minimum and maximum per column; exact repeats."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shared.text import bounded

_NULL = 0x9E3779B97F4A7C15
_PRIME = np.uint64(0x100000001B3)
_MAX_VALUE = 200  # characters of a value in the report


@dataclass(slots=True)
class ColumnProfile:
    """Profile of one column; `minimum` and `maximum` are None if all values are missing."""

    nulls: int = 0
    minimum: Any = None
    maximum: Any = None

    def add(self, values: pa.ChunkedArray) -> None:
        """Add the values of a part."""
        self.nulls += values.null_count
        if values.null_count == len(values):
            return
        # The report shows Arrow's "false" and "true", not Python's "False" and "True".
        values = values.cast(pa.string()) if pa.types.is_boolean(values.type) else values
        # Python would show a `real` with the digits of a double.
        if pa.types.is_float32(values.type):
            values = values.cast(pa.string()).cast(pa.float64())
        extremes = pc.min_max(values).as_py()
        known = [] if self.minimum is None else [self.minimum, self.maximum]
        self.minimum = min([*known, extremes["min"]])
        self.maximum = max([*known, extremes["max"]])

    def as_json(self) -> dict[str, Any]:
        """Return the entry in the report."""
        return {
            "nulls": self.nulls,
            "min": None if self.minimum is None else bounded(str(self.minimum), _MAX_VALUE),
            "max": None if self.maximum is None else bounded(str(self.maximum), _MAX_VALUE),
        }


@dataclass(slots=True)
class Profile:
    """Profile of all columns, and a hash of eight bytes for each row."""

    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    _hashes: list[npt.NDArray[np.uint64]] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Add a part. Its column `line` differs in every row and is ignored."""
        hashes = np.zeros(len(rows), dtype=np.uint64)
        for name in rows.column_names:
            if name == "line":
                continue
            self.columns.setdefault(name, ColumnProfile()).add(rows[name])
            hashes = (hashes ^ _hash(rows[name].combine_chunks())) * _PRIME
        self._hashes.append(hashes)

    @property
    def repeats(self) -> int:
        """The number of rows that equal an earlier row."""
        if not self._hashes:
            return 0
        # Several times faster than np.unique, which builds a hash table.
        hashes = np.sort(np.concatenate(self._hashes))
        return int(np.count_nonzero(hashes[1:] == hashes[:-1]))


def _hash(values: pa.Array) -> npt.NDArray[np.uint64]:
    hashes: npt.NDArray[np.uint64]
    if pa.types.is_timestamp(values.type):
        # Mostly distinct, and pandas hashes numbers much faster than strings.
        numbers = values.cast(pa.int64()).fill_null(0).to_numpy()
        hashes = pd.util.hash_array(numbers, categorize=False)
        hashes[values.is_null().to_numpy(zero_copy_only=False)] = _NULL
        return hashes
    encoded = values.dictionary_encode()
    keys = encoded.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False)
    distinct = np.append(pd.util.hash_array(keys, categorize=False), np.uint64(_NULL))
    hashes = distinct[encoded.indices.fill_null(-1).to_numpy()]
    return hashes
