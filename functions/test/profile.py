"""What the clean rows of a file are like: per column nulls, least and greatest; exact repeats."""

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
_VALUE = 200
"""Characters of a value in the report."""


@dataclass(slots=True)
class ColumnProfile:
    """One column so far; `minimum` and `maximum` are None as long as all values are missing."""

    nulls: int = 0
    minimum: Any = None
    maximum: Any = None

    def add(self, values: pa.ChunkedArray) -> None:
        """Take more values into account."""
        self.nulls += values.null_count
        if values.null_count == len(values):
            return
        # Arrow finds no extremes of booleans that pandas and people would call such.
        values = values.cast(pa.string()) if pa.types.is_boolean(values.type) else values
        extremes = pc.min_max(values).as_py()
        known = [] if self.minimum is None else [self.minimum, self.maximum]
        self.minimum = min([*known, extremes["min"]])
        self.maximum = max([*known, extremes["max"]])

    def as_json(self) -> dict[str, Any]:
        """Return what the report holds."""
        return {
            "nulls": self.nulls,
            "min": None if self.minimum is None else bounded(str(self.minimum), _VALUE),
            "max": None if self.maximum is None else bounded(str(self.maximum), _VALUE),
        }


@dataclass(slots=True)
class Profile:
    """All columns so far, and a hash of each row: eight bytes, however wide the table."""

    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    _hashes: list[npt.NDArray[np.uint64]] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Take a part into account; its column `line` tells rows apart and is left out."""
        hashes = np.zeros(len(rows), dtype=np.uint64)
        for name in rows.column_names:
            if name == "line":
                continue
            self.columns.setdefault(name, ColumnProfile()).add(rows[name])
            hashes = (hashes ^ _hash(rows[name].combine_chunks())) * _PRIME
        self._hashes.append(hashes)

    @property
    def repeats(self) -> int:
        """How many rows are exactly as an earlier one."""
        if not self._hashes:
            return 0
        hashes = np.concatenate(self._hashes)
        return len(hashes) - len(np.unique(hashes))


def _hash(values: pa.Array) -> npt.NDArray[np.uint64]:
    encoded = values.dictionary_encode()
    # Instants are mostly distinct, and pandas hashes numbers many times faster than texts.
    plain = pa.int64() if pa.types.is_timestamp(values.type) else pa.string()
    keys = encoded.dictionary.cast(plain).to_numpy(zero_copy_only=False)
    distinct = np.append(pd.util.hash_array(keys, categorize=False), np.uint64(_NULL))
    hashes: npt.NDArray[np.uint64] = distinct[encoded.indices.fill_null(-1).to_numpy()]
    return hashes
