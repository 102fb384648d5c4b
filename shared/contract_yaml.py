"""YAML loader for contracts, with limits on the cost of a document.

An invalid file must not affect other tables. The loader therefore limits a document's size, depth
and key length while it reads the YAML. The size counts expanded aliases, because nine lines of
nested aliases can expand to a gigabyte.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer

from shared.naming import repeated
from shared.text import is_storable, quoted

MAX_BYTES = 512 * 1024
_MAX_NODES = 100_000
"""Size limits of a contract. With 1,600 columns, each may take 320 bytes and 60 nodes."""
_LIMIT = f"{MAX_BYTES // 1024} KiB"
_MAX_DEPTH = 20  # twice the depth of the parts of the standard that the pipeline supports
_MAX_KEY = 100
_MAX_SCALAR = 100
"""Maximum characters of a key, and of a non-text value: Python parses long numbers slowly."""


def load(content: bytes) -> Any:
    """Return the parsed content of a contract file.

    Raises:
        yaml.YAMLError: it is not valid YAML.
        ValueError: it exceeds the limits of a contract, or has tags or unsuitable keys.
    """
    return yaml.load(_text(content), _Loader)  # noqa: S506 - _Loader is a safe loader


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file is larger than {_LIMIT}: shorten it")
    try:
        # Terraform normalizes every text it deploys to NFC:
        # https://developer.hashicorp.com/terraform/language/expressions/strings
        return unicodedata.normalize("NFC", content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"the file is not valid UTF-8: {error}: save it as UTF-8") from error


class _Loader(Composer, yaml.CSafeLoader):
    """Safe YAML loader with size limits, without tags, and with distinct text keys only.

    libyaml parses five times as fast as Python, which here only composes the values.
    """

    _depth = 0

    def __init__(self, text: str) -> None:
        yaml.CSafeLoader.__init__(self, text)
        Composer.__init__(self)
        self._extents: dict[yaml.Node, _Extent] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()
        where = f"line {event.start_mark.line + 1}"
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"{where}: the tag {quoted(event.tag)} is not allowed: remove it")
        self._depth += 1
        _check_extent(_Extent(self._depth, len(self._extents), 0), where)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and not isinstance(event, yaml.AliasEvent):
            self._extents[node] = self._extent(node, where)
        elif node not in self._extents:
            raise ValueError(f"{where}: an alias refers to a value that contains it: remove it")
        return node

    def _extent(self, node: yaml.Node, where: str) -> "_Extent":
        match node:
            case yaml.ScalarNode():
                _check_scalar(node, where)
                return _Extent(1, 1, len(node.value))
            case yaml.MappingNode():
                parts = [self._extents[part] for pair in node.value for part in pair]
            case _:
                parts = [self._extents[part] for part in node.value]
        extent = _Extent(
            1 + max((part.depth for part in parts), default=0),
            1 + sum(part.nodes for part in parts),
            sum(part.characters for part in parts),
        )
        _check_extent(extent, where)
        return extent

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        line = node.start_mark.line + 1
        for key in keys:
            if not isinstance(key, str) or len(key) > _MAX_KEY:
                raise ValueError(
                    f"the mapping at line {line}: the key {quoted(str(key))} is not a text of up "
                    f"to {_MAX_KEY} characters: shorten it, or quote `yes`, `no` or a number"
                )
        if twice := repeated(keys):
            raise ValueError(
                f"the mapping at line {line} has duplicate keys {twice}: keep one of each"
            )
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class _Extent:
    """Depth and size of a part of the document, with aliases expanded."""

    depth: int
    nodes: int
    characters: int


def _check_extent(extent: _Extent, where: str) -> None:
    if extent.depth > _MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {_MAX_DEPTH} levels deep: flatten it")
    if extent.nodes > _MAX_NODES or extent.characters > MAX_BYTES:
        raise ValueError(
            f"{where}: the contract exceeds {_LIMIT} or {_MAX_NODES:,} values with its aliases "
            "expanded: shorten it"
        )


def _check_scalar(node: yaml.ScalarNode, where: str) -> None:
    text = node.tag == "tag:yaml.org,2002:str"
    if not text and len(node.value) > _MAX_SCALAR:
        raise ValueError(
            f"{where}: a number or date has more than {_MAX_SCALAR} characters: shorten or quote it"
        )
    if not is_storable(node.value):
        raise ValueError(
            f"{where}: a text contains NUL or an unpaired surrogate: remove that character"
        )
