"""`tm status`: ingestions from the log, once or continuously."""

import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli import drop
from cli.console import (
    advised,
    cell,
    collapsed,
    console,
    errors,
    line,
    print_json,
    print_text,
    right,
    styled,
)
from cli.errors import CommandError
from cli.items import Item, counts, has_run, is_loaded, plain, standing, style, transition
from cli.stack import Stack
from cli.timeline import LoggedRun, runs
from shared.endings import PENDING, Status
from shared.ingestion import Ingestion
from shared.ingestion_log import changed_at, is_alert_settled, key_of, timestamp

_POLL = 2.0  # seconds between two reads
_WIDE = 100
_WITH_REASON = 150
"""Minimum terminal widths, in characters: of a table, and of one with reasons."""
_SHORT = 60  # maximum length of a reason in a table, in characters


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions for ingestions, combined with AND; None means any value."""

    statuses: tuple[Status, ...] = tuple(Status)
    table: str | None = None
    since: dt.datetime | None = None
    """Earliest time of the last change."""
    day: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The newest ingestions, and whether there are more."""

    items: list[Item]
    more: bool


def find(stack: Stack, ingested_id: str) -> list[Item]:
    """Return the log items of an ID; raise CommandError if there is none.

    An ID of missing files has one item per table, because the tables share it. Other IDs have one.
    """
    items = stack.log.of_id(ingested_id)
    if not items:
        raise CommandError(
            f"The log has no ingestion {ingested_id}: list ingestions with `tm status`."
        )
    return [plain(item) for item in items]


def find_run(stack: Stack, ingested_id: str) -> Item:
    """Return the item of an ingestion that has a run; raise CommandError if there is none."""
    item = find(stack, ingested_id)[0]
    if has_run(item):
        return item
    if item["status"] == Status.MISSING:
        raise CommandError(
            f"{ingested_id} has no run because its file has not landed: upload it with `tm drop`."
        )
    raise CommandError(
        f"{ingested_id} has no run because its file was rejected: {item['haltReason']}. To load "
        "the file, upload it again with `tm drop`."
    )


def listing(stack: Stack, wanted: Filter, limit: int) -> Listing:
    """Return at most `limit` matching ingestions, last changed first."""
    found = list(itertools.islice(newest(stack, wanted), limit + 1))
    return Listing(found[:limit], len(found) > limit)


def newest(stack: Stack, wanted: Filter) -> Iterator[Item]:
    """Yield the matching ingestions, last changed first."""
    if wanted.day is None:
        items = stack.log.newest(wanted.statuses, table=wanted.table, since=wanted.since)
    else:
        of_day = sorted(stack.log.of_day(wanted.day, wanted.table), key=changed_at, reverse=True)
        since = "" if wanted.since is None else timestamp(wanted.since)
        items = (
            item
            for item in of_day
            if item["status"] in wanted.statuses and changed_at(item) >= since
        )
    yield from map(plain, items)


def show(found: Listing) -> None:
    """Print a list for people."""
    console.print(_list(found.items))


def backlog(stack: Stack) -> str | None:
    """Return a line about the files that wait, or None if there are none."""
    queued, waiting = stack.log.count(Status.QUEUED), stack.log.count(Status.WAITING)
    lines = []
    if queued:
        running = len(stack.log.slots())
        lines.append(
            f"{_wait(queued)} for a run ({running} running, max_concurrency is "
            f"{stack.outputs['max_concurrency']}) and will start automatically, longest waiting "
            "first."
        )
    if waiting:
        lines.append(f"{_wait(waiting)} for a manifest: `tm status --status waiting`.")
    return " ".join(lines) or None


def _wait(files: int) -> str:
    return "1 file waits" if files == 1 else f"{files:,} files wait"


def report_more(found: Listing) -> None:
    """Print a note on standard error if the list is incomplete."""
    if found.more:
        errors.print(f"Only the newest {len(found.items)} are listed: raise --limit to see more.")


def show_one(items: list[Item]) -> None:
    """Print everything about an ingestion."""
    for item in items:
        console.print(_one(item))


def watch(read: Callable[[], Listing], *, as_json: bool) -> None:
    """Show changes of a list until Ctrl-C.

    On a terminal, keep one table up to date. Otherwise print one line per change; with `as_json`,
    the whole item.
    """
    try:
        if console.is_terminal and not as_json:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                while True:
                    live.update(_list(read().items), refresh=True)
                    time.sleep(_POLL)
        for item in _changes(read):
            print_line(item, as_json=as_json)
    except KeyboardInterrupt:
        return


def follow(stack: Stack, item: Item, *, as_json: bool) -> bool:
    """Show an ingestion until its run ends; return whether the file was loaded.

    As JSON, print the item in one line per change.
    """
    ingestion = Ingestion.from_item(item)
    if not as_json:
        return drop.follow(stack, ingestion)
    last = item | {"updatedAt": None}
    for now in drop.snapshots(stack, ingestion):
        if now["updatedAt"] != last["updatedAt"]:
            print_line(now, as_json=True)
        last = now
    return is_loaded(last)


