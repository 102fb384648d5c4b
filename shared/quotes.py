"""Bounds of the rows of a CSV text, by the rules of Python's `csv` in strict mode.

A quote opens a value only at the beginning of the value; elsewhere in an unquoted value it is an
ordinary character. Inside quotes, two quotes are one quote, and a single quote closes the value. A
delimiter or a line end must follow it. Delimiters and line ends inside quotes are text. Outside
quotes, a carriage return must be at the end of its line. An invalid row consists of its first line
only; the next line begins a new row.

`scan` finds two outcomes for every line: that of a row that begins with the line, and that of an
earlier row that is still inside quotes. It does this for all lines at once. `find_records` then
follows the rows that span several lines. The time is linear in the size of the text.
"""

import csv
import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.lines import Lines

MAX_ROW = 1 << 24
"""Maximum bytes of a row that spans several lines, which limits the memory used."""
_WINDOW = 1 << 16
"""Bytes that are scanned at a time, which fit into the processor's cache."""

_LF, _CR, _QUOTE = b'\n\r"'

Bools = npt.NDArray[np.bool_]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
"""Also used for positions: a text is smaller than 1 GiB."""


class RowOutcome(enum.IntEnum):
    """Outcome of a row; all except the first two are faults."""

    COMPLETE = 0
    OPEN = 1
    """The text ends inside quotes, which following text may close."""
    LONE_RETURN = 2
    TEXT_BEHIND = 3
    """Text follows the quote that closes a value."""
    LARGE_VALUE = 4
    LONG_ROW = 5
    UNCLOSED = 6


