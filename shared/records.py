r"""Where the records of a CSV text begin and end, and which lines are damaged.

Most text is well formed. One regular expression per dialect finds the longest run of well-formed
records, in time linear in its size. A record that breaks the rules costs its first line only:
reading continues with the next line as if it began a record. Runs of lines with the same common
damage have expressions too; any other damaged line is examined by itself.

Reading on after each damaged line stays linear. A scan that begins inside quotes stops at the next
line with an odd number of quotes at the latest: there it ends the record or finds a fault. Only a
line with an odd number of quotes starts such a scan, so no two scans share a line. A scan may also
continue over escaped line ends: the lines that it joins are damaged together.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.grammar import MAX_RECORD, OPEN, Fault, Grammar

_LF, _CR = b"\n\r"

Positions = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Damage(NamedTuple):
    """Lines that are not records, from the byte `begin` to the byte `end`."""

    begin: int
    end: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a text.

    Attributes:
        text: the text.
        spans: begin and end of each run of well-formed records and blank lines, in bytes.
        damages: the runs of damaged lines.
        end: the byte after the last record; the text after it depends on what follows.
        are_lines: whether each record is one line.
    """

    text: bytes
    spans: list[tuple[int, int]]
    damages: list[Damage]
    end: int
    are_lines: bool


def find_records(rules: Grammar, text: bytes, *, final: bool) -> Records:
    """Find the records of a text.

    Args:
        rules: the grammar of the text.
        text: whole lines, encoded.
        final: whether the file ends here. If not, the records end before the first one that
            depends on what follows.
    """
    spans: list[tuple[int, int]] = []
    damages: list[Damage] = []
    begin, is_near_damage = 0, False
    if (lines := rules.lines.match(text)) and lines.end():
        begin = lines.end()
        spans.append((0, begin))
    are_lines = begin == len(text)
    while begin < len(text):
        if is_near_damage and (few := rules.few_records.match(text, begin)):
            end, is_near_damage = few.end(), few[1] is None
        else:
            end, is_near_damage = rules.records.match(text, begin).end(), True
        end = _before_long_record(rules, text, begin, end)
        if end > begin:
            spans.append((begin, end))
            begin = end
        if begin == len(text) or not is_near_damage:
            continue
        if text[begin] == rules.comment:
            begin = text.index(b"\n", begin) + 1
            continue
        damage = _damage(rules, text, begin, damages[-1] if damages else None, final=final)
        if damage.fault in OPEN and not final and len(text) - begin <= MAX_RECORD:
            break
        damages.append(damage)
        begin = damage.end
    return Records(text, spans, damages, begin, are_lines)


def ends_of(rules: Grammar, text: bytes, *, are_lines: bool = False) -> Positions:
    """Return the byte after each record or blank line of a well-formed text."""
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _LF)
    return (line_ends if are_lines else line_ends[_is_outside(rules, text, line_ends)]) + 1


def is_blank(rules: Grammar, text: bytes, begins: Positions) -> Mask:
    """Return which of the lines that begin at these bytes are blank."""
    codes = np.frombuffer(text, np.uint8)
    if rules.dialect.skip_initial_space:
        inked = np.flatnonzero(codes != ord(" "))
        begins = inked[np.searchsorted(inked, begins)]
    found: Mask = (codes[begins] == _LF) | (codes[begins] == _CR)
    return found


def value_counts(rules: Grammar, text: bytes, begins: Positions, ends: Positions) -> Positions:
    """Return how many values each record of a well-formed text has."""
    separators = np.flatnonzero(np.frombuffer(text, np.uint8) == rules.delimiter[0])
    separators = separators[_is_outside(rules, text, separators)]
    counts: Positions = np.searchsorted(separators, ends) - np.searchsorted(separators, begins) + 1
    return counts


def without_gaps(rules: Grammar, text: bytes) -> bytes:
    """Return a well-formed text without the spaces around its values that are ignored."""
    if not rules.dialect.skip_initial_space:
        return text
    codes = np.frombuffer(text, np.uint8)
    separators = np.flatnonzero((codes == rules.delimiter[0]) | (codes == _LF))
    begins = np.append(0, separators[_is_outside(rules, text, separators)] + 1)
    begins = np.union1d(begins, _unescaped_quotes(rules, text)[1::2] + 1)
    spaces = np.flatnonzero(codes == ord(" "))
    is_first = np.diff(spaces, prepend=-2) > 1
    run = np.cumsum(is_first) - 1
    kept = np.ones(len(codes), np.bool_)
    kept[spaces[_is_in(spaces[is_first], begins)[run]]] = False
    return codes[kept].tobytes()


def with_trailing_delimiters(rules: Grammar, text: bytes, width: int) -> bytes:
    """Return a text without gaps in which each record has one empty value more at its end.

    Records with a surplus value have it already.
    """
    _, ends = _contents(rules, text)
    places = ends[~has_surplus(rules, text, width)]
    codes = np.frombuffer(text, np.uint8)
    return np.insert(codes, places, rules.delimiter[0]).tobytes() if len(places) else text