def print_line(item: Item, *, as_json: bool) -> None:
    """Print an item in one line."""
    if as_json:
        print_json(item, indent=None)
    else:
        last = transition(item["history"][-1])
        print_text(f"{item['ingestedID']}  {item['ingestedTable']}  {last}")


def _changes(read: Callable[[], Listing]) -> Iterator[Item]:
    """Yield each listed item, then each new or changed item, oldest change first."""
    seen: dict[tuple[str, str], str] = {}
    while True:
        for item in reversed(read().items):
            if seen.get(key_of(item)) != changed_at(item):
                seen[key_of(item)] = changed_at(item)
                yield item
        time.sleep(_POLL)


def _list(items: list[Item]) -> RenderableType:
    if not items:
        return Text("No matching ingestions.")
    return _table(items) if console.width >= _WIDE else _lines(items)


def _table(items: list[Item]) -> Table:
    table = Table(box=None)
    for name in ("id", "table", "state", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("rows")
    table.add_column("updated", no_wrap=True)
    with_reason = console.width >= _WITH_REASON
    if with_reason:
        table.add_column("why")
    for item in items:
        row = [
            item["ingestedID"],
            item["ingestedTable"],
            item["state"],
            _coloured(standing(item)),
            counts(item),
            _seconds(item["updatedAt"]),
        ]
        table.add_row(*row, *([_reason(item, width=_SHORT)] if with_reason else []))
    return table


def _lines(items: list[Item]) -> Group:
    """Return two or three lines per item, for terminals too narrow for a table."""
    lines = []
    for item in items:
        end, at = _coloured(standing(item)), _seconds(item["updatedAt"])
        lines.append(line(f"{item['ingestedID']}  {item['state']}: ", end, f"  {at}"))
        lines.append(line(f"  {item['ingestedTable']}  {counts(item)}".rstrip()))
        if item.get("haltReason"):
            lines.append(line("  ", _reason(item)))
    return Group(*lines)


def _one(item: Item) -> Group:
    parts: list[RenderableType] = [
        line(
            styled(item["ingestedID"], "bold"),
            f"  {item['ingestedTable']}  {item['state']}: ",
            _coloured(standing(item)),
            f"  {counts(item)}".rstrip(),
        ),
        line("File: ", cell(item["sourceKey"], None)),
    ]
    if "versionId" in item:
        parts.append(line(f"Version: {item['versionId']} ({item['size']:,} bytes)"))
    if manifest := item.get("manifest"):
        key = cell(manifest["key"], None)
        parts.append(line("Manifest: ", key, f" (version {manifest['versionId']})"))
    why = None
    if has_run(item):
        for run in runs(item):
            parts += [Text(), Text(_heading(run), style="bold"), _steps(run)]
            if why := run.steps[-1].record.get("reason"):
                parts.append(line("Why: ", _line(why)))
        parts.append(Text())
    if (reason := item.get("haltReason")) and reason != why:
        parts.append(line("Reason: ", _line(reason)))
    if advice := item.get("advice"):
        parts.append(advised(advice))
    if removed := item.get("removedAt"):
        parts.append(line(f"Removed: {_seconds(removed)}, with all versions and rows"))
    if item["status"] not in PENDING:
        parts.append(line("Alert: ", "none pending" if is_alert_settled(item) else "not sent yet"))
    if has_run(item):
        parts.append(line(f"Run: {item['executionArn']}"))
    return Group(*parts)


def _heading(run: LoggedRun) -> str:
    end = run.ended or dt.datetime.now(dt.UTC)
    so_far = "" if run.ended else " so far"
    return f"{run.name}: {timestamp(run.started)}, {_took(end - run.started)}{so_far}"


def _steps(run: LoggedRun) -> Table:
    columns = "state", "status", right("after"), right("took"), "rows"
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for step in run.steps:
        # A step that was logged only once, at its end, has no known duration.
        timed = step.ended is None or step.ended > step.started
        end = step.ended or dt.datetime.now(dt.UTC)
        table.add_row(
            step.state,
            _coloured(step.status),
            _took(step.started - run.started),
            _took(end - step.started) if timed else "",
            counts(step.record),
        )
    return table


def _took(time: dt.timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _coloured(status: str) -> Text:
    return styled(status, style(status))


def _seconds(timestamp: str) -> str:
    return f"{timestamp.partition('.')[0]}Z"


def _reason(item: Item, width: int | None = None) -> Text:
    return _line(item["haltReason"], width) if item.get("haltReason") else Text()


def _line(text: str, width: int | None = None) -> Text:
    return cell(collapsed(text), width)
