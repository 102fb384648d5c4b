"""Checks of ingestions: last loads, failures, and stuck runs."""

import datetime as dt
import itertools
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from cli import status as log
from cli.health.finding import Finding, ok, one_or_all, wrong
from cli.items import Item, many
from cli.stack import Stack
from shared.contract import Contract
from shared.endings import UNDER_WAY, Status
from shared.ingestion_log import was_loaded

_LOOKBACK = dt.timedelta(days=31)  # how far back to search for the last load of a table
_PROMISED = dt.timedelta(days=8)  # how far back to search for due files: longer than any weekend
_RECENT = dt.timedelta(days=1)  # how far back to search for failures
_STUCK = dt.timedelta(minutes=30)
"""Older ingestions are stuck: watch runs every 15 minutes and closes those older than 10."""


def last_loads(stack: Stack) -> Iterator[Finding]:
    """Check that each table was loaded as often as its contract promises."""
    contracts = stack.contracts
    last = _last_loads(stack, set(contracts))
    for table, contract in contracts.items():
        load = last.get(table)
        last_load = f"{table}: no load within {_LOOKBACK.days} days"
        if load is not None:
            last_load = f"{table}: file of {load['dataDate']} loaded {_ago(load)} ago"
        overdue = _overdue(stack, contract)
        if overdue is None:
            yield ok(last_load)
        else:
            day, by = overdue
            yield wrong(
                f"{last_load}; the file of {day} was due by {by:%Y-%m-%d %H:%M} UTC",
                f"`tm status --table {table} --date {day}` shows whether it landed",
            )


def failures(stack: Stack) -> list[Finding]:
    """Check for recent failures without a newer load of the same key."""
    since = dt.datetime.now(dt.UTC) - _RECENT
    failed = [*log.newest(stack, log.Filter((Status.FAIL,), since=since))]
    loaded = {
        item["sourceKey"]: item["updatedAt"]
        for item in reversed([*log.newest(stack, log.Filter((Status.SUCCESS,), since=since))])
    }
    found = [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} failed {_ago(item)} ago in "
            f"{item['state']}: {item['haltReason']}",
            f"`tm status {item['ingestedID']}`",
        )
        for item in failed
        if "removedAt" not in item and loaded.get(item["sourceKey"], "") < item["updatedAt"]
    ]
    return one_or_all(found, f"no unresolved failures within {_RECENT.days * 24} hours")


def runs(stack: Stack) -> list[Finding]:
    """Check for ended runs that the log shows as running, and for files that wait too long."""
    under_way = list(log.newest(stack, log.Filter((Status.RUNNING,))))
    old = [item for item in under_way if _age(item) > _STUCK]
    ended = [(item, end) for item in old if (end := _end(stack, item)) is not None]
    found = [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} is `running` in the log, unchanged "
            f"for {_ago(item)}, but its run {end}: watch should have closed it",
            f"`tm replay {item['ingestedID']}`",
        )
        for item, end in ended
    ]
    waiting = list(itertools.islice(stack.log.queued(), 1))
    free = int(stack.outputs["max_concurrency"]) - len(stack.log.slots())
    found += [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} has waited for {_ago(item)}, "
            f"although {many(free, 'more run')} may start: watch should have started it",
            f"`tm replay {item['ingestedID']}`",
        )
        for item in waiting
        if free > 0 and _age(item) > _STUCK
    ]
    return one_or_all(found, f"{many(len(under_way), 'run')} in progress, none is stuck")


def _last_loads(stack: Stack, tables: set[str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    since = dt.datetime.now(dt.UTC) - _LOOKBACK
    for item in log.newest(stack, log.Filter((Status.SUCCESS,), since=since)):
        if "removedAt" not in item:
            found.setdefault(item["ingestedTable"], item)
        if found.keys() >= tables:
            break
    return found


def _overdue(stack: Stack, contract: Contract) -> tuple[dt.date, dt.datetime] | None:
    """Return the day and due time of the newest due file if it was not loaded, else None."""
    now = dt.datetime.now(dt.UTC)
    # As in watch: files of days before the stack existed are not due.
    first = stack.log.begun().astimezone(ZoneInfo(contract.timezone)).date()
    due = {day: by for day, by in contract.due(now - _PROMISED, now).items() if day > first}
    if not due:
        return None
    day = max(due)
    items = list(stack.log.of_day(day, contract.table))
    if any(item["status"] in UNDER_WAY or was_loaded(item) for item in items):
        return None
    return day, due[day]


def _end(stack: Stack, item: Item) -> str | None:
    """Return how the run of an item ended, or None if it is running."""
    run = stack.intake.gate.describe(item["executionArn"])
    if run is None:
        return "never started, or ended more than 90 days ago"
    return None if run["status"] == "RUNNING" else f"ended with {run['status']}"


def _age(item: Item) -> dt.timedelta:
    return dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(item["updatedAt"])


def _ago(item: Item) -> str:
    hours = _age(item).total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
