"""`tm backfill`: new runs of all files that landed for a range of days.

For each key, the backfill runs the newest version. If the pipeline refuses that version because of
its content, the backfill runs the version before, and so on. At the end, the table has the newest
version that can be loaded. Only runs that started since the cut count. The cut is the start of the
command, or the time that it resumes from.

All keys share one thread. Each key is a generator that yields while it waits for AWS.
"""

import contextlib
import datetime as dt
import itertools
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.console import cell, collapsed, console
from cli.errors import AWS_ERRORS, CommandError
from cli.items import Item, counts, current_run, many
from cli.stack import Stack
from functions.alert.ends import End
from shared.classification import classify
from shared.endings import UNDER_WAY, State, Status
from shared.errors import PipelineError
from shared.ingestion import Ingestion, Source
from shared.ingestion_log import TOTALS
from shared.intake import NO_VERSION_REASON, Unvouched
from shared.landing_key import HIVE, LandingKey, disjoint

_POLL_LAPTOP = 0.3
_POLL_AWS = 1.0
_ENDS_WITHIN = 7_500.0
"""All in seconds. The state machine times out after two hours."""


@dataclass(frozen=True, slots=True)
class File:
    """A landing key with its versions, newest first; a deleted key has none."""

    key: str
    versions: tuple[Ingestion, ...]


class Action(StrEnum):
    """The next step for a version."""

    START = "start"
    REPLAY = "replay"
    WAIT = "wait"
    WAIT_AND_REPLAY = "wait, then replay"
    LOADED = "skip: already loaded"
    REFUSED = "skip: already refused"
    DELETED = "skip: deleted"
    UNVERSIONED = "skip: no version"


class FileOutcome(StrEnum):
    """The outcome of a version or of a file."""

    LOADED = "loaded"
    SUPERSEDED = "superseded"
    """A newer version is loaded."""
    DONE = "already done"
    """Not run, because a run since the cut has already loaded or superseded it."""
    DELETED = "deleted"
    REFUSED = "refused"
    """The run failed because of the content of the file."""
    FAILED = "failed"
    """The run failed for another reason."""


_GOOD = {Status.SUCCESS: FileOutcome.LOADED, Status.SUPERSEDED: FileOutcome.SUPERSEDED}
_BAD = {FileOutcome.REFUSED, FileOutcome.FAILED}


