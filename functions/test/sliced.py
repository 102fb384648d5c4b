"""Staged files with several arrays of numbers, of which some can be read without the others."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared import parquet

_SIZE = 8
"""Bytes of a number."""


def write(slices: Iterable[npt.NDArray[np.generic]], count: int, file: Path) -> None:
    """Write `count` arrays of numbers of 8 bytes to a local file, which begins with their ends."""
    ends = np.zeros(count + 1, np.int64)
    ends[0] = _SIZE * len(ends)
    with file.open("wb") as output:
        output.seek(int(ends[0]))
        for number, each in enumerate(slices, start=1):
            output.write(np.ascontiguousarray(each).data)
            ends[number] = output.tell()
        output.seek(0)
        output.write(ends.data)


def read(uri: str, begin: int, end: int) -> npt.NDArray[np.uint64]:
    """Read the arrays from the number `begin` to before `end` as one; it is flat."""
    bounds = parquet.extract(uri, _SIZE * begin, _SIZE * (end + 1))
    first, *_, last = np.frombuffer(bounds, np.int64).tolist()
    if first == last:
        return np.empty(0, np.uint64)
    return np.frombuffer(parquet.extract(uri, first, last), np.uint64)
