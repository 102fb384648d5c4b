"""Edits of a YAML text that keep its comments, order and style."""

import difflib
import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from cli.drafting.document import entry, flow, scalar
from shared import contract_yaml

_NO_NEWLINE = "\n\\ No newline at end of file\n"
_KEYS = ("name", "property")
"""The keys of an item that tell which one it is."""


class Written(dict[str, Any]):
    """A mapping as an item of a block sequence, with the lines that write it, comments included."""

    def __init__(self, lines: list[str]) -> None:
        """Take the lines of a sequence that has only this item."""
        super().__init__(yaml.safe_load("\n".join(lines))[0])
        self.lines = lines


@dataclass(frozen=True, slots=True)
class _Edit:
    """The characters from `start` to `end` are replaced by a text."""

    start: int
    end: int
    text: str


def edited(text: str, have: Any, want: Any) -> str:
    """Return a YAML text that has a value, with as few changes of another text as possible.

    Args:
        text: YAML without tags.
        have: its value, as contracts are read.
        want: the value to have, which must not have fewer keys or items.

    Raises:
        ValueError: the text has a part that cannot be edited, e.g. an alias of an anchor.
    """
    root = yaml.compose(text, yaml.SafeLoader)
    edits = [] if root is None else [*_Text(text).edits(root, have, want)]
    parts, end = [], 0
    for each in sorted(edits, key=lambda edit: edit.start):
        parts += [text[end : each.start], each.text]
        end = each.end
    new = "".join([*parts, text[end:]])
    try:
        found = contract_yaml.load(new.encode())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if found != want:
        raise ValueError("the edited text has another value")
    return new


def patch(name: str, old: str, new: str) -> str:
    """Return the differences of two texts of a file as `git apply` and `patch -p1` take them."""
    before, after = ([*io.StringIO(text, newline="\n")] for text in (old, new))
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


class _Text:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_end = "\r\n" if "\r\n" in text else "\n"

    def edits(self, node: yaml.Node, have: Any, want: Any) -> Iterator[_Edit]:
        """Yield the edits that give a node another value."""
        if have == want:
            return
        match node:
            case yaml.MappingNode() if _is_kept(have, want):
                yield from self._of_mapping(node, have, want)
            case yaml.SequenceNode() if _is_kept(have, want):
                yield from self._of_sequence(node, have, want)
            case _:
                yield _Edit(node.start_mark.index, self._end(node), flow(want))

    def _of_mapping(
        self, node: yaml.MappingNode, have: dict[str, Any], want: dict[str, Any]
    ) -> Iterator[_Edit]:
        nodes = {unicodedata.normalize("NFC", key.value): value for key, value in node.value}
        for name, value in nodes.items():
            yield from self.edits(value, have[name], want[name])
        for name, value in want.items():
            if name in nodes or (name in have and have[name] == value):
                continue
            if node.flow_style:
                yield self._in_flow(node, f"{scalar(name)}: {flow(value)}")
            else:
                first, last = node.value[0][0], node.value[-1][1]
                yield self._after(last, entry(name, value), first.start_mark.column)

    def _of_sequence(
        self, node: yaml.SequenceNode, have: list[Any], want: list[Any]
    ) -> Iterator[_Edit]:
        count = 0  # items before the next one
        for item in want:
            if count < len(have) and _is_same(have[count], item):
                yield from self.edits(node.value[count], have[count], item)
                count += 1
            elif node.flow_style:
                yield self._in_flow(node, flow(item), count)
            else:
                column = node.start_mark.column
                lines = item.lines if isinstance(item, Written) else [f"- {flow(item)}"]
                if count:
                    yield self._after(node.value[count - 1], lines, column)
                else:
                    at = node.start_mark.index - column
                    yield _Edit(at, at, self._indented(lines, column, end=self._line_end))

    def _in_flow(self, node: yaml.CollectionNode, text: str, count: int | None = None) -> _Edit:
        """Return the insertion of an entry after as many others, or after all of them."""
        before = node.value[:count]
        if before:
            last = before[-1]
            at = self._end(last[1] if isinstance(last, tuple) else last)
            return _Edit(at, at, f", {text}")
        at = node.start_mark.index + 1
        return _Edit(at, at, f"{text}, ")

    def _after(self, node: yaml.Node, lines: list[str], column: int) -> _Edit:
        """Return the insertion of lines after the last line of a node."""
        end = self._end(node)
        at = self._text.find("\n", end)
        at = len(self._text) if at < 0 else at - (self._text[at - 1] == "\r")
        return _Edit(at, at, self._indented(lines, column, begin=self._line_end))

    def _indented(self, lines: list[str], column: int, begin: str = "", end: str = "") -> str:
        return "".join(f"{begin}{' ' * column}{line}{end}" for line in lines)

    def _end(self, node: yaml.Node) -> int:
        """Return where a node ends, without what follows on its last line."""
        if isinstance(node, yaml.ScalarNode) and node.style not in {"|", ">"}:
            return int(node.end_mark.index)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            last = node.value[-1]
            return self._end(last[1] if isinstance(last, tuple) else last)
        return len(self._text[: node.end_mark.index].rstrip())


def _is_kept(have: Any, want: Any) -> bool:
    """Return whether there are keys or items, and all of them are in another value, in order."""
    match have, want:
        case dict(), dict():
            return bool(have) and have.keys() <= want.keys()
        case list(), list():
            rest = iter(want)
            return bool(have) and all(any(_is_same(item, each) for each in rest) for item in have)
        case _:
            return False


def _is_same(have: Any, want: Any) -> bool:
    """Return whether an item replaces another one."""
    if isinstance(have, dict) and isinstance(want, dict):
        named = [(have[key], want.get(key)) for key in _KEYS if key in have]
        if named:
            return all(old == new for old, new in named)
    return bool(have == want)
