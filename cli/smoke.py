"""`tm smoke`: a file of known good and bad rows through every part of a stack, and out again.

What must become of the file follows from the contract and the stack's settings. Each step compares
that with what is found: in the log, the rejects, the table, the API and the alerts.
"""

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import requests

from cli import api, doctor, drop, rejects, remove
from cli import rows as table
from cli.console import console, line, styled
from cli.errors import AWS_ERRORS, CommandError
from cli.health.finding import Verdict
from cli.items import Item, counts
from cli.specimen import specimen
from cli.stack import Stack
from functions.alert.message import is_wanted
from local.errors import LocalError
from shared.contract import Contract
from shared.endings import Kind
from shared.errors import PipelineError
from shared.ingestion import Ingestion, Source
from shared.ingestion_log import told
from shared.landing_key import LandingKey
from shared.settings import AlertOn

DAY = dt.date(1970, 1, 2)
"""The day in the files' keys: no contract promises a file of it any more, and no backfill of what
suppliers send comes across it."""

FAILURES = (CommandError, LocalError, PipelineError, *AWS_ERRORS, requests.RequestException)

_ENDS_WITHIN = 600.0
_ALERT_WITHIN = 150.0
_POLL = 0.3
"""All in seconds. A database that sleeps takes 30, an image that was idle for weeks up to 110."""

_OF_THE_PAST = {"spellings", "last loads", "failures", "runs", "alarms"}
"""What `tm doctor` says of files and runs, not of how the stack is built. One of the alarms is set
off by the smoke test itself: a file that is refused is a run that failed."""

