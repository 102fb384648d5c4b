"""Ways to read a text as records, and which one fits best."""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shared.dialect import Dialect
from shared.grammar import Grammar, grammar
from shared.records import Positions, ends_of, find_records, is_blank, value_counts

USUAL, OTHERS = (",", ";", "\t", "|"), (":", " ", "^", "~", "#", "*", "!")
"""Delimiters, the more usual ones first."""
_CELLS, _MANY = 6_000, 200
"""Values and records of which the cleanness is a sample."""
_GOOD, _UNUSUAL, _LEAST = 0.6, 0.85, 0.45
"""Scores: enough not to try unusual delimiters; enough for these; enough for several columns."""
_TRIED = 1 << 18
_MOST = 0.8
"""The share of delimiters before a space, from which on such spaces are ignored."""
_NUMBER = (
    r"[-+(]? ?[$€£¥]? ?[-+]?"
    r"(?:\d{1,3}(?:[ ,.']\d{3})+|\d+)?(?:[.,]?\d+|\d[.,])(?:e[-+]?\d+)?"
    r"[-)]? ?[%$€£]?"
)
_DAY = r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}|(?:\d{1,2}[- ])?[a-z]{3}[- ]\d{2,4}"
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?"
_ZONE = r"(?:Z| ?[-+]\d\d:?\d\d)"
_TYPED = re.compile(rf"{_NUMBER}|(?:{_DAY})(?:[T ]{_TIME}{_ZONE}?)?|{_TIME}", re.IGNORECASE)
_LONGEST = 60
NULL_TOKENS = frozenset(
    itertools.chain.from_iterable(
        map(
            str.split,
            (
                "NA N/A n/a na #NA #N/A <NA> NaN nan NAN #NULL! NULL Null null (null)",
                r"None none NONE nil \N - -- --- . .. ?",
            ),
        )
    )
)
"""Texts that often mean "missing"."""
_MISSING = {"", *map(str.casefold, NULL_TOKENS)}


class Value(NamedTuple):
    """A value, and its text in the file, with quotes and spaces."""

    text: str
    raw: str


def is_missing(text: str) -> bool:
    """Return whether a text usually means that a value is missing."""
    return text.strip().casefold() in _MISSING


def is_typed(text: str) -> bool:
    """Return whether a text looks like a number, a date or a time."""
    return len(text) <= _LONGEST and _TYPED.fullmatch(text.strip()) is not None


