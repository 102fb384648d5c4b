"""The consoles that all commands print to."""

import sys

from rich.console import Console
from rich.markup import escape

# What is piped away has no width to be cut to.
_WIDTH = None if sys.stdout.isatty() else 200

console = Console(highlight=False, soft_wrap=True, width=_WIDTH)
errors = Console(highlight=False, soft_wrap=True, stderr=True)

_CELL = 60
"""How many characters of a value are shown."""


def cell(text: str | None, width: int | None = _CELL) -> str:
    """Return a supplier's text as markup for one cell: it cannot steer the terminal."""
    if text is None:
        return "[dim]–[/]"
    cut = text if width is None or len(text) <= width else f"{text[: width - 1]}…"
    return escape(
        "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut
        )
    )
