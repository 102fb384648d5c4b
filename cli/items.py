"""Log items in the form in which commands show them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.endings import State, Status

Item = dict[str, Any]

_COUNTS = {
    "rowsRead": "read",
    "rowsClean": "clean",
    "rowsSuspect": "suspect",
    "rowsLoaded": "loaded",
    "rowsRejected": "rejected",
    "emptyRows": "empty",
    "footerLines": "in the footer",
    "totalsVerified": "totals verified",
}
_STYLES: dict[str, str] = {
    Status.WAITING: "cyan",
    Status.QUEUED: "cyan",
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.SUPERSEDED: "yellow",
    "removed": "yellow",
}
_FAILED = "red"  # style of every other status


def plain(value: Any) -> Any:
    """Return a DynamoDB value in JSON's types: numbers for Decimals, sorted lists for sets."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case set() | frozenset():
            return sorted(plain(each) for each in value)
        case list() | tuple():
            return [plain(each) for each in value]
    return value


def has_run(item: Mapping[str, Any]) -> bool:
    """Return whether an ingestion has a run; rejected and missing files have none."""
    return "executionArn" in item


def current_run(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of an ingestion's current run."""
    history: list[dict[str, Any]] = item["history"]
    start = max((n for n, entry in enumerate(history) if starts_run(entry)), default=0)
    return history[start:]


def starts_run(entry: Mapping[str, Any]) -> bool:
    """Return whether a history entry is the first of a run."""
    return (entry["state"], entry["status"]) == (State.TRIGGER, Status.QUEUED)


def is_loaded(item: Mapping[str, Any]) -> bool:
    """Return whether the ingestion's outcome is that its file was loaded."""
    return (item["state"], item["status"]) == (State.LOAD, Status.SUCCESS)


def standing(item: Mapping[str, Any]) -> str:
    """Return an item's status, or `removed` if its file and rows were removed."""
    return "removed" if "removedAt" in item else str(item["status"])


def counts(record: Mapping[str, Any]) -> str:
    """Return the row counts of an item or a step, e.g. `20,500 read, 20,495 loaded`."""
    return ", ".join(f"{record[name]:,} {word}" for name, word in _COUNTS.items() if name in record)


def many(number: int, noun: str) -> str:
    """Return a number and a noun, e.g. `1 file` or `2,000 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def style(status: str) -> str:
    """Return the style of a status or of `removed`."""
    return _STYLES.get(status, _FAILED)


def transition(entry: Mapping[str, Any]) -> str:
    """Return a history entry as a line."""
    text = f"{entry['at']}  {entry['state']:<9}  {entry['status']:<10}  {counts(entry)}"
    return text.rstrip()
