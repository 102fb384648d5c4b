"""Divides a large file into ranges of whole records.

The file is first divided into stretches of equal size, which are scanned at the same time. Nothing
tells a scan whether its first line begins a record or continues a quoted value, so it follows both
readings. The readings that continue each other are those of the whole file.
"""

import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shared import frame, undecodable
from shared.content import Content
from shared.contract import Contract
from shared.grammar import MAX_RECORD, Grammar, grammar
from shared.lines import MAX_LINE_BYTES, newlines
from shared.ranges import ByteRange
from shared.records import find_records
from shared.rows import is_plain, lines_of
from shared.verdict import Refusal

_LF = b"\n"
_STATEFUL = ("iso2022", "utf-7", "hz")
"""Codecs in which the meaning of a line depends on earlier ones."""


def can_divide(contract: Contract) -> bool:
    """Return whether files of a contract can be divided if they are not compressed."""
    return _has_plain_lines(contract.encoding)


@functools.cache
def _has_plain_lines(encoding: str) -> bool:
    """Return whether each line can be decoded by itself, and ends with the byte of a line feed."""
    codec = undecodable.plain_codec(encoding)
    if codec == "utf-8":
        return True
    if codec.startswith(_STATEFUL):
        return False
    pairs = [*map(bytes, itertools.product(range(256), repeat=2))]
    texts = {each: _decoded(each, codec) for each in pairs}
    if any(text and not text.endswith("\n") for pair, text in texts.items() if pair[1:] == _LF):
        return False
    lines = {each: text for each, text in texts.items() if text is not None and _LF not in each}
    text = _decoded(_LF.join(lines), codec)
    return text is not None and text.split("\n") == [*lines.values()]


def _decoded(text: bytes, codec: str) -> str | None:
    try:
        return text.decode(codec)
    except UnicodeError:
        return None


def tail_of(contract: Contract) -> int:
    """Return how many bytes at the end of a file must be in its last range."""
    return frame.MAX_TAIL if contract.dialect.footer else 0


class Reading(NamedTuple):
    """One reading of a stretch: records begin at the bytes `begin` and `end`.

    `lines` is the number of lines between them. `end` is not before the end of the stretch.
    """

    begin: int
    end: int
    lines: int


