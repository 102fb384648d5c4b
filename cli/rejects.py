"""`tm rejects`: rejected rows of an ingestion, with rules and reasons."""

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from cli import status as log
from cli.console import cell, console, right, styled
from cli.errors import CommandError
from cli.items import Item, has_run
from cli.stack import Stack
from shared.endings import PENDING
from shared.ingestion import Ingestion
from shared.staging import Staging

_SHOWN = 100
_STYLES = {"error": "red", "warning": "yellow"}

Record = dict[str, Any]


def find(stack: Stack, ingested_id: str) -> Item:
    """Return the log item of an ingestion; raise CommandError if there is none."""
    return log.find(stack, ingested_id)[0]


def records(stack: Stack, item: Item) -> Iterator[Record]:
    """Yield the reject records of an ingestion, by line."""
    if (body := _body(stack, item)) is not None:
        yield from map(json.loads, body.iter_lines())


def save(stack: Stack, item: Item, out: Path) -> bool:
    """Write the rejects as CSV, escaped for spreadsheets; return whether there are any.

    Raises:
        CommandError: `out` cannot be written.
    """
    if (body := _body(stack, item, as_csv=True)) is None:
        return False
    try:
        with out.open("wb") as file:
            shutil.copyfileobj(body, file)
    except OSError as error:
        raise CommandError(f"Cannot write {out}: {error.strerror}.") from error
    return True


def show(found: Iterable[Record], shown: int = _SHOWN) -> None:
    """Print the first records and how many more there are."""
    found = iter(found)
    table = Table(right("line"), "column", "value", "rule", "severity", "reason", box=None)
    for each in itertools.islice(found, shown):
        table.add_row(
            str(each["line"]),
            cell(each["column"]),
            cell(each["value"]),
            cell(each["rule"]),
            severity(each["severity"]),
            cell(each["reason"], width=None),
        )
    console.print(table)
    if more := sum(1 for _ in found):
        console.print(f"… and {more:,} more; --json prints all")


def severity(name: str) -> Text:
    """Return a severity with its style."""
    return styled(name, _STYLES[name])


def none_of(item: Item) -> str:
    """Return a line that explains why an ingestion has no rejects."""
    ingested_id, state, status = item["ingestedID"], item["state"], item["status"]
    if status in PENDING:
        return f"Ingestion {ingested_id} has no rejects yet: it is {status} in {state}."
    reason = f": {item['haltReason']}" if item.get("haltReason") else ""
    return f"Ingestion {ingested_id} has no rejects. Its outcome is {state}: {status}{reason}."


def _body(stack: Stack, item: Item, *, as_csv: bool = False) -> Any:
    if not has_run(item):
        return None
    staging = Staging(stack.staging_bucket, Ingestion.from_item(item))
    uri = staging.rejects_csv if as_csv else staging.rejects
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        return stack.s3.get_object(Bucket=bucket, Key=key)["Body"]
    except stack.s3.exceptions.NoSuchKey:
        return None