@dataclass(frozen=True, slots=True)
class Tried:
    """The result for one version, with its log item or the reason why it has none."""

    ingestion: Ingestion
    outcome: FileOutcome
    item: Item | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The result for a file, with the versions that were tried, newest first."""

    file: File
    tried: tuple[Tried, ...]

    @property
    def outcome(self) -> FileOutcome:
        """The outcome: refused if the newest version was, even if an older one was loaded."""
        if not self.tried:
            return FileOutcome.DELETED
        last = self.tried[-1].outcome
        return (
            FileOutcome.REFUSED if len(self.tried) > 1 and last is not FileOutcome.FAILED else last
        )

    @property
    def rows(self) -> Mapping[str, int]:
        """The row counts of the version that was loaded."""
        loaded = [each.item for each in self.tried if each.outcome is FileOutcome.LOADED]
        return {name: int(item[name]) for item in loaded if item for name in TOTALS if name in item}


def files(
    pages: Iterable[Mapping[str, Any]],
    bucket: str,
    read: Callable[[str], LandingKey | None],
    first: dt.date,
    last: dt.date,
) -> list[File]:
    """Return the landed files of a range of days, both inclusive, sorted by day and key.

    `pages` are the answers of `list_object_versions`, which list a key's versions newest first.
    `read` returns the parsed key of a data file. If the day is not in the key, it is that of the
    newest version.
    """
    found: dict[str, list[Ingestion]] = {}
    days: dict[str, dt.date] = {}
    deleted = set()
    for page in pages:
        for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            name = version["Key"]
            key = read(name)
            if key is None or (isinstance(key.date, dt.date) and not first <= key.date <= last):
                continue
            source = Source.stored(
                bucket,
                name,
                version["VersionId"],
                version.get("Size", 0),
                version["LastModified"],
            )
            ingestion = Ingestion.of(source, key)
            if "Size" in version:
                days.setdefault(name, ingestion.data_date)
                found.setdefault(name, []).append(ingestion)
            elif version["IsLatest"]:
                days[name] = ingestion.data_date
                deleted.add(name)
    return [
        File(name, () if name in deleted else tuple(found[name]))
        for name in sorted(days, key=lambda name: (days[name], name))
        if first <= days[name] <= last
    ]


def landed(stack: Stack, tables: Iterable[str], first: dt.date, last: dt.date) -> list[File]:
    """Return the landed files of tables and a range of days, sorted by day and key."""
    wanted = {*tables}
    patterns = [each for table in wanted for each in stack.contracts[table].keys]
    prefixes = disjoint([f"{HIVE}{table}/" for table in wanted] + [e.prefix for e in patterns])
    paginator = stack.s3.get_paginator("list_object_versions")
    pages = (paginator.paginate(Bucket=stack.landing_bucket, Prefix=each) for each in prefixes)

    def read(name: str) -> LandingKey | None:
        found = classify(name, stack.contracts)
        return found if isinstance(found, LandingKey) and found.table in wanted else None

    return files(itertools.chain.from_iterable(pages), stack.landing_bucket, read, first, last)


def action(item: Item | None, outcome: FileOutcome | None, since: dt.datetime) -> Action:
    """Return the next step for a version.

    `outcome` is that of its current run; None if the run has not ended or does not exist. `since`
    is the cut.
    """
    if item is None:
        return Action.START
    counted = _began(item) >= since
    match outcome:
        case None:
            return Action.WAIT if counted else Action.WAIT_AND_REPLAY
        case FileOutcome.LOADED | FileOutcome.SUPERSEDED if counted:
            return Action.LOADED
        case FileOutcome.REFUSED if counted:
            return Action.REFUSED
    return Action.REPLAY


class Backfill:
    """Runs files again unless runs since the cut have already loaded or refused them."""

    def __init__(self, stack: Stack, since: dt.datetime) -> None:
        """Create a backfill with the cut `since`, without starting it."""
        self._intake = stack.intake
        self._poll = _POLL_AWS if stack.tap is None else _POLL_LAPTOP
        self._since = since

    def plan(self, file: File) -> Iterator[tuple[Ingestion, Item | None, Action]]:
        """Yield the next steps for a file's versions, as far as they are known in advance."""
        for ingestion in file.versions:
            if not ingestion.source.has_version:
                yield ingestion, None, Action.UNVERSIONED
                return
            item, outcome = self._read(ingestion)
            todo = action(item, outcome, self._since)
            yield ingestion, item, todo
            if todo is not Action.REFUSED:
                return

    def run(self, files: Iterable[File], concurrency: int) -> Iterator[Result]:
        """Run `concurrency` files at a time; yield the result of each file when it is done."""
        waiting = map(self._run, files)
        running = list(itertools.islice(waiting, concurrency))
        while running:
            left = []
            for steps in running:
                try:
                    next(steps)
                    left.append(steps)
                except StopIteration as end:
                    yield end.value
            if len(left) == len(running):
                time.sleep(self._poll)
            running = left + list(itertools.islice(waiting, concurrency - len(left)))

    def _run(self, file: File) -> Generator[None, None, Result]:
        tried: list[Tried] = []
        for ingestion in file.versions:
            try:
                tried.append((yield from self._try(ingestion)))
            except (CommandError, PipelineError, *AWS_ERRORS) as error:
                tried.append(Tried(ingestion, FileOutcome.FAILED, None, str(error)))
            if tried[-1].outcome is not FileOutcome.REFUSED:
                break
        return Result(file, tuple(tried))

    def _try(self, ingestion: Ingestion) -> Generator[None, None, Tried]:
        if not ingestion.source.has_version:
            return Tried(ingestion, FileOutcome.FAILED, None, NO_VERSION_REASON)
        item, outcome = self._read(ingestion)
        match action(item, outcome, self._since):
            case Action.LOADED:
                return Tried(ingestion, FileOutcome.DONE, item)
            case Action.REFUSED:
                return Tried(ingestion, FileOutcome.REFUSED, item)
        while True:
            if item is None:
                self._intake.admit(ingestion.source)
            elif isinstance(run := self._intake.replay(item), Unvouched):
                return Tried(ingestion, FileOutcome.FAILED, None, run.reason)
            item, outcome = yield from self._wait(ingestion)
            # A run that started before the cut does not count.
            if _began(item) >= self._since:
                return Tried(ingestion, outcome, item)

    def _wait(self, ingestion: Ingestion) -> Generator[None, None, tuple[Item, FileOutcome]]:
        deadline = time.monotonic() + _ENDS_WITHIN
        while time.monotonic() < deadline:
            yield
            item, outcome = self._read(ingestion)
            if item is not None and outcome is not None:
                return item, outcome
            if item is not None and item["status"] == Status.QUEUED:
                deadline = time.monotonic() + _ENDS_WITHIN  # waiting has no time limit
        raise CommandError(
            f"still running in the log after {_ENDS_WITHIN:.0f} s because the function alert has "
            "not closed it: check its log group"
        )

    def _read(self, ingestion: Ingestion) -> tuple[Item | None, FileOutcome | None]:
        item = self._intake.log.get(ingestion.id, ingestion.table)
        return item, None if item is None else self._outcome(item)

    def _outcome(self, item: Item) -> FileOutcome | None:
        if item["status"] in UNDER_WAY:
            return None
        if good := _GOOD.get(item["status"]):
            return good
        # The log does not say whether the file caused the failure, but the execution does.
        run = self._intake.gate.describe(item["executionArn"])
        if run is not None and run["status"] == "RUNNING":
            return None
        at_fault = run is not None and End.from_event(run).file_at_fault
        return FileOutcome.REFUSED if at_fault else FileOutcome.FAILED


