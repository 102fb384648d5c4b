"""`tm drop`: put a file into the landing bucket, and follow what becomes of it."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from cli.console import console, line, styled
from cli.errors import CommandError
from cli.items import Item, counts, current_run, has_run, is_loaded, plain, style, transition
from cli.stack import Stack
from local.tap import Alert
from shared.endings import UNDER_WAY, State, Status
from shared.ingestion import NO_VERSION, UNMATCHED, Ingestion, Run, Source, unmatched_id
from shared.ingestion_log import told
from shared.intake import NO_VERSION_REASON
from shared.landing_key import LandingKey
from shared.staging import Staging

_POLL = 0.3
_BEGINS_WITHIN = 120.0
# The state machine gives up after two hours.
_ENDS_WITHIN = 7_500.0
_ALERT_WITHIN = 30.0


def put(stack: Stack, file: Path, table: str, date: dt.date) -> Ingestion:
    """Upload `file` under its partition key; return the ingestion of that very object version.

    Raises:
        CommandError: S3 stored it without a version.
    """
    key = LandingKey(table, date, file.name)
    with file.open("rb") as body:
        answer = stack.s3.put_object(Bucket=stack.landing_bucket, Key=str(key), Body=body)
    size = file.stat().st_size
    source = stored(stack.landing_bucket, str(key), answer, size)
    ingestion = Ingestion.of(source, key)
    console.print(
        f"Dropped {file.name} ({size:,} bytes) as s3://{stack.landing_bucket}/{key}",
        f"Ingestion {ingestion.id}",
        sep="\n",
    )
    return ingestion


def stored(bucket: str, key: str, answer: Mapping[str, Any], size: int) -> Source:
    """Return the object version that S3 says it has stored.

    Raises:
        CommandError: S3 stored the object without a version.
    """
    version_id = answer.get("VersionId")
    if version_id in {None, NO_VERSION}:
        raise CommandError(f"s3://{bucket}/{key} will be rejected: {NO_VERSION_REASON}.")
    return Source(bucket, key, str(version_id), size)


def follow(stack: Stack, ingestion: Ingestion) -> bool:
    """Show each state until the end, then the sums and the alert; tell whether it was loaded."""
    found = snapshots(stack, ingestion)
    item = _watch_live(found) if console.is_terminal else _watch_plainly(found)
    _print_end(stack, ingestion, item)
    return is_loaded(item)


def snapshots(stack: Stack, ingestion: Ingestion) -> Iterator[Item]:
    """Yield the log's item again and again, the last time at its end."""
    begun = time.monotonic()
    while True:
        item = stack.log.get(ingestion.id, ingestion.table) or stack.log.get(
            unmatched_id(ingestion.source), UNMATCHED
        )
        if item is not None:
            yield plain(item)
            if item["status"] not in UNDER_WAY:
                return
            if item["status"] == Status.WAITING:
                begun = time.monotonic()  # as long as others are before it
        waited = time.monotonic() - begun
        if item is None and waited > _BEGINS_WITHIN:
            raise CommandError(
                f"The log has no item {ingestion.id} after {_BEGINS_WITHIN:.0f} s: the function "
                "trigger has not seen the file. Its log group tells why."
            )
        if waited > _ENDS_WITHIN:
            raise CommandError(
                f"The log's item {ingestion.id} still says running after {_ENDS_WITHIN:.0f} s: "
                "the function alert has not closed it. Its log group tells why."
            )
        time.sleep(_POLL)


def _watch_plainly(snapshots: Iterator[Item]) -> Item:
    """Print one line a transition."""
    shown = 0
    item: Item = {}
    for item in snapshots:
        history = item["history"]
        begun = len(history) - len(current_run(item))
        for entry in history[max(begun, shown) :]:
            console.print(transition(entry))
        shown = len(history)
    return item


def _watch_live(snapshots: Iterator[Item]) -> Item:
    """Keep one table up to date."""
    item: Item = {}
    with Live(_states(None), console=console, refresh_per_second=8) as live:
        for item in snapshots:
            live.update(_states(item))
    return item


def _states(item: Item | None) -> Table:
    """Return a row for each state, with the last that its history says."""
    table = Table("state", "status", "took", "rows", box=None, padding=(0, 3, 0, 0))
    history = current_run(item) if item else []
    for state in State:
        entries = [entry for entry in history if entry["state"] == state]
        if not entries:
            table.add_row(state, "…", "", "", style="dim")
            continue
        last = entries[-1]
        status = str(last["status"])
        table.add_row(state, status, _took(entries), counts(last), style=style(status))
    return table


def _took(entries: list[dict[str, Any]]) -> str:
    begun = dt.datetime.fromisoformat(entries[0]["at"])
    running = entries[-1]["status"] in UNDER_WAY
    ended = dt.datetime.now(dt.UTC) if running else dt.datetime.fromisoformat(entries[-1]["at"])
    seconds = (ended - begun).total_seconds()
    return f"{seconds:.1f} s" if len(entries) > 1 or running else ""


def _print_end(stack: Stack, ingestion: Ingestion, item: Item) -> None:
    status = item["status"]
    end = styled(f"{item['state']}: {status}", style(status))
    console.print(line(end, f"   {counts(item)}".rstrip()))
    if reason := item.get("haltReason"):
        console.print(f"Reason: {reason}")
    if item.get("rowsRejected"):
        place = Staging(stack.staging_bucket, ingestion).rejects_for_people
        console.print(f"Rejected rows: {place}")
    console.print(f"Alert: {_alert(stack, item)}")


def _alert(stack: Stack, item: Item) -> str:
    """Tell the alert that this end gave: its text from the tap, without one that it was sent."""
    deadline = time.monotonic() + _ALERT_WITHIN
    while True:
        current = stack.log.get(item["ingestedID"], item["ingestedTable"]) or item
        item = item | {"alerts": current["alerts"]}
        if is_unwanted(item):
            return "none, for alert_on leaves such ends out"
        if stack.tap is None:
            if told(item):
                return "sent to the topic's subscribers"
        else:
            alerts = [each for each in stack.tap.alerts() if is_of(each, item)]
            if alerts:
                alert = alerts[-1]
                return f"{alert.subject} ({counts(alert.body)})".removesuffix(" ()")
        if time.monotonic() > deadline:
            return (
                f"none within {_ALERT_WITHIN:.0f} s; the log group of the function alert tells why"
            )
        time.sleep(_POLL)


def is_unwanted(item: Item) -> bool:
    """Tell whether nobody wants to be told of an item's current end."""
    run = Run.from_item(item).name if has_run(item) else ""
    return any(
        alert.get("unwanted") for end, alert in item["alerts"].items() if end.startswith(run)
    )


def is_of(alert: Alert, item: Item) -> bool:
    """Tell whether an alert is of an item's current run."""
    names = ("ingestedID", "executionArn")
    return all(alert.body.get(name) == item.get(name) for name in names)