_MARKS = {
    Verdict.OK: styled("✓", "green"),
    Verdict.WARNING: styled("!", "yellow"),
    Verdict.UNKNOWN: styled("–", "cyan"),
    Verdict.WRONG: styled("✗", "red"),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at: what was found, and if that is wrong, what should be."""

    name: str
    verdict: Verdict
    found: str
    expected: str | None = None
    todo: str | None = None


class Smoke:
    """One test of a stack, with two files of one table."""

    def __init__(self, stack: Stack, contract: Contract, tell: Callable[[Step], None]) -> None:
        """Make the files; nothing is asked yet.

        Args:
            stack: which one.
            contract: the table's, as it is deployed.
            tell: is given each step as it is done.

        Raises:
            CommandError: no such file can be made of the contract.
        """
        token = secrets.token_hex(4)
        self._stack = stack
        self._contract = contract
        self._tell = tell
        self._made = specimen(contract, token, dt.datetime.now(dt.UTC))
        self._keys = {
            what: LandingKey(contract.table, DAY, f"tm-smoke-{token}-{what}.csv")
            for what in ("good-and-bad", "refused")
        }
        self._dropped: list[Ingestion] = []

    def run(self) -> None:
        """Do all of it, and remove at the end what was dropped, after Ctrl-C too."""
        if not self._examine():
            return
        try:
            self._bring_through()
            self._have_refused()
        finally:
            self._clean_up()

    def _examine(self) -> bool:
        """Do as `tm doctor` does; tell whether the stack can be seen at all."""
        is_well = True
        for check, finding in doctor.examine(self._stack):
            verdict = finding.verdict
            if verdict is Verdict.WRONG and check in _OF_THE_PAST:
                verdict = Verdict.WARNING
            if verdict is not Verdict.OK:
                self._tell(Step(f"doctor: {check}", verdict, finding.what, todo=finding.todo))
            if verdict is Verdict.WRONG:
                is_well = False
                if check in doctor.PREREQUISITES:
                    return False
        if is_well:
            self._tell(Step("doctor", Verdict.OK, "every part of the stack is as it should be"))
        return True

    def _bring_through(self) -> None:
        """Drop the good and bad rows, look at all that becomes of them, and run them once more."""
        made, stack = self._made, self._stack
        settings = self._try("settings", self._settings, "`tm doctor`, line functions")
        if settings is None:
            return
        hard_testing, alert_on = settings
        halts = hard_testing and bool(made.bad)
        before = self._try("look-up", self._looked_up, self._logs("api"))
        ingestion = self._drop("good-and-bad", made.content)
        if ingestion is None:
            return
        loaded = 0 if halts else made.good
        end = (
            f"test/fail: {made.rows:,} read, {len(made.bad):,} rejected"
            if halts
            else f"load/success: {made.rows:,} read, {loaded:,} loaded, {len(made.bad):,} rejected"
        )
        item = self._follow("log", ingestion, end, _ended)
        if item is None:
            return
        self._compare(
            "rejects",
            f"{len(made.bad)} rows, each by its rule",
            lambda: self._rejected(item),
            f"`tm rejects {ingestion.id}`, and see that this checkout is what was deployed",
        )
        self._compare("table", f"{loaded:,} rows", self._count, self._logs("load"))
        self._compare(
            "API's log", end, lambda: _ended(api.ingestion(stack, ingestion.id)), self._logs("api")
        )
        if made.key is None:
            what = f"not checked: the API looks up no rows of {self._contract.table}"
            self._tell(Step("look-up", Verdict.UNKNOWN, what))
        elif before is not None:
            rows = before + (0 if halts else made.keyed)
            self._compare(
                "look-up",
                f"{rows:,} rows of {made.key}",
                lambda: f"{self._looked_up():,} rows of {made.key}",
                self._logs("api"),
            )
        good = Kind.LOADED_WITH_REJECTS if made.bad else Kind.LOADED
        self._hear("alert", item, Kind.FAILED_TESTS if halts else good, alert_on)
        self._compare(
            "replay",
            f"run 2, {end}; {loaded:,} rows",
            lambda: f"run {self._replay(ingestion)}; {self._count()}",
            f"`tm status {ingestion.id}` shows each step",
        )

    def _have_refused(self) -> None:
        """Drop a file that lacks a column."""
        ingestion = self._drop("refused", self._made.refused)
        if ingestion is None:
            return
        item = self._follow("refused", ingestion, "transform/fail, for its header", _refused)
        if item is not None:
            self._hear("refused: alert", item, Kind.REFUSED, AlertOn.ALL)

    def _clean_up(self) -> None:
        """Remove what was dropped; of what could not be removed, say how to."""
        left = [str(ingestion.source.key) for ingestion in self._dropped]
        try:
            for ingestion in self._dropped:
                key = ingestion.source.key
                self._compare(
                    "clean-up",
                    f"only the log's item {ingestion.id} is left of {key}",
                    lambda: self._remove(ingestion),  # noqa: B023 - it is called at once
                    f"`tm remove {key}`",
                )
                left.remove(key)
        except KeyboardInterrupt:
            for key in left:
                self._tell(
                    Step("clean-up", Verdict.WRONG, f"{key} is left", todo=f"`tm remove {key}`")
                )
            raise

    def _settings(self) -> tuple[bool, AlertOn]:
        """Return `hard_testing` and `alert_on`, as the deployed functions have them."""
        hard_testing = self._variable("test", "HARD_TESTING") == "true"
        return hard_testing, AlertOn(self._variable("alert", "ALERT_ON"))

    def _variable(self, function: str, name: str) -> str:
        deployed = self._stack.client("lambda").get_function(
            FunctionName=self._stack.outputs["function_names"][function]
        )
        try:
            return str(deployed["Configuration"]["Environment"]["Variables"][name])
        except KeyError:
            raise CommandError(
                f"The function {function} has no variable {name}, or your identity may not decrypt "
                "it: it needs kms:Decrypt on kms_key_arn."
            ) from None

    def _drop(self, what: str, content: bytes) -> Ingestion | None:
        todo = "let your identity do s3:PutObject on the landing bucket"
        return self._try("drop", lambda: self._put(self._keys[what], content), todo)

    def _put(self, key: LandingKey, content: bytes) -> Ingestion:
        bucket = self._stack.landing_bucket
        # Noted before it is done: an interruption may come between S3's answer and us.
        self._dropped.append(Ingestion.of(Source(bucket, str(key), "", 0), key))
        answer = self._stack.s3.put_object(Bucket=bucket, Key=str(key), Body=content)
        source = drop.stored(bucket, str(key), answer, len(content))
        self._dropped[-1] = Ingestion.of(source, key)
        self._tell(Step("drop", Verdict.OK, f"{key}, {len(content):,} bytes"))
        return self._dropped[-1]

    def _follow(
        self, name: str, ingestion: Ingestion, expected: str, told_of: Callable[[Item], str]
    ) -> Item | None:
        """Wait for an ingestion's end and compare it; return its log item, or None without one."""
        items: list[Item] = []

        def look() -> str:
            items.append(self._end(ingestion))
            return told_of(items[0])

        todo = f"`tm status {ingestion.id}` says why, and the alert what to do"
        self._compare(name, expected, look, todo)
        return items[0] if items else None

    def _end(self, ingestion: Ingestion) -> Item:
        """Return the log item of an ingestion at its end, or as it is when time is up."""
        deadline = time.monotonic() + _ENDS_WITHIN
        last: Item = {}
        for item in drop.snapshots(self._stack, ingestion):
            last = item
            if time.monotonic() > deadline:
                break
        return last

    def _replay(self, ingestion: Ingestion) -> str:
        item = self._stack.log.get(ingestion.id, ingestion.table) or {}
        if self._stack.intake.replay(item) is None:
            raise CommandError("the first run is still under way")
        again = self._end(ingestion)
        return f"{again['attempt']}, {_ended(again)}"

    def _rejected(self, item: Item) -> str:
        rejected = {(r["line"], r["column"], r["rule"]) for r in rejects.records(self._stack, item)}
        missing = [b for b in self._made.bad if (b.line, b.column, b.rule) not in rejected]
        if missing:
            bad = missing[0]
            of = "" if bad.column is None else f" of {bad.column}"
            return f"{len(missing)} rows are not: line {bad.line} not by {bad.rule}{of}"
        return f"{len({line for line, *_ in rejected})} rows, each by its rule"

    def _count(self) -> str:
        return f"{table.count(self._stack, str(self._keys['good-and-bad'])):,} rows"

    def _looked_up(self) -> int:
        """Return how many rows the API finds by the key of the good rows; 0 without a look-up."""
        key = self._made.key
        return 0 if key is None else len(api.rows(self._stack, self._contract.table, key))

    def _hear(self, name: str, item: Item, kind: Kind, alert_on: AlertOn) -> None:
        wanted = is_wanted(kind, item, alert_on)
        self._compare(
            name,
            f"sent: {kind}" if wanted else "none: alert_on leaves such ends out",
            lambda: self._alert(item, kind),
            f"`tm doctor`, lines events and subscriptions; {self._logs('alert')}",
        )

    def _alert(self, item: Item, kind: Kind) -> str:
        """Say what alert an end gave: what the log says or, on the laptop, what came by the tap."""
        deadline = time.monotonic() + _ALERT_WITHIN
        while time.monotonic() < deadline:
            now = self._stack.log.get(item["ingestedID"], item["ingestedTable"]) or item
            item = {**item, "alerts": now["alerts"]}
            if drop.is_unwanted(item):
                return "none: alert_on leaves such ends out"
            if told(item) and self._stack.tap is None:
                return f"sent: {kind}"
            if told(item) and self._stack.tap is not None:
                heard = [each for each in self._stack.tap.alerts() if drop.is_of(each, item)]
                if heard:
                    return f"sent: {heard[-1].body.get('kind')}"
            time.sleep(_POLL)
        return f"none within {_ALERT_WITHIN:.0f} s"

    def _remove(self, ingestion: Ingestion) -> str:
        if self._stack.log.get(ingestion.id, ingestion.table) is not None:
            # Otherwise its run would fail, and the team would be told of that.
            self._end(ingestion)
        key = ingestion.source.key
        remove.remove(self._stack, remove.find(self._stack, key))
        if remove.find(self._stack, key).is_removed:
            return f"only the log's item {ingestion.id} is left of {key}"
        return f"something is left of {key}"

    def _logs(self, function: str) -> str:
        name = self._stack.outputs["function_names"][function]
        return f"the log group /aws/lambda/{name} says why"

    def _compare(self, name: str, expected: str, look: Callable[[], str], todo: str) -> None:
        found = self._try(name, look, todo)
        if found == expected:
            self._tell(Step(name, Verdict.OK, found))
        elif found is not None:
            self._tell(Step(name, Verdict.WRONG, found, expected, todo))

    def _try(self, name: str, look: Callable[[], T], todo: str) -> T | None:
        try:
            return look()
        except FAILURES as error:
            self._tell(Step(name, Verdict.WRONG, str(error), todo=todo))
            return None


def show(step: Step) -> None:
    """Print a step."""
    found = step.found if step.expected is None else f"expected {step.expected}; found {step.found}"
    console.print(line(_MARKS[step.verdict], f" {step.name:<22} {' '.join(found.split())}"))
    if step.todo is not None:
        console.print(f"{'':<24} → {step.todo}")


def as_json(step: Step) -> dict[str, str | None]:
    """Return a step for tools."""
    fields = asdict(step)
    return {"step": fields.pop("name"), **fields}


def is_well(steps: Iterable[Step]) -> bool:
    """Tell whether nothing was other than expected."""
    return all(step.verdict is not Verdict.WRONG for step in steps)


def _ended(record: Mapping[str, Any]) -> str:
    return f"{record['state']}/{record['status']}: {counts(record)}"


def _refused(item: Item) -> str:
    reason = str(item.get("haltReason"))
    why = "for its header" if "is not the header" in reason else reason
    return f"{item['state']}/{item['status']}, {why}"