def show_plan(work: Backfill, files: Iterable[File]) -> None:
    """Print the plan of a backfill."""
    table = Table("key", "version", "log", "action", box=None)
    todos: Counter[Action] = Counter()
    for file in files:
        todo = Action.DELETED
        for ingestion, item, todo in work.plan(file):
            logged = "" if item is None else f"{item['state']}: {item['status']}"
            table.add_row(cell(file.key, None), ingestion.source.version_id, logged, todo)
        if todo is Action.DELETED:
            table.add_row(cell(file.key, None), "", "", todo)
        todos[todo] += 1
    console.print(table)
    console.print(f"{many(todos.total(), 'file')}: {_listed(todos)}. Nothing was changed.")


def run(work: Backfill, files: Sequence[File], concurrency: int, again: str) -> int:
    """Run `concurrency` files at a time, show progress and results, and return the exit status.

    `again` is the command that resumes the backfill, for messages.
    """
    results: list[Result] = []
    interrupted = False
    try:
        with _progress(len(files)) as shown:
            for result in work.run(files, concurrency):
                results.append(result)
                shown(result)
    except KeyboardInterrupt:
        interrupted = True
    _show(results)
    outcomes = {result.outcome for result in results}
    if interrupted:
        done = f"{len(results):,} of {many(len(files), 'file')} done"
        console.print("", f"Interrupted: {done}. Resume with: {again}", sep="\n")
        return 130
    if FileOutcome.FAILED in outcomes:
        console.print("", f"Fix the cause, then resume with: {again}", sep="\n")
    return 1 if outcomes & _BAD else 0


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[Result], None]]:
    """Yield a function that shows a result: in a progress bar or, without a terminal, as a line."""
    outcomes: Counter[FileOutcome] = Counter()
    if not console.is_terminal:

        def line(result: Result) -> None:
            outcomes[result.outcome] += 1
            number = f"{outcomes.total():>{len(str(total))}}/{total}"
            text = f"{number}  {result.outcome:<12}  {result.file.key}  {counts(result.rows)}"
            console.print(text.rstrip())

        yield line
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(
        *columns, TextColumn("{task.description}", markup=False), console=console
    ) as progress:
        task = progress.add_task("", total=total)

        def advance(result: Result) -> None:
            outcomes[result.outcome] += 1
            progress.update(task, advance=1, description=_listed(outcomes))

        yield advance


def _show(results: list[Result]) -> None:
    """Print the totals and every file that needs attention."""
    outcomes = Counter(result.outcome for result in results)
    rows: Counter[str] = Counter()
    for result in results:
        rows.update(result.rows)
    console.print(f"{many(len(results), 'file')}: {_listed(outcomes) or 'none'}.")
    if rows:
        console.print(f"Rows: {counts(rows)}")
    if deleted := outcomes[FileOutcome.DELETED]:
        console.print(
            f"Deleted from the bucket: {many(deleted, 'file')}. Their rows stay in the table until "
            "you run `tm remove KEY`."
        )
    for result in results:
        if result.outcome in _BAD:
            console.print("", f"{result.outcome.capitalize()}: {result.file.key}", sep="\n")
            for each in result.tried:
                console.print(f"  {_line(each)}")


def _line(tried: Tried) -> str:
    ingestion, item = tried.ingestion, tried.item
    text = f"{ingestion.id}, version {ingestion.source.version_id}: {tried.outcome}"
    if tried.outcome not in _BAD:
        return text
    if item is None:
        return f"{text}: {collapsed(tried.reason)}"
    text += f" in {item['state']}: {collapsed(item.get('haltReason', ''))}"
    if tried.outcome is FileOutcome.FAILED:
        text += f" - fix the cause, then: tm replay {ingestion.id}"
    return text


def _began(item: Item) -> dt.datetime:
    """Return when the current run started or, if it has not started, when it began to wait."""
    of_trigger = [entry for entry in current_run(item) if entry["state"] == State.TRIGGER]
    return dt.datetime.fromisoformat(of_trigger[-1]["at"])


def _listed(numbers: Mapping[Any, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(numbers.items()))
