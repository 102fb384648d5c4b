"""`tm user`: what the look-up API says of one user."""

from decimal import Decimal
from typing import Any

from rich.table import Table

from cli import api
from cli.console import cell, console, right
from cli.stack import Stack

_SHOWN = 20


def ask(stack: Stack, user: str) -> list[dict[str, Any]]:
    """Return every row of `user`.

    Raises:
        CommandError: the API refused to answer.
    """
    return api.rows(stack, None, user)


def show(user: str, rows: list[dict[str, Any]]) -> None:
    """Print the newest rows and the sums for people."""
    if not rows:
        console.print(f"No rows of {user}.")
        return
    table = Table("timestamp", "project", right("hours"), box=None)
    for row in sorted(rows, key=lambda row: str(row["timestamp"]), reverse=True)[:_SHOWN]:
        table.add_row(*(cell(row[name]) for name in ("timestamp", "project", "hours")))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"… the newest {_SHOWN}; --json gives all")
    hours = sum((Decimal(row["hours"]) for row in rows), Decimal(0))
    console.print(f"{user}: {len(rows):,} rows, {hours:,} h")
