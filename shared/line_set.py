"""A set of line numbers that takes one bit for each line between its first and its last."""

from typing import Self

import numpy as np
import numpy.typing as npt


class LineSet:
    """Line numbers."""

    def __init__(self) -> None:
        """Begin with none."""
        self._bits = np.zeros(0, np.uint8)
        self._begin = 0
        """The first byte of `_bits` in a set of all lines, a multiple of 8 lines each."""

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Return the set that `bytes` made `data` of."""
        found = cls()
        found._begin, found._bits = (
            int.from_bytes(data[:8], "big"),
            np.frombuffer(data[8:], np.uint8).copy(),
        )
        return found

    def __bytes__(self) -> bytes:
        return self._begin.to_bytes(8, "big") + self._bits.tobytes()

    def __len__(self) -> int:
        return int(np.bitwise_count(self._bits).sum())

    @property
    def lines(self) -> npt.NDArray[np.int64]:
        """The lines, in order."""
        return np.flatnonzero(np.unpackbits(self._bits, bitorder="little")) + 8 * self._begin

    def add(self, lines: npt.NDArray[np.int64]) -> None:
        """Add lines, of which some may be in it."""
        if len(lines):
            self._extend(int(lines.min()) // 8, int(lines.max()) // 8 + 1)
        places = lines - 8 * self._begin
        for bit in range(8):
            # All that set a byte set the same bit, so that none is lost.
            self._bits[places[places & 7 == bit] >> 3] |= 1 << bit

    def among(self, lines: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which of these lines are in it."""
        found = np.zeros(len(lines), np.bool_)
        places = lines - 8 * self._begin
        known = np.flatnonzero((places >= 0) & (places < 8 * len(self._bits)))
        places = places[known]
        found[known] = self._bits[places >> 3] >> (places & 7) & 1
        return found

    def _extend(self, begin: int, end: int) -> None:
        if not len(self._bits):
            self._begin = begin
        before = max(self._begin - begin, 0)
        after = max(end - self._begin - len(self._bits), 0)
        if before or after:
            self._bits = np.pad(self._bits, (before, after))
            self._begin -= before