@dataclass(frozen=True, slots=True)
class Scan:
    """Text of whole lines, with the results for each line.

    Attributes:
        first: the number of the first line.
        text: UTF-8. Only the file's last line may have no newline.
        delimiter: one ASCII character.
        bounds: the byte offset at which each line begins, and the end of the last line.
        outcomes: a `RowOutcome` per line: `[0]` if it begins outside quotes, `[1]` if inside.
        delimiters: the number of delimiters outside quotes per line, indexed likewise.
        closes: whether a quote in the line closes a value, if it begins inside quotes.
    """

    first: int
    text: bytes
    delimiter: str
    bounds: Int32s
    outcomes: Int8s
    delimiters: Int32s
    closes: Bools

    def joined(self, then: "Scan") -> "Scan":
        """Return the scan of this text followed by another one."""
        return Scan(
            self.first,
            self.text + then.text,
            self.delimiter,
            np.append(self.bounds[:-1], self.bounds[-1] + then.bounds),
            np.append(self.outcomes, then.outcomes, 1),
            np.append(self.delimiters, then.delimiters, 1),
            np.append(self.closes, then.closes),
        )

    def behind(self, line: int) -> "Scan":
        """Return the scan of the text that begins with `line`."""
        return Scan(
            self.first + line,
            self.text[self.bounds[line] :],
            self.delimiter,
            self.bounds[line:] - self.bounds[line],
            self.outcomes[:, line:].copy(),
            self.delimiters[:, line:].copy(),
            self.closes[line:].copy(),
        )


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of a text in order, including invalid rows and excluding blank lines.

    Attributes:
        text: the text.
        lines: the number of the first line of each row.
        begins: the byte offset at which each row begins.
        ends: the byte offset after the line end of each row.
        outcomes: the `RowOutcome` of each row.
        values: the number of values of each complete row.
        rest: the number of lines up to the end of the last row.
    """

    text: bytes
    lines: npt.NDArray[np.int64]
    begins: Int32s
    ends: Int32s
    outcomes: Int8s
    values: Int32s
    rest: int


def scan(lines: Lines, delimiter: str, *, quoted: bool) -> Scan:
    """Scan each line.

    Args:
        lines: all lines except the file's last one must have a newline.
        delimiter: one ASCII character.
        quoted: whether a line may begin inside quotes; otherwise that case is skipped.
    """
    text = lines.text
    count = text.count(b"\n") + (not text.endswith(b"\n"))
    bounds = np.zeros(count + 1, np.int32)
    outcomes = np.zeros((2, count), np.int8)
    delimiters = np.zeros((2, count), np.int32)
    closes = np.zeros(count, np.bool_)
    line = 0
    for begin, end in _windows(text):
        events = _Events(text, begin, end, ord(delimiter))
        here = slice(line, line + len(events.begins))
        line = here.stop
        bounds[here] = events.begins
        outside, inside = events.states()
        outcomes[0, here] = events.outcomes(outside, inside=False)
        delimiters[0, here] = events.delimiters(outside)
        if quoted and not events.is_quoted:
            outcomes[1, here] = RowOutcome.OPEN
        elif quoted:
            outcomes[1, here] = events.outcomes(inside, inside=True)
            delimiters[1, here] = events.delimiters(inside)
            closes[here] = events.closes(inside)
    bounds[-1] = len(text)
    return Scan(lines.first, text, delimiter, bounds, outcomes, delimiters, closes)


def find_records(lines: Scan, *, final: bool) -> Records:
    """Find the rows of a text.

    Args:
        lines: the text.
        final: whether the file ends here. Otherwise the result excludes the last row if it depends
            on following text; at most `MAX_ROW` bytes of that row are in `lines`.
    """
    codes, bounds = np.frombuffer(lines.text, np.uint8)[lines.bounds[:-1]], lines.bounds
    outcomes, later = lines.outcomes
    count = len(outcomes)
    begun = _indices(outcomes == RowOutcome.OPEN)
    is_blank = ((codes == _LF) | (codes == _CR)) & (outcomes == RowOutcome.COMPLETE)
    if not len(begun):
        rows = _indices(~is_blank)
        values = lines.delimiters[0][rows] + 1
        ends = bounds[rows + 1]
        numbers = lines.first + rows.astype(np.int64)
        return Records(lines.text, numbers, bounds[rows], ends, outcomes[rows], values, count)
    # A row ends with the first line that does not end inside quotes.
    last = _next(later != RowOutcome.OPEN)[begun + 1]
    found = np.append(later, np.int8(RowOutcome.UNCLOSED if final else RowOutcome.OPEN))[last]
    end = np.minimum(last + 1, count)
    if np.any(bounds[end] - bounds[begun] > min(MAX_ROW, _limit())):
        # `csv` reads whole lines: a row is too long before the line that exceeds the limit.
        unread = np.searchsorted(bounds[1:], bounds[begun] + np.int32(MAX_ROW), "right")
        unread = np.maximum(unread.astype(np.int32), begun + 1)
        found[unread < end] = RowOutcome.LONG_ROW
        found[_large_values(lines, begun) < np.minimum(unread, end)] = RowOutcome.LARGE_VALUE
    outcomes = outcomes.copy()
    outcomes[begun] = found

    whole = found == RowOutcome.COMPLETE
    first, last = begun[whole], last[whole]
    apart = _apart(first, last, count)
    first, last = first[apart], last[apart]
    changes = np.zeros(count + 1, np.int8)
    changes[first + 1] = 1
    changes[last + 1] = -1
    continues = np.cumsum(changes[:-1], dtype=np.int8).view(np.bool_)
    undecided = begun[found == RowOutcome.OPEN]
    count = int(np.append(undecided[~continues[undecided]], np.int32(count))[0])

    rows = _indices(~(continues | is_blank)[:count])
    behind = np.arange(1, len(outcomes) + 1, dtype=np.int32)
    behind[first] = last + 1
    delimiters = np.where(continues, lines.delimiters[1], lines.delimiters[0])[:count]
    values = np.add.reduceat(delimiters, rows, dtype=np.int32) + 1
    ends = bounds[behind[rows]]
    numbers = lines.first + rows.astype(np.int64)
    return Records(lines.text, numbers, bounds[rows], ends, outcomes[rows], values, count)


def _apart(begins: Int32s, ends: Int32s, count: int) -> Int32s:
    """Return the unsorted indices of rows that do not begin inside an earlier row.

    Args:
        begins: the first line of each row.
        ends: the last line of each row.
        count: the number of lines.
    """
    is_begin = np.zeros(count, np.bool_)
    is_begin[begins] = True
    # Only every eighth row is visited in a Python loop.
    steps = [np.append(np.cumsum(is_begin, dtype=np.int32)[ends], np.int32(len(begins)))]
    for _ in range(3):
        steps.append(steps[-1][steps[-1]])
    visited, following, row, stop = [], steps.pop().data, 0, len(begins)
    while row < stop:
        visited.append(row)
        row = following[row]
    rows = np.array(visited, np.int32)
    for step in steps[::-1]:
        rows = np.append(rows, step[rows])
    return rows[rows < stop]


def _large_values(lines: Scan, begun: Int32s) -> Int32s:
    """Return the line in which a value that spans lines exceeds the maximum size, for each row.

    Args:
        lines: all lines.
        begun: the first lines of the rows that span several lines.

    Returns:
        One line per row, or the number of lines if the row has no such value.
    """
    count = len(lines.closes)
    closing = _next(lines.closes)[1:]
    if not np.any(lines.bounds[np.minimum(closing + 1, count)] - lines.bounds[:-1] > _limit()):
        return np.full(len(begun), count, np.int32)
    # Inside quotes, two quotes are one character, so that sizes are in half characters.
    codes = np.frombuffer(lines.text, np.uint8)
    halves = ((codes & 0xC0) != 0x80).view(np.uint8) * np.uint8(2)
    halves -= codes == _QUOTE
    size = np.append(np.int32(0), np.cumsum(halves, dtype=np.int32))
    sizes = size[lines.bounds]
    """The size of the text before each line."""
    opened = np.zeros((2, count), np.int32)
    closed = np.append(np.zeros(count, np.int32), np.int32(len(codes)))
    for begin, end in _windows(lines.text):
        if lines.text.find(b'"', begin, end) != -1:
            here = slice(*np.searchsorted(lines.bounds, np.array([begin, end], np.int32)))
            events = _Events(lines.text, begin, end, ord(lines.delimiter))
            outside, inside = events.states()
            opened[0, here], opened[1, here] = events.opened(outside), events.opened(inside)
            closed[here] = events.closed(inside)
    most = np.int32(2 * _limit() + 1)

    def large(begins: Int32s, outcomes: Int8s) -> tuple[Int32s, Int32s]:
        """Return the lines that open a too large value, and the lines that exceed the limit."""
        lines = _indices((begins > 0) & (outcomes == RowOutcome.OPEN))
        filled = size[begins[lines]] + most
        end = closing[lines]
        reached = np.searchsorted(sizes[1:], filled, "right").astype(np.int32)
        is_large = size[closed[end]] > filled
        return lines[is_large], np.minimum(reached, end)[is_large]

    found = np.full(count, count, np.int32)
    lines_of_first, found_of_first = large(opened[0], lines.outcomes[0])
    found[lines_of_first] = found_of_first
    lines_of_later, found_of_later = large(opened[1], lines.outcomes[1])
    next_of_later = np.searchsorted(lines_of_later, begun + 1)
    return np.minimum(found[begun], np.append(found_of_later, np.int32(count))[next_of_later])


def _windows(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield the byte offsets of consecutive groups of lines."""
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin + _WINDOW - 1) + 1 or len(text)
        yield begin, end
        begin = end


