"""Whether files come and are loaded, and whether runs come to an end."""

import datetime as dt
import itertools
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from cli import status as log
from cli.health.finding import Finding, ok, one_or_all, wrong
from cli.items import Item
from cli.stack import Stack
from shared.contract import Contract
from shared.endings import UNDER_WAY, Status
from shared.ingestion_log import was_loaded

_LOOKBACK = dt.timedelta(days=31)
"""How far back the last load of a table is looked for."""
_PROMISED = dt.timedelta(days=8)
"""How far back a promised file is: a week without one is longer than any week-end."""
_RECENT = dt.timedelta(days=1)
"""How far back failures are looked for."""
_STUCK = dt.timedelta(minutes=30)
"""After that watch has closed what can be closed: it looks every 15 at what is older than 10."""


def last_loads(stack: Stack) -> Iterator[Finding]:
    """Tell of each table when it was last loaded, and whether that is what was promised."""
    contracts = stack.contracts
    last = _last_loads(stack, set(contracts))
    for table, contract in contracts.items():
        load = last.get(table)
        told = f"{table}: none within {_LOOKBACK.days} days"
        if load is not None:
            told = f"{table}: that of {load['dataDate']}, {_ago(load)} ago"
        overdue = _overdue(stack, contract)
        if overdue is None:
            yield ok(told)
        else:
            day, by = overdue
            yield wrong(
                f"{told}; that of {day} was due by {by:%Y-%m-%d %H:%M} UTC",
                f"`tm status --table {table} --date {day}` shows whether it came",
            )


def failures(stack: Stack) -> list[Finding]:
    """Look for recent failures that nobody has put right: no newer load of the same key."""
    since = dt.datetime.now(dt.UTC) - _RECENT
    failed = [*log.newest(stack, log.Filter((Status.FAIL,), since=since))]
    loaded = {
        item["sourceKey"]: item["updatedAt"]
        for item in reversed([*log.newest(stack, log.Filter((Status.SUCCESS,), since=since))])
    }
    found = [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} failed {_ago(item)} ago at "
            f"{item['state']}: {item['haltReason']}",
            f"`tm status {item['ingestedID']}`",
        )
        for item in failed
        if "removedAt" not in item and loaded.get(item["sourceKey"], "") < item["updatedAt"]
    ]
    return one_or_all(found, f"none within {_RECENT.days * 24} hours that is not put right")


def runs(stack: Stack) -> list[Finding]:
    """Look for runs that the log believes in and that are over, and for files that wait in vain."""
    under_way = list(log.newest(stack, log.Filter((Status.RUNNING,))))
    old = [item for item in under_way if _age(item) > _STUCK]
    ended = [(item, end) for item in old if (end := _end(stack, item)) is not None]
    found = [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} is running for the log, unchanged "
            f"for {_ago(item)}, but its run {end}: watch should have closed it",
            f"`tm replay {item['ingestedID']}`",
        )
        for item, end in ended
    ]
    waiting = list(itertools.islice(stack.log.waiting(), 1))
    free = int(stack.outputs["max_concurrency"]) - len(stack.log.slots())
    found += [
        wrong(
            f"{item['ingestedID']} of {item['ingestedTable']} has waited for a run for "
            f"{_ago(item)}, though {free} more may be under way: watch should have started it",
            f"`tm replay {item['ingestedID']}`",
        )
        for item in waiting
        if free > 0 and _age(item) > _STUCK
    ]
    return one_or_all(found, f"{len(under_way)} under way, none is stuck")


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
    """Return the last day whose file should be loaded by now, and since when, if it is not."""
    now = dt.datetime.now(dt.UTC)
    # As watch has it: nobody expected a file of a stack that was not there yet.
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
    """Say how the run of an item ended; None if it is under way."""
    run = stack.intake.gate.describe(item["executionArn"])
    if run is None:
        return "never began, or ended more than 90 days ago"
    return None if run["status"] == "RUNNING" else f"ended as {run['status']}"


def _age(item: Item) -> dt.timedelta:
    return dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(item["updatedAt"])


def _ago(item: Item) -> str:
    hours = _age(item).total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
