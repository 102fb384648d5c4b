"""`tm user`: rows of one user from the route `/get`, which is the sample's unless configured."""

from decimal import Decimal
from typing import Any

from rich.table import Table

from cli import api
from cli import rows as lookup
from cli.console import cell, console, right
from cli.items import many
from cli.stack import Stack

_SHOWN = 20
_FIELDS = ("timestamp", "project", "hours")
"""The fields of check-ins."""


def ask(stack: Stack, user: str) -> list[dict[str, Any]]:
    """Return every row of a user."""
    return api.rows(stack, None, user)


def show(user: str, rows: list[dict[str, Any]]) -> None:
    """Print the newest rows, the number of rows and the sum of hours."""
    if not rows or not {*_FIELDS} <= rows[0].keys():
        lookup.show(user, rows)  # of another table
        return
    table = Table("timestamp", "project", right("hours"), box=None)
    for row in sorted(rows, key=lambda row: str(row["timestamp"]), reverse=True)[:_SHOWN]:
        table.add_row(*(cell(row[name]) for name in _FIELDS))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"… the newest {_SHOWN}; --json prints all")
    hours = sum((Decimal(row["hours"]) for row in rows), Decimal(0))
    console.print(f"{user}: {many(len(rows), 'row')}, {hours:,} h")
