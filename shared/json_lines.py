"""Lines that are JSON objects (RFC 8259): each is a row, and its keys are the names of columns.

A string stands for its text; any other value for its text in the file, so that numbers stay exact.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from shared.contract import Contract
from shared.naming import folded, repeated
from shared.text import bounded, listed, quoted

MAX_DEPTH = 100
"""Maximum levels of arrays and objects in a value."""
RULE, UNKNOWN, REPEATED = "json", "unknownColumn", "repeatedColumn"
"""The rules that a line fails: it is no JSON object with a column of the contract; it has a column
of the contract, but also unknown ones, or one twice."""

_BLANKS = " \t\r\n"
_ELSEWHERE = -(10**6)
"""The place of a key that is not similar to any column."""
_MAX_KEYS, _MAX_KEY = 10_000, 200
"""How many keys, of how many characters, are remembered."""
_MAX_NAMES = 300  # characters of the contract's columns in a reason, to leave room for the cause
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[][{}]', re.DOTALL)
_DEEPER = {"{": 1, "[": 1, "}": -1, "]": -1}
_BEFORE_VALUE = re.compile(r'[ \t\r]*[{,][ \t\r]*(?P<key>"(?:[^"\\]++|\\.)*+")[ \t\r]*:[ \t\r]*')
_NESTED = {list, tuple}
_TEXTS = {True: "true", False: "false"}
_SURROGATE = re.compile("[\ud800-\udfff]")

Row = list[str | None]
"""The text of each column; None if it is missing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The rule that a line fails, and why."""

    rule: str
    reason: str


_DEEP = Fault(RULE, f"the line has a value of more than {MAX_DEPTH} levels")
_NO_OBJECT = Fault(RULE, "the line is JSON, but not an object: write {…}")
_NO_COLUMN = Fault(RULE, "the object has no column of the table")
_HALF = Fault(RULE, r"a text contains half of a surrogate pair, such as \ud800")


def is_deep(text: str, levels: int = MAX_DEPTH) -> bool:
    """Return whether a text has more levels of arrays and objects, even if it is not valid JSON."""
    if text.count("{") + text.count("[") <= levels:
        return False
    depth = 0
    for each in _STRING_OR_BRACKET.finditer(text):
        depth += _DEEPER.get(each[0], 0)
        if depth > levels:
            return True
    return False


class Objects:
    """Reader of lines as rows of a contract's table."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._places = _Places(contract)
        self.width = len(contract.columns)

    def read(self, lines: Iterable[bytes]) -> Iterator[Row | Fault | None]:
        """Yield for each line of UTF-8 its row, why it is none, or None if the line is blank."""
        for line in lines:
            try:
                text = line.decode()
                yield self._row(text) if text.strip(_BLANKS) else None
            except ValueError as error:
                yield _invalid(error)

    def refusal(self, line: str) -> str | None:
        """Return why a file with this first line that is not blank has no rows; None if it may."""
        text = line.strip(_BLANKS)
        if text.startswith("["):
            kind = "array"
        elif text.startswith("{") and _is_cut(text):
            kind = "object of several lines"
        else:
            return None
        return (
            f"begins a JSON {kind}: write each row as one JSON object on one line, with no array "
            "around the rows, e.g. with jq -c '.[]'"
        )

    def mismatch(self, number: int, line: bytes) -> str:
        """Return why a file is refused whose lines have no column; `line` is the first one."""
        names = bounded(", ".join(self._contract.header), _MAX_NAMES)
        first = next(self.read([line]))
        example = f"; line {number}: {first.reason}" if isinstance(first, Fault) else ""
        return (
            f"the file does not match the columns of {self._contract.table} ({names}): no line is "
            f"a JSON object with one of these keys{example}"
        )

    def _row(self, line: str) -> Row | Fault:
        """Return the row of a line; raise ValueError if it is not valid JSON."""
        if is_deep(line, MAX_DEPTH + 1):
            return _DEEP
        pairs = _DECODER.decode(line)
        if type(pairs) is not tuple:
            return _NO_OBJECT
        if not _NESTED.isdisjoint([type(value) for _, value in pairs]):
            pairs = _with_texts(line)
        row: Row = [None] * self.width
        taken, others = [], []
        places = self._places
        for key, value in pairs:
            place = places[key]
            if place < 0:
                others.append(key)
            else:
                taken.append(place)
                row[place] = _TEXTS[value] if type(value) is bool else value
        if not taken:
            return _NO_COLUMN
        if others and (unknown := self._unknown(others, {*taken})):
            return Fault(UNKNOWN, unknown)
        if len({*taken}) < len(taken):
            return Fault(REPEATED, self._repeated(taken))
        if "\\u" in line and any(text and _SURROGATE.search(text) for text in row):
            return _HALF
        return row

    def _unknown(self, keys: list[str], taken: set[int]) -> str | None:
        """Return why a row must not have these unknown keys beside its columns; None if it may."""
        columns = self._contract.columns
        similar = {key: -1 - self._places[key] for key in keys}
        texts = {
            key: f"{quoted(key)} instead of {quoted(columns[index].name)}"
            for key, index in similar.items()
            if index < len(columns) and index not in taken
        }
        if self._contract.header_policy.unknown == "refuse":
            return f"unknown: {listed([texts.get(key, quoted(key)) for key in similar])}"
        # A column would silently be null.
        return f"different only in case or blanks: {listed([*texts.values()])}" if texts else None

    def _repeated(self, taken: list[int]) -> str:
        header = self._contract.header
        names = repeated(header[index] for index in taken)
        return f"repeated: {listed([*map(quoted, names)])}"


class _Places(dict[str, int]):
    """The index of the column of each key; -1 - the index if the key is only similar to its name.

    The place of any other key is `_ELSEWHERE`.
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self._key = contract.header_policy.key
        named = [(name, i) for i, each in enumerate(contract.columns) for name in each.names]
        self._columns = {self._key(name): i for name, i in named}
        self._similar = {folded(name): -1 - i for name, i in named}

    def __missing__(self, key: str) -> int:
        # The names of a contract have this form too (`odcs`): an é may be one character or two.
        name = unicodedata.normalize("NFC", key)
        similar = self._similar.get(folded(name), _ELSEWHERE)
        place = self._columns.get(self._key(name), similar)
        if len(key) <= _MAX_KEY and len(self) < _MAX_KEYS:
            self[key] = place
        return place


def _with_texts(line: str) -> list[tuple[str, str | None]]:
    """Return the keys of an object, and the texts of its values."""
    pairs = []
    end = 0
    while before := _BEFORE_VALUE.match(line, end):
        value, end = _DECODER.raw_decode(line, before.end())
        is_text = value is None or type(value) is str
        pairs.append(
            (_DECODER.decode(before["key"]), value if is_text else line[before.end() : end])
        )
    return pairs


def _is_cut(text: str) -> bool:
    """Return whether a text is the beginning of JSON."""
    if is_deep(text, MAX_DEPTH + 1):
        return False
    try:
        _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except ValueError:
        return False
    return False


def _invalid(error: ValueError) -> Fault:
    why = f": {error}"
    if isinstance(error, json.JSONDecodeError):
        why = f" from character {error.pos + 1} on"
    return Fault(RULE, f"the line is not valid JSON{why}")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_constant, object_pairs_hook=tuple
)
"""Keeps numbers as they are written, and objects as tuples of their keys and values."""
