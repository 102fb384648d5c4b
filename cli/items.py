"""The log's items, as commands show them."""

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
}
_STYLES: dict[str, str] = {
    Status.WAITING: "cyan",
    Status.RUNNING: "cyan",
    Status.SUCCESS: "green",
    Status.SUPERSEDED: "yellow",
    "removed": "yellow",
}
_FAILED = "red"
"""The colour of every other end."""


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


def has_run(item: Mapping[str, Any]) -> bool:
    """Tell whether an item is of a file that the state machine was given.

    Others are of an object that no contract takes, or of a file that did not come.
    """
    return "executionArn" in item


def current_run(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of an ingestion's current run."""
    history: list[dict[str, Any]] = item["history"]
    begun = max((n for n, entry in enumerate(history) if begins_run(entry)), default=0)
    return history[begun:]


def begins_run(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of a history is the first of a run."""
    return (entry["state"], entry["status"]) == (State.TRIGGER, Status.WAITING)


def is_loaded(item: Mapping[str, Any]) -> bool:
    """Tell whether the ingestion ended as one wishes."""
    return (item["state"], item["status"]) == (State.LOAD, Status.SUCCESS)


def standing(item: Mapping[str, Any]) -> str:
    """Return an item's status or, if its file and rows were removed since, `removed`."""
    return "removed" if "removedAt" in item else str(item["status"])


def counts(record: Mapping[str, Any]) -> str:
    """Return the row counts of an item or a step for people: `20,500 read, 20,495 loaded`."""
    return ", ".join(f"{record[name]:,} {word}" for name, word in _COUNTS.items() if name in record)


def many(number: int, what: str) -> str:
    """Return a number of things, such as `1 file` or `2,000 files`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def style(status: str) -> str:
    """Return the colour of a status, or of `removed`."""
    return _STYLES.get(status, _FAILED)


def transition(entry: Mapping[str, Any]) -> str:
    """Return one step of a history as a line."""
    text = f"{entry['at']}  {entry['state']:<9}  {entry['status']:<10}  {counts(entry)}"
    return text.rstrip()