@dataclass(frozen=True, slots=True)
class Scanner:
    """Finds where records begin in stretches of a file that is not compressed."""

    content: Content
    contract: Contract

    def start(self, line: int) -> Reading:
        """Return the reading of what precedes the rows, which begin on a line."""
        return Reading(0, self._after_lines(0, line - 1), line - 1)

    def readings(self, begin: int, end: int) -> list[Reading]:
        """Return the possible readings of the stretch from the byte `begin` to the byte `end`."""
        first = self._line_start(begin)
        reading = self.reading(first, end)
        text = self._end_of_quoted_value(first)
        if not text:
            return [reading]
        lines = newlines(text)
        inside = self._after_lines(first, lines)
        if inside < reading.end and self._undecided(text) == b"":
            # The other reading continues in the same way.
            return [reading, Reading(inside, reading.end, reading.lines - lines)]
        return [reading, self.reading(inside, end)]

    def reading(self, begin: int, end: int) -> Reading:
        """Return the reading in which a record begins at the byte `begin`.

        It ends before the first record from `end` on before which everything can be read without
        what follows. It ends with the file if a part of it will be refused.
        """
        last, size = self._line_start(end), self.content.size
        if begin >= last:
            return Reading(begin, begin, 0)
        lines, text = 0, b""
        for each in lines_of(self.content.chunks(begin, last), self.contract, min(begin, 1) + 1):
            undecided = None if isinstance(each, Refusal) else self._undecided(text + each.text)
            if isinstance(each, Refusal) or undecided is None:
                return Reading(begin, size, 0)
            lines, text = lines + each.ends, undecided
        if last < size and text:
            return self._continued(Reading(begin, last, lines - newlines(text)), text)
        return Reading(begin, last, lines)

    def _continued(self, reading: Reading, text: bytes) -> Reading:
        """Continue a reading of which `text` depends on what follows."""
        size, lines = self.content.size, reading.lines
        known = newlines(text)
        for each in lines_of(self.content.chunks(reading.end), self.contract, 2):
            if isinstance(each, Refusal):
                break
            text += each.text
            undecided = self._undecided(text)
            if undecided is None:
                break
            decided = self._first_record(text) or (b"" if undecided else text)
            if decided.endswith(_LF):
                found = newlines(decided)
                end = self._after_lines(reading.end, found - known)
                return Reading(reading.begin, end, lines + found)
            found = newlines(text) - newlines(undecided)
            lines, known, text = lines + found, known - found, undecided
        return Reading(reading.begin, size, 0)

    def _first_record(self, text: bytes) -> bytes:
        """Return the first record of a text if it is well-formed."""
        rules = self._grammar(text)
        encoded = rules.encoded(text) if rules else b""
        found = rules.record.match(encoded) if rules else None
        if rules is None or found is None or found.end() > MAX_RECORD:
            return b""
        decoded: bytes = rules.decoded(encoded[: found.end()])
        return decoded

    def _undecided(self, text: bytes) -> bytes | None:
        """Return the end of a text that depends on what follows; None if it cannot be read."""
        if self.contract.file_format == "jsonLines" or is_plain(text, self.contract.dialect):
            return b""
        rules = self._grammar(text)
        if rules is None:
            return None
        if not text.endswith(_LF):
            return text
        records = find_records(rules, rules.encoded(text), final=False)
        return rules.decoded(records.text[records.end :])

    def _end_of_quoted_value(self, begin: int) -> bytes:
        """Return the rest of the record whose quoted value the line at `begin` continues."""
        quote = self.contract.dialect.quote_char
        if quote is None or self.contract.file_format == "jsonLines":
            return b""
        lines = next(lines_of(self.content.chunks(begin), self.contract, 2), None)
        if lines is None or isinstance(lines, Refusal):
            return b""
        record = self._first_record(quote.encode() + lines.text)
        return record[1:] if record.endswith(_LF) else b""

    def _grammar(self, text: bytes) -> Grammar | None:
        return grammar(self.contract.dialect, text)

    def _line_start(self, at: int) -> int:
        """Return where the first line from the byte `at` on begins; the file's size if none does.

        A line after an escaped line end does not count.
        """
        dialect, begin = self.contract.dialect, max(at - 2, 0)
        escape = dialect.escape_char.encode() if dialect.escape_char else _LF
        for size in (2**16, MAX_LINE_BYTES + 2) if 0 < at < self.content.size else ():
            end = min(begin + size, self.content.size)
            text = dialect.swapped(b"".join(self.content.chunks(begin, end)))
            found = text.find(_LF, at - 1 - begin)
            while found > 0 and text[found - 1 : found] == escape != _LF:
                found = text.find(_LF, found + 1)
            if found >= 0:
                return begin + found + 1
        return self.content.size if at else 0

    def _after_lines(self, begin: int, count: int) -> int:
        """Return the byte after `count` line ends from the byte `begin` on."""
        if count == 0:
            return begin
        for chunk in self.content.chunks(begin):
            codes = np.frombuffer(self.contract.dialect.swapped(chunk), np.uint8)
            ends = np.flatnonzero(codes == _LF[0])
            if count <= len(ends):
                return begin + int(ends[count - 1]) + 1
            begin, count = begin + len(chunk), count - len(ends)
        return begin


def bounds(size: int, stretch: int, most: int) -> list[int]:
    """Return where at most `most` stretches of about `stretch` bytes begin, and the size."""
    count = max(1, min(size // stretch, most))
    return [size * number // count for number in range(count + 1)]


def joined(
    start: Reading,
    bounds: list[int],
    scans: Iterable[list[Reading]],
    scan: Callable[[int, int], Reading],
    tail: int,
) -> tuple[list[ByteRange], int]:
    """Return the ranges of a file, and the number of its lines.

    Args:
        start: the reading of what precedes the rows.
        bounds: the bounds of the stretches.
        scans: the possible readings of each stretch.
        scan: the function that reads a stretch from a byte to a bound if no reading begins there.
        tail: bytes at the end of the file that the last range has at least.
    """
    ranges: list[ByteRange] = []
    begin, line, size = 0, 1, bounds[-1]
    at, lines = start.end, start.lines
    for end, readings in zip(bounds[1:], scans, strict=True):
        if at >= end:
            continue  # a record longer than the stretch
        reading = next((each for each in readings if each.begin == at), None) or scan(at, end)
        at, lines = reading.end, lines + reading.lines
        if at < size and at <= size - tail:
            ranges.append(ByteRange(len(ranges), begin, at, line, is_last=False))
            begin, line = at, lines + 1
    return [*ranges, ByteRange(len(ranges), begin, size, line, is_last=True)], lines
