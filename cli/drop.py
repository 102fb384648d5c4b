"""`tm drop`: upload of a file to the landing bucket, and display of its ingestion."""

import datetime as dt
import shlex
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
from shared.classification import IgnoredKey, ManifestKey, UnknownKey, classify
from shared.endings import PENDING, State, Status
from shared.ingestion import NO_VERSION, UNMATCHED, Ingestion, Run, Source, unmatched_id
from shared.ingestion_log import is_alert_settled
from shared.intake import NO_VERSION_REASON
from shared.landing_key import IGNORED_NAMES, LandingKey
from shared.staging import Staging
from shared.text import listed

_POLL = 0.3
_STARTS_WITHIN = 120.0
_ENDS_WITHIN = 7_500.0
_ALERT_WITHIN = 30.0
"""All in seconds. The state machine times out after two hours."""


def key_of(stack: Stack, text: str) -> LandingKey:
    """Return the parsed key of a data file; raise CommandError if no contract is for it."""
    found = classify(text, stack.contracts)
    if isinstance(found, LandingKey):
        return found
    raise CommandError(f"Nothing was uploaded: {_problem(found, text, stack.landing_bucket)}.")


def _problem(found: ManifestKey | IgnoredKey | UnknownKey, key: str, bucket: str) -> str:
    match found:
        case UnknownKey(reason):
            return reason
        case ManifestKey(tables):
            return (
                f"{key} is a manifest of {listed(tables)}: upload it with its file by --manifest, "
                f"or alone by `aws s3 cp FILE {shlex.quote(f's3://{bucket}/{key}')}`"
            )
        case IgnoredKey():
            return f"{key} would be ignored, like {IGNORED_NAMES}"


def put(stack: Stack, file: Path, key: LandingKey, manifest: Path | None = None) -> Ingestion:
    """Upload a file under a landing key; return the ingestion of the new object version.

    Upload its manifest too, if there is one.

    Raises:
        CommandError: there is a manifest, but the contract requires none.
    """
    manifest_key = stack.intake.manifest_key(key)
    if manifest is not None and not isinstance(manifest_key, str):
        raise CommandError(
            f"Nothing was uploaded: the contract of {key.table} has no manifest for {key}. Leave "
            "out --manifest."
        )
    uploaded = ingestion(stack, _put(stack, file, str(key)))
    console.print(f"Ingestion {uploaded.id}")
    if manifest is not None:
        _put(stack, manifest, str(manifest_key))
    else:
        print_waiting(stack, uploaded)
    return uploaded


def _put(stack: Stack, file: Path, key: str) -> Source:
    with file.open("rb") as body:
        answer = stack.s3.put_object(Bucket=stack.landing_bucket, Key=key, Body=body)
    size = file.stat().st_size
    source = stored(stack.landing_bucket, key, answer, size)
    console.print(f"Uploaded {file.name} ({size:,} bytes) as s3://{source.bucket}/{key}")
    return source


def ingestion(stack: Stack, source: Source) -> Ingestion:
    """Return the ingestion of a version that was just uploaded; raise CommandError if unknown."""
    found = stack.intake.ingestion(source)
    if found is None:
        raise CommandError(
            f"The day of s3://{source.bucket}/{source.key} is unknown, because its version is "
            "deleted, or your identity lacks s3:GetObjectVersion. `tm status` shows its ingestion."
        )
    return found


def print_waiting(stack: Stack, ingestion: Ingestion) -> None:
    """Print what an uploaded file waits for, if its contract requires a manifest."""
    key = stack.intake.manifest_of(ingestion)
    if isinstance(key, str):
        console.print(
            f"The file needs its manifest s3://{ingestion.source.bucket}/{key}; one with which "
            "another version was loaded does not count. To load it without one: "
            f"`tm replay {ingestion.id} --without-manifest`."
        )


def stored(bucket: str, key: str, answer: Mapping[str, Any], size: int) -> Source:
    """Return the version that PutObject stored; raise CommandError if it has none."""
    version_id = answer.get("VersionId")
    if version_id in {None, NO_VERSION}:
        raise CommandError(f"The pipeline will reject s3://{bucket}/{key}: {NO_VERSION_REASON}.")
    return Source(bucket, key, str(version_id), size)


