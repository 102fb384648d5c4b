"""Values as YAML on one line, which any parser reads as these values, and no terminal obeys."""

import functools
import json
import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.()-]*( [A-Za-z0-9_.()-]+)*")
_LAST_OF_PLANE = 0xFFFF


def scalar(value: Any) -> str:
    """Return a text, a number, a truth value or null."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _is_plain(value):
        return value
    return '"' + "".join(map(_escaped, value)) + '"'


@functools.lru_cache(maxsize=10_000)  # the parser is slow, and names of properties repeat
def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text


def flow(value: Any) -> str:
    """Return a value that may consist of lists and mappings."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case _:
            return scalar(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    # Combining characters too, because Terraform would join them with the letter before.
    if character.isprintable() and (character.isascii() or character.isalpha()):
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > _LAST_OF_PLANE else f"\\u{code:04x}"
