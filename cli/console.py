"""All that the operator's command prints goes through here, and nothing of it steers a terminal.

Values, keys, reasons and names come from suppliers' files and from other systems. So the consoles
know no markup and no emoji, print what is not printable as an escape, and print each text on one
line, or a key could look like a line of `tm`. Only `styled` gives text a colour.
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

_CELL = 60
"""How many characters of a value are shown."""


class _Console(Console):
    def __init__(self, **options: Any) -> None:
        """Take what `rich.console.Console` takes."""
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


# What is piped away has no width to be cut to.
_WIDTH = None if sys.stdout.isatty() else 200
console = _Console(width=_WIDTH)
errors = _Console(stderr=True)


def cell(text: str | None, width: int | None = _CELL) -> Text:
    """Return text for one cell of a table, on one line, and cut to `width` characters."""
    if text is None:
        return styled("–", "dim")
    cut = text if width is None or len(text) <= width else f"{text[: width - 1]}…"
    return Text(visible(cut))


def styled(text: str, style: str) -> Text:
    """Return text on one line, in a colour."""
    return Text(visible(text), style)


def right(name: str) -> Column:
    """Return a table's column whose cells stand at the right, as numbers do."""
    return Column(name, justify="right")


def line(*parts: str | Text) -> Text:
    """Return parts in a row, on one line."""
    return Text.assemble(*(visible(each) if isinstance(each, str) else each for each in parts))


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return rows of the same names, and of JSON's types, as a table."""
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
    """Print JSON for tools, with JSON's own escapes for what does not print."""
    typer.echo(_json(value, indent))


def print_json_array(values: Iterable[Any]) -> None:
    """Print the same for an array that is too long to be in memory, a line for each value."""
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


def print_text(text: str) -> None:
    """Print a line for tools: no colour, and not wrapped."""
    typer.echo(visible(text))