class _Events:
    """Events in a text that may change its state: inside or outside quotes.

    Events are runs of quotes, carriage returns that are not before a line end, and line ends. The
    text is prefixed with a line end, so that each line has one before it.

    The effect of a run depends on three properties: whether a value may begin with it, whether its
    length is odd, and whether a value may end after it. The states after a row's first fault do not
    matter. They are chosen so that each event keeps, toggles or sets the state. All states can then
    be computed by two cumulative operations.
    """

    def __init__(self, text: bytes, begin: int, end: int, delimiter: int) -> None:
        self._delimiter = delimiter
        self._shift = begin
        self._is_ended = text[end - 1] == _LF
        ending = b"" if self._is_ended else b"\n"
        codes = self._codes = np.frombuffer(b"\n%b%b" % (text[begin:end], ending), np.uint8)
        quotes, ends, returns = codes == _QUOTE, codes == _LF, codes == _CR
        may_begin, may_end = (codes == delimiter) | ends, (codes == delimiter) | ends | returns
        ahead, behind = np.roll(may_begin, 1), np.roll(may_end, -1)
        is_lone = returns & ~np.roll(ends | returns, -1)
        first, last = quotes & ~np.roll(quotes, 1), quotes & ~np.roll(quotes, -1)
        self._first = np.flatnonzero(first | ends | is_lone)
        self._last = np.flatnonzero(last | ends | is_lone)
        # Flags share one byte, because each selection by position takes time.
        flags = ends.view(np.uint8) | quotes.view(np.uint8) << 1 | ahead.view(np.uint8) << 2
        flags = flags[self._first]
        is_quote, may_begin, may_end = flags & 2 > 0, flags & 4 > 0, behind[self._last]
        self._is_end, self._is_quote = flags & 1 > 0, is_quote
        self._is_odd = is_quote & ((self._last - self._first).astype(np.uint8) & 1 == 0)
        self._opens = may_begin & self._is_odd
        self._swaps = self._opens & may_end
        self._sets = self._is_end | (self._is_odd & ~self._swaps)
        self._breaks_inside = self._is_odd & ~may_end
        self._breaks_outside = ~(self._is_end | self._is_odd | (is_quote & (may_end | ~may_begin)))
        self._line_ends = np.flatnonzero(self._is_end)
        self._before_ends = self._line_ends[1:] - 1
        self._begins = self._first[self._line_ends[:-1]]
        self.begins = self._begins + begin
        """The byte offset at which each line begins."""
        self.is_quoted = bool(is_quote.any())

    def states(self) -> tuple[Bools, Bools]:
        """Return whether the text is inside quotes after each event.

        Returns:
            The states if each line begins outside quotes, and those if it begins inside.
        """
        # The first bit is the first result, the second bit is the second one.
        swapped = np.bitwise_xor.accumulate(self._swaps.view(np.uint8) * np.uint8(3))
        value = self._opens.view(np.uint8) * np.uint8(3) | self._is_end.view(np.uint8) << 1
        setting = np.flatnonzero(self._sets)
        set_to = (value ^ swapped)[setting]
        states = swapped ^ np.repeat(set_to, np.diff(setting, append=len(swapped)))
        return states & 1 > 0, states & 2 > 0

    def outcomes(self, states: Bools, *, inside: bool) -> Int8s:
        """Return the outcome of each line."""
        found = states[self._before_ends].view(np.int8)
        breaks = states[:-1] & self._breaks_inside[1:]
        breaks |= ~states[:-1] & self._breaks_outside[1:]
        broken = np.flatnonzero(breaks)[::-1] + 1  # the first fault of a line is set last
        if len(broken):
            kinds = np.where(self._is_quote[broken], RowOutcome.TEXT_BEHIND, RowOutcome.LONE_RETURN)
            found[self._line[broken]] = kinds
        for line in self._long:
            begin, end = self._first[self._line_ends[line : line + 2]] + 1
            text = self._codes[begin : end - (end == len(self._codes) and not self._is_ended)]
            if _has_large_value('"' * inside + text.tobytes().decode(), chr(self._delimiter)):
                found[line] = RowOutcome.LARGE_VALUE
        return found

    @functools.cached_property
    def _line(self) -> npt.NDArray[np.intp]:
        """The line of each event; a line end belongs to the line after it."""
        return np.cumsum(self._is_end) - 1

    @functools.cached_property
    def _long(self) -> npt.NDArray[np.intp]:
        """The lines that may have a too large value."""
        return np.flatnonzero(np.diff(self._first[self._line_ends]) > _limit())

    def delimiters(self, states: Bools) -> Int32s:
        """Return the number of delimiters outside quotes, for each line."""
        counted = self._codes == self._delimiter
        if not counted.any():
            return np.zeros(len(self.begins), np.int32)
        if states.any():
            counted &= ~np.repeat(states, np.diff(self._first, append=len(self._codes)))
        return np.add.reduceat(counted, self._begins + 1, dtype=np.int32)

    def opened(self, states: Bools) -> Int32s:
        """Return the byte offset of the last quoted value that each line opens, or 0."""
        opening = np.flatnonzero(~states[:-1] & states[1:] & ~self._is_end[1:]) + 1
        found = np.zeros(len(self.begins), np.int32)
        found[self._line[opening]] = self._first[opening] + self._shift
        return found

    def closed(self, states: Bools) -> Int32s:
        """Return the byte offset of the first quote that closes a value in each line, or 0."""
        closing = np.flatnonzero(states[:-1] & self._is_odd[1:])[::-1] + 1
        found = np.zeros(len(self.begins), np.int32)
        found[self._line[closing]] = self._last[closing] - 1 + self._shift
        return found

    def closes(self, states: Bools) -> Bools:
        """Return whether a quote in each line closes a value."""
        found = np.zeros(len(self.begins), np.bool_)
        found[self._line[np.flatnonzero(states[:-1] & self._is_odd[1:]) + 1]] = True
        return found


def _indices(mask: Bools) -> Int32s:
    return np.flatnonzero(mask).astype(np.int32)


def _next(mask: Bools) -> Int32s:
    """Return, for each index and for the end, the next true index of the mask from there on."""
    found = np.append(_indices(mask), np.int32(len(mask)))
    return np.repeat(found, np.diff(found, prepend=-1))


def _limit() -> int:
    """Return the maximum characters of a value."""
    return csv.field_size_limit()


def _has_large_value(line: str, delimiter: str) -> bool:
    try:
        next(csv.reader([line], delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        return "field larger than" in str(error)
    return False
