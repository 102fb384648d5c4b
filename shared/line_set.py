"""A set of line numbers that takes one bit for each line of a file."""

import numpy as np
import numpy.typing as npt


class LineSet:
    """Line numbers."""

    def __init__(self) -> None:
        """Begin with none."""
        self._bits = np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return int(np.bitwise_count(self._bits).sum())

    def add(self, lines: npt.NDArray[np.int64]) -> None:
        """Add lines, of which some may be in it."""
        size = int(lines.max(initial=0)) // 8 + 1
        if size > len(self._bits):
            self._bits = np.append(self._bits, np.zeros(size - len(self._bits), np.uint8))
        for bit in range(8):
            # All that set a byte set the same bit, so that none is lost.
            self._bits[lines[lines & 7 == bit] >> 3] |= 1 << bit

    def among(self, lines: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which of these lines are in it."""
        found = np.zeros(len(lines), np.bool_)
        known = np.flatnonzero(lines < 8 * len(self._bits))
        found[known] = self._bits[lines[known] >> 3] >> (lines[known] & 7) & 1
        return found