def follow(stack: Stack, ingestion: Ingestion) -> bool:
    """Show each state, then the row counts and the alert; return whether the file was loaded."""
    found = snapshots(stack, ingestion)
    item = _watch_live(found) if console.is_terminal else _watch_plainly(found)
    _print_outcome(stack, ingestion, item)
    return is_loaded(item)


def snapshots(stack: Stack, ingestion: Ingestion) -> Iterator[Item]:
    """Poll the log and yield the ingestion's item until its run has ended.

    Raises:
        CommandError: the run did not start within 2 minutes, or did not end within 125 minutes.
    """
    start = time.monotonic()
    while True:
        item = stack.log.get(ingestion.id, ingestion.table) or stack.log.get(
            unmatched_id(ingestion.source), UNMATCHED
        )
        if item is not None:
            yield plain(item)
            if item["status"] not in PENDING:
                return
            if item["status"] != Status.RUNNING:
                start = time.monotonic()  # waiting for other files has no time limit
        waited = time.monotonic() - start
        if item is None and waited > _STARTS_WITHIN:
            raise CommandError(
                f"The log has no item {ingestion.id} after {_STARTS_WITHIN:.0f} s because the "
                "function trigger has not processed the file: check its log group."
            )
        if waited > _ENDS_WITHIN:
            raise CommandError(
                f"The log's item {ingestion.id} is still running after {_ENDS_WITHIN:.0f} s "
                "because the function alert has not closed it: check its log group."
            )
        time.sleep(_POLL)


def _watch_plainly(snapshots: Iterator[Item]) -> Item:
    shown = 0
    item: Item = {}
    for item in snapshots:
        history = item["history"]
        start = len(history) - len(current_run(item))
        for entry in history[max(start, shown) :]:
            console.print(transition(entry))
        shown = len(history)
    return item


def _watch_live(snapshots: Iterator[Item]) -> Item:
    item: Item = {}
    with Live(_states(None), console=console, refresh_per_second=8) as live:
        for item in snapshots:
            live.update(_states(item))
    return item


def _states(item: Item | None) -> Table:
    """Return a row for each state, with its last history entry."""
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
    start = dt.datetime.fromisoformat(entries[0]["at"])
    running = entries[-1]["status"] in PENDING
    end = dt.datetime.now(dt.UTC) if running else dt.datetime.fromisoformat(entries[-1]["at"])
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f} s" if len(entries) > 1 or running else ""


def _print_outcome(stack: Stack, ingestion: Ingestion, item: Item) -> None:
    status = item["status"]
    outcome = styled(f"{item['state']}: {status}", style(status))
    console.print(line(outcome, f"   {counts(item)}".rstrip()))
    if reason := item.get("haltReason"):
        console.print(f"Reason: {reason}")
    if item.get("rowsRejected"):
        rejects = Staging(stack.staging_bucket, ingestion).rejects_csv
        console.print(f"Rejected rows: {rejects}")
    console.print(f"Alert: {_alert(stack, item)}")


def _alert(stack: Stack, item: Item) -> str:
    """Return the alert of an outcome: its text from the tap, or that it was sent."""
    deadline = time.monotonic() + _ALERT_WITHIN
    while True:
        current = stack.log.get(item["ingestedID"], item["ingestedTable"]) or item
        item = item | {"alerts": current["alerts"]}
        if is_unwanted(item):
            return "none, because alert_on excludes this outcome"
        if stack.tap is None:
            if is_alert_settled(item):
                return "sent to the topic's subscribers"
        else:
            alerts = [each for each in stack.tap.alerts() if is_of(each, item)]
            if alerts:
                alert = alerts[-1]
                return f"{alert.subject} ({counts(alert.body)})".removesuffix(" ()")
        if time.monotonic() > deadline:
            return f"none within {_ALERT_WITHIN:.0f} s: check the log group of the function alert"
        time.sleep(_POLL)


def is_unwanted(item: Item) -> bool:
    """Return whether the alert of an item's current outcome is suppressed."""
    run = Run.from_item(item).name if has_run(item) else ""
    return any(
        alert.get("unwanted") for end, alert in item["alerts"].items() if end.startswith(run)
    )


def is_of(alert: Alert, item: Item) -> bool:
    """Return whether an alert belongs to an item's current run."""
    names = ("ingestedID", "executionArn")
    return all(alert.body.get(name) == item.get(name) for name in names)
