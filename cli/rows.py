"""`tm rows`: rows of one key of any table, from the lookup API."""

from typing import Any

from cli.console import console, table_of
from cli.items import many

_SHOWN = 20


def show(key: str, rows: list[dict[str, Any]]) -> None:
    """Print the first rows, in the API's order, and the number of rows."""
    if not rows:
        console.print(f"No rows of {key}.")
        return
    console.print(table_of(rows[:_SHOWN]))
    if len(rows) > _SHOWN:
        console.print(f"… the first {_SHOWN}; --json prints all")
    console.print(f"{key}: {many(len(rows), 'row')}")
