"""The log's items, as commands show them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.progress import State, Status

Item = dict[str, Any]

_COUNTS = {
    "rowsRead": "read",
    "rowsClean": "clean",
    "rowsSuspect": "suspect",
    "rowsLoaded": "loaded",
    "rowsRejected": "rejected",
}
_STYLES = {
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.FAIL: "red",
    Status.REJECTED: "red",
    Status.SUPERSEDED: "yellow",
}


def plain(value: Any) -> Any:
    """Return what DynamoDB gave in the types of JSON: numbers for Decimals, lists for sets."""
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


def current_run(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of an ingestion's current run: each run's first is that of the trigger."""
    history: list[dict[str, Any]] = item["history"]
    begun = max(n for n, entry in enumerate(history) if entry["state"] == State.TRIGGER)
    return history[begun:]


def counts(record: Mapping[str, Any]) -> str:
    """Return the row counts of an item or a step for people: `20,500 read, 20,495 loaded`."""
    return ", ".join(f"{record[name]:,} {word}" for name, word in _COUNTS.items() if name in record)


def style(status: str) -> str:
    """Return the colour of a status."""
    return _STYLES[Status(status)]