@dataclass(frozen=True)
class Reading:
    """A text as records of a dialect.

    Attributes:
        text: the text, whose lines end with LF.
        begins, ends: the bytes at which the records begin and end; there are no blank lines and
            comments.
        widths: how many values each record has.
        damaged: the number of lines that are no records.
    """

    dialect: Dialect
    rules: Grammar
    text: bytes
    begins: Positions
    ends: Positions
    widths: Positions
    damaged: int

    @functools.cached_property
    def width(self) -> int:
        """The number of values of most records with more than one, else 1."""
        counts: Counter[int] = Counter(self.widths[self.widths > 1].tolist())
        if not counts:
            return 1
        return max(counts, key=lambda width: (counts[width], width))

    @functools.cached_property
    def lines(self) -> list[int]:
        """The number of the line on which each record begins."""
        feeds = np.flatnonzero(np.frombuffer(self.text, np.uint8) == ord("\n"))
        lines: list[int] = (np.searchsorted(feeds, self.begins) + 1).tolist()
        return lines

    @property
    def _has_gaps(self) -> bool:
        return self.dialect.skip_initial_space

    def raw(self, index: int) -> bytes:
        """Return the text of a record."""
        return self.text[self.begins[index] : self.ends[index]]

    def is_empty(self, index: int) -> bool:
        """Return whether a record has only empty values, without quotes."""
        return not self.raw(index).strip(self.dialect.delimiter.encode() + b" \r\n")

    def texts(self, index: int) -> list[str]:
        """Return the values of a record."""
        return [each.text for each in self.values(index)]

    def values(self, index: int) -> list[Value]:
        """Return the values of a record, with their texts in the file."""
        record = self.raw(index)
        if not any(mark in record for mark in (self.rules.quote, self.rules.escape) if mark):
            # Much faster than the grammar.
            raws = record.decode("utf-8", "replace").rstrip("\r\n").split(self.dialect.delimiter)
            return [Value(raw.lstrip(" ") if self._has_gaps else raw, raw) for raw in raws]
        found, at = [], 0
        for text in self.rules.values(record):
            raw = self.rules.value.match(record, at)
            found.append(Value(text, raw.group().decode("utf-8", "replace")))
            at = raw.end() + 1
        return found

    @functools.cached_property
    def score(self) -> float:
        """How well the dialect fits, 0 to 1.

        It is the share of the text that has records of one width, by number or by size, times how
        clean their values are.
        """
        wide = np.flatnonzero(self.widths == self.width)
        if self.width == 1:
            return 0
        sizes = self.ends - self.begins
        by_size = sizes[wide].sum() / len(self.text)
        by_number = len(wide) / (len(self.widths) + self.damaged)
        count = min(len(wide), max(20, _CELLS // self.width), _MANY)
        chosen = wide[np.linspace(0, len(wide) - 1, count).astype(np.intp)]
        cells = [_cleanness(each) for i in chosen.tolist() for each in self.values(i)]
        return float(max(by_number, by_size) * sum(cells) / len(cells))


def _cleanness(value: Value) -> float:
    """Return how much a text looks like one value, and not like several or a part of one."""
    text = value.text.strip()
    if is_typed(text):
        return 1
    if value.raw.strip() != text:
        return 0.7 if "\n" in text else 0.95  # it has quotes
    if re.search(r"""[,;\t|]|^(["']).*\1$""", text):
        return 0.5
    return 0.9


def read(text: bytes, dialect: Dialect, *, final: bool) -> Reading | None:
    """Read a text, whose lines end with LF; None if it has no record.

    If it is not `final`, records at its end that depend on what follows are left out.
    """
    rules = grammar(dialect, text)
    if rules is None:
        return None
    encoded = rules.encoded(text if text.endswith(b"\n") else text + b"\n")
    records = find_records(rules, encoded, final=final)
    good = b"".join(encoded[begin:end] for begin, end in records.spans)
    ends = ends_of(rules, good, are_lines=records.are_lines)
    begins = np.append(0, ends)[:-1]
    blank = is_blank(rules, good, begins)
    begins, ends = begins[~blank], ends[~blank]
    if not len(begins):
        return None
    widths = value_counts(rules, good, begins, ends)
    # From the text of all spans back to the whole text.
    bounds = np.array(records.spans, np.intp)
    offsets = np.cumsum(np.append(0, bounds[:, 1] - bounds[:, 0]))
    shifts = (bounds[:, 0] - offsets[:-1])[np.searchsorted(offsets, begins, "right") - 1]
    damaged = sum(encoded.count(b"\n", each.begin, each.end) for each in records.damages)
    return Reading(dialect, rules, encoded, begins + shifts, ends + shifts, widths, damaged)


def best(text: bytes, dialect: Dialect, told: str | None, *, is_whole: bool) -> Reading | None:
    """Return the reading that fits a text best; None if it has no records.

    Its dialect differs from the given one in quotes, escapes and, unless it is told, delimiter. The
    first lines decide, to limit the time.
    """
    lines = text if len(text) < _TRIED else text[: text.rfind(b"\n", 0, _TRIED) + 1] or text
    found = _best(lines, dialect, told, is_whole=is_whole and lines is text)
    if found is None or lines is text:
        return found
    return read(text, found.dialect, final=is_whole)


def _best(text: bytes, dialect: Dialect, told: str | None, *, is_whole: bool) -> Reading | None:
    def readings(delimiters: Iterable[str]) -> Iterator[Reading]:
        for delimiter in delimiters:
            if delimiter.encode() in text:
                for marks in _marks(text, delimiter):
                    tried = dialect.model_copy(update=marks)
                    if reading := read(text, tried, final=is_whole):
                        yield reading

    found = [*readings([told] if told else USUAL)]
    if not told and max((each.score for each in found), default=0) < _GOOD:
        found += (
            each
            for each in readings(OTHERS)
            if each.score > _UNUSUAL and each.widths[0] in {each.width, each.width - 1}
        )
    reading = max(found, key=lambda each: each.score, default=None)
    if reading is not None and (told or reading.score >= _LEAST):
        return reading
    unused = next((each for each in USUAL if each.encode() not in text), USUAL[0])
    plain = ({"delimiter": unused, **more} for more in ({}, {"quote_char": None}))
    tried = (read(text, dialect.model_copy(update=each), final=is_whole) for each in plain)
    return next(filter(None, tried), None)


def _marks(text: bytes, delimiter: str) -> Iterator[dict[str, Any]]:
    """Yield the properties of dialects whose marks are in a text, the simplest first."""
    mark = delimiter.encode()
    if delimiter == " ":
        spaces = [False]
    elif text.count(mark + b" ") > _MOST * text.count(mark):
        spaces = [True, False]
    else:
        spaces = [False, True] if mark + b' "' in text else [False]
    quotes: list[dict[str, Any]] = [{}]
    if b'"' in text:
        quotes += [{"quote_char": None}, {"lenient_quotes": True}]
    if delimiter != "\\" and (b'\\"' in text or b"\\" + mark in text):
        quotes.append({"escape_char": "\\"})
    if b"'" + mark in text or mark + b"'" in text:
        quotes.append({"quote_char": "'"})
    for more, space in itertools.product(quotes, spaces):
        yield {"delimiter": delimiter, "skip_initial_space": space, **more}