def has_surplus(rules: Grammar, text: bytes, width: int) -> Mask:
    """Return which records of a text without gaps have an empty value after `width` others."""
    begins, ends = _contents(rules, text)
    is_delimiter = np.frombuffer(text, np.uint8)[ends - 1] == rules.delimiter[0]
    counts = value_counts(rules, text, begins, ends)
    found: Mask = is_delimiter & _is_outside(rules, text, ends - 1) & (counts == width + 1)
    return found


def _contents(rules: Grammar, text: bytes) -> tuple[Positions, Positions]:
    """Return where the records of a well-formed text begin, and where their line ends do."""
    ends = ends_of(rules, text)
    begins = np.append(0, ends)[:-1]
    blank = is_blank(rules, text, begins)
    begins, feeds = begins[~blank], ends[~blank] - 1
    others = np.flatnonzero(np.frombuffer(text, np.uint8) != _CR)
    line_ends = others[np.searchsorted(others, feeds) - 1] + 1
    # The first carriage return may be escaped.
    return begins, np.minimum(line_ends + ~_is_outside(rules, text, line_ends), feeds)


def _damage(
    rules: Grammar, text: bytes, begin: int, previous: Damage | None, *, final: bool
) -> Damage:
    (fault, place), end = rules.fault(text, begin), text.index(b"\n", begin) + 1
    if fault is Fault.UNCLOSED and len(text) - begin > MAX_RECORD:
        fault = Fault.LONG_RECORD
    if previous is not None and previous.end == begin and previous.fault is fault:
        for run, is_decided_by_next in rules.runs.get(fault, ()):
            if found := run.match(text, begin):
                last = text.rfind(b"\n", begin, found.end() - 1) + 1
                end = max(end, last if is_decided_by_next else found.end())
    if continued := rules.continued.match(text, begin):
        last = continued.end()
        if fault is Fault.LONG_RECORD or (fault in OPEN and not final):
            # Only the lines from which the record is too long.
            least = ((text.find(b"\n", place) + 1) or len(text)) - MAX_RECORD
            last = min(last, text.find(b"\n", max(least - 1, 0)) + 1)
        end = max(end, last)
    return Damage(begin, end, fault)


def _before_long_record(rules: Grammar, text: bytes, begin: int, end: int) -> int:
    """Return where the first record of several lines that is too long begins, or `end`."""
    if end - begin <= MAX_RECORD:
        return end
    bounds = begin + np.append(0, ends_of(rules, text[begin:end]))
    for record in np.flatnonzero(np.diff(bounds) > MAX_RECORD):
        first, last = (int(bound) for bound in bounds[record : record + 2])
        if text.index(b"\n", first) + 1 < last:
            return first
    return end


def _is_outside(rules: Grammar, text: bytes, positions: Positions) -> Mask:
    """Return which positions of a well-formed text are neither quoted nor escaped."""
    quotes = _unescaped_quotes(rules, text)
    outside: Mask = np.searchsorted(quotes, positions) & 1 == 0
    return outside & ~_is_in(positions, _escaped_positions(rules, text))


def _unescaped_quotes(rules: Grammar, text: bytes) -> Positions:
    """Return the quotes that open and close values in turn, and pairs of quotes inside."""
    quotes = _quote_positions(rules, text)
    return quotes[~_is_in(quotes, _escaped_positions(rules, text))]


def _quote_positions(rules: Grammar, text: bytes) -> Positions:
    if rules.quote is None:
        return np.empty(0, np.intp)
    if rules.dialect.lenient_quotes and rules.quote in text:
        return _lenient_quotes(rules, text)
    return np.flatnonzero(np.frombuffer(text, np.uint8) == rules.quote)


@functools.lru_cache(maxsize=2)  # several functions need them, and Transform reads two chunks
def _lenient_quotes(rules: Grammar, text: bytes) -> Positions:
    spans = (each.span(1) for each in rules.quoted.finditer(text))
    return np.fromiter((x for a, b in spans if a >= 0 for x in (a, b - 1)), np.intp)


def _escaped_positions(rules: Grammar, text: bytes) -> Positions:
    if rules.escape is None:
        return np.empty(0, np.intp)
    found = np.flatnonzero(np.frombuffer(text, np.uint8) == rules.escape)
    index = np.arange(len(found))
    first = np.maximum.accumulate(np.where(np.diff(found, prepend=-2) > 1, index, 0))
    escaped: Positions = found[(index - first) & 1 == 0] + 1
    return escaped


def _is_in(positions: Positions, others: Positions) -> Mask:
    """Return which positions are among the others; both ascend."""
    if not len(others):
        return np.zeros(len(positions), np.bool_)
    index = np.minimum(np.searchsorted(others, positions), len(others) - 1)
    return np.equal(others[index], positions)
