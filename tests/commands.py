"""The commands in a Markdown text, and whether `tm` accepts them."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from cli.main import app

_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def in_blocks(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in the shell blocks of a text."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _simple(line)


def in_line(text: str, command: str) -> list[str]:
    """Return the inline code that begins with a command, sorted and each once."""
    code = re.findall(r"`([^`]+)`", _FENCED.sub("", text))
    return sorted({" ".join(each.split()) for each in code if each.startswith(f"{command} ")})


def _simple(line: str) -> Iterator[list[str]]:
    """Split a line of shell into its simple commands."""
    words: list[str] = []
    tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    for token in (*tokens, ";"):
        if not set(token) <= set("();<>|&"):
            words.append(token)
        elif words:
            yield words[1:] if words[0] == "time" else words
            words = []


def of_tm(words: list[str]) -> tuple[Any, str, list[str]]:
    """Return the command that words after `tm` name, its name, and its arguments."""
    group: Any = get_command(app)
    name, found, rest = group.resolve_command(group.make_context("tm", [*words]), words)
    return found, name, rest


def parse_tm(words: list[str]) -> None:
    """Parse the words after `tm` as `tm` does; raise what it raises."""
    found, name, rest = of_tm(words)
    found.make_context(name, rest)


def unknown_options(words: list[str]) -> set[str]:
    """Return the options that a `tm` command does not have; a usage line with brackets is fine."""
    found, _, rest = of_tm([word.strip("[]") for word in words])
    known = {option for each in found.params for option in (*each.opts, *each.secondary_opts)}
    return {word for word in rest if word.startswith("--")} - known
