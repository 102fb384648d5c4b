"""Safe output of the operator's command: untrusted text cannot control the terminal.

Values, keys, reasons and names come from suppliers' files and other systems. Therefore the consoles
ignore markup and emoji, escape unprintable characters, and print each text on one line. Otherwise a
key could imitate a line of `tm`. Only `styled` adds colour.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from shared.text import visible

_CELL = 60  # maximum length of a shown value, in characters


class _Console(Console):
    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, soft_wrap=True, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print each text on one line."""
        super().print(
            *(line(each) if isinstance(each, str) else each for each in objects), **options
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text, kept="\n"), style, control)


# Piped output has no terminal width.
_WIDTH = None if sys.stdout.isatty() else 200
console = _Console(width=_WIDTH)
errors = _Console(stderr=True)


def collapsed(text: str) -> str:
    """Return text with each run of white space replaced by one space."""
    return " ".join(text.split())


def cell(text: str | None, width: int | None = _CELL) -> Text:
    """Return text for a table cell, on one line, cut to `width` characters."""
    if text is None:
        return styled("–", "dim")
    cut = text if width is None or len(text) <= width else f"{text[: width - 1]}…"
    return Text(visible(cut))


def styled(text: str, style: str) -> Text:
    """Return text on one line in a style, e.g. a colour."""
    return Text(visible(text), style)


def right(name: str) -> Column:
    """Return a right-aligned table column, for numbers."""
    return Column(name, justify="right")


def line(*parts: str | Text) -> Text:
    """Join parts into one line."""
    return Text.assemble(*(visible(each) if isinstance(each, str) else each for each in parts))


def advised(advice: str) -> Text:
    """Return lines of a contract that would accept a file, below a heading."""
    text = "\n".join(["To accept such files:", *map(visible, advice.split("\n"))])
    return Text(text, no_wrap=True, overflow="ignore")


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of rows that have the same names and JSON values."""
    names = list(rows[0])
    numeric = {name for name in names if all(_is_number(row[name]) for row in rows)}
    table = Table(*(right(name) if name in numeric else name for name in names), box=None)
    for row in rows:
        table.add_row(*(cell(_text(row[name])) for name in names))
    return table


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON, with unprintable characters escaped."""
    typer.echo(_json(value, indent))


def print_json_array(values: Iterable[Any]) -> None:
    """Print values as a JSON array, one line each, without holding all of them in memory."""
    before = "["
    for value in values:
        typer.echo(f"{before}\n  {_json(value)}", nl=False)
        before = ","
    typer.echo("[]" if before == "[" else "\n]")


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def print_lines(text: str, kept: str = "\n") -> None:
    """Print lines without colour or wrapping, for other programs; escape unprintable characters.

    `kept` are those that are not escaped.
    """
    typer.echo(visible(text, kept), nl=False)


def print_text(text: str) -> None:
    """Print a line without colour or wrapping, for other programs."""
    typer.echo(visible(text))
