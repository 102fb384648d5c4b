"""`tm smoke`: an end-to-end test of a stack with generated files.

The contract and the settings of the stack determine the expected results. Each step compares them
with the actual results in the log, the rejects, the table, the API and the alerts.
"""

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import requests

from cli import api, doctor, drop, loaded_rows, rejects, remove
from cli.console import collapsed, console, line, styled
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
from shared.file_types import FileFormat
from shared.ingestion import Ingestion, Source
from shared.ingestion_log import is_alert_settled
from shared.landing_key import LandingKey
from shared.settings import AlertOn

DAY = dt.date(1970, 1, 2)
"""The day in the landing keys. No contract expects a file for it, and no backfill includes it."""

FAILURES = (CommandError, LocalError, PipelineError, *AWS_ERRORS, requests.RequestException)

_SUFFIXES: dict[FileFormat, str] = {"csv": ".csv", "jsonLines": ".jsonl"}
_ENDS_WITHIN = 600.0
_ALERT_WITHIN = 150.0
_POLL = 0.3
"""All in seconds. A paused database takes 30 to resume, a function idle for weeks up to 110."""

_ABOUT_FILES = {"spellings", "last loads", "failures", "runs", "alarms"}
"""Checks of `tm doctor` that concern files and runs, not the stack itself. Their problems are only
warnings here. The refused file of the smoke test itself sets off an alarm."""

_MARKS = {
    Verdict.OK: styled("✓", "green"),
    Verdict.WARNING: styled("!", "yellow"),
    Verdict.UNKNOWN: styled("–", "cyan"),
    Verdict.WRONG: styled("✗", "red"),
}

_EXCLUDED = "none, because alert_on excludes this outcome"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step; `expected` is set if the result differs from it."""

    name: str
    verdict: Verdict
    found: str
    expected: str | None = None
    todo: str | None = None


class Smoke:
    """A test of a stack with two files of one table."""

    def __init__(self, stack: Stack, contract: Contract, report: Callable[[Step], None]) -> None:
        """Generate the files without calling the stack; `report` gets each step when it is done."""
        token = secrets.token_hex(4)
        self._stack = stack
        self._contract = contract
        self._report = report
        self._made = specimen(contract, token, dt.datetime.now(dt.UTC))
        suffix = _SUFFIXES[contract.file_format]
        self._keys = {
            what: LandingKey(contract.table, DAY, f"tm-smoke-{token}-{what}{suffix}")
            for what in ("good-and-bad", "refused")
        }
        self._uploaded: list[Ingestion] = []

    def run(self) -> None:
        """Run all steps; remove the uploaded files at the end, even after Ctrl-C."""
        if not self._examine():
            return
        try:
            self._test_accepted_file()
            self._test_refused_file()
        finally:
            self._clean_up()

    def _examine(self) -> bool:
        """Run the checks of `tm doctor`; return whether the prerequisites are met."""
        is_well = True
        for check, finding in doctor.examine(self._stack):
            verdict = finding.verdict
            if verdict is Verdict.WRONG and check in _ABOUT_FILES:
                verdict = Verdict.WARNING
            if verdict is not Verdict.OK:
                self._report(Step(f"doctor: {check}", verdict, finding.what, todo=finding.todo))
            if verdict is Verdict.WRONG:
                is_well = False
                if check in doctor.PREREQUISITES:
                    return False
        if is_well:
            self._report(Step("doctor", Verdict.OK, "no problems in any part of the stack"))
        return True

    def _test_accepted_file(self) -> None:
        """Upload the good and bad rows, check every result, and replay the ingestion."""
        made, stack = self._made, self._stack
        settings = self._try("settings", self._settings, "`tm doctor`, line functions")
        if settings is None:
            return
        hard_testing, alert_on = settings
        halts = hard_testing and bool(made.bad)
        before = self._try("lookup", self._lookup_count, self._logs("api"))
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
            f"`tm rejects {ingestion.id}`; check that the stack runs the version of this checkout",
        )
        self._compare("table", f"{loaded:,} rows", self._count, self._logs("load"))
        self._compare(
            "API's log", end, lambda: _ended(api.ingestion(stack, ingestion.id)), self._logs("api")
        )
        if made.key is None:
            skipped = f"not checked: the contract of {self._contract.table} has no lookup"
            self._report(Step("lookup", Verdict.UNKNOWN, skipped))
        elif before is not None:
            rows = before + (0 if halts else made.keyed)
            self._compare(
                "lookup",
                f"{rows:,} rows of {made.key}",
                lambda: f"{self._lookup_count():,} rows of {made.key}",
                self._logs("api"),
            )
        good = Kind.LOADED_WITH_REJECTS if made.bad else Kind.LOADED
        self._check_alert("alert", item, Kind.FAILED_TESTS if halts else good, alert_on)
        self._compare(
            "replay",
            f"run 2, {end}; {loaded:,} rows",
            lambda: f"run {self._replay(ingestion)}; {self._count()}",
            f"`tm status {ingestion.id}` shows each step",
        )

    def _test_refused_file(self) -> None:
        ingestion = self._drop("refused", self._made.refused)
        if ingestion is None:
            return
        item = self._follow("refused", ingestion, "transform/fail, for its header", _refused)
        if item is not None:
            self._check_alert("refused: alert", item, Kind.REFUSED, AlertOn.ALL)

    def _clean_up(self) -> None:
        """Remove the uploaded files; for files that could not be removed, report the command."""
        left = [str(ingestion.source.key) for ingestion in self._uploaded]
        try:
            for ingestion in self._uploaded:
                key = ingestion.source.key
                self._compare(
                    "clean-up",
                    f"{key} is removed; only the log item {ingestion.id} is left",
                    lambda: self._remove(ingestion),  # noqa: B023 - called immediately
                    f"`tm remove {key}`",
                )
                left.remove(key)
        except KeyboardInterrupt:
            for key in left:
                self._report(
                    Step("clean-up", Verdict.WRONG, f"{key} is left", todo=f"`tm remove {key}`")
                )
            raise

    def _settings(self) -> tuple[bool, AlertOn]:
        """Return `hard_testing` and `alert_on` from the environment of the functions."""
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
                f"The environment of the function {function} has no {name}, or your identity may "
                "not decrypt it: allow it kms:Decrypt on kms_key_arn."
            ) from None

    def _drop(self, what: str, content: bytes) -> Ingestion | None:
        todo = "allow your identity s3:PutObject on the landing bucket"
        return self._try("drop", lambda: self._put(self._keys[what], content), todo)

    def _put(self, key: LandingKey, content: bytes) -> Ingestion:
        bucket = self._stack.landing_bucket
        # Recorded before the upload, because Ctrl-C may interrupt us after S3 has stored the file.
        self._uploaded.append(Ingestion.of(Source(bucket, str(key), "", 0), key))
        answer = self._stack.s3.put_object(Bucket=bucket, Key=str(key), Body=content)
        source = drop.stored(bucket, str(key), answer, len(content))
        self._uploaded[-1] = Ingestion.of(source, key)
        self._report(Step("drop", Verdict.OK, f"{key}, {len(content):,} bytes"))
        return self._uploaded[-1]

    def _follow(
        self, name: str, ingestion: Ingestion, expected: str, describe: Callable[[Item], str]
    ) -> Item | None:
        """Wait for the end of a run, compare the outcome, and return the log item, if any."""
        items: list[Item] = []

        def actual() -> str:
            items.append(self._wait(ingestion))
            return describe(items[0])

        todo = f"`tm status {ingestion.id}` shows the reason, the alert says what to do"
        self._compare(name, expected, actual, todo)
        return items[0] if items else None

    def _wait(self, ingestion: Ingestion) -> Item:
        """Return the log item of an ingestion when its run has ended, or after 600 s."""
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
            raise CommandError("the first run is still in progress")
        again = self._wait(ingestion)
        return f"{again['attempt']}, {_ended(again)}"

    def _rejected(self, item: Item) -> str:
        rejected = {(r["line"], r["column"], r["rule"]) for r in rejects.records(self._stack, item)}
        missing = [b for b in self._made.bad if (b.line, b.column, b.rule) not in rejected]
        if missing:
            bad = missing[0]
            of = "" if bad.column is None else f" of {bad.column}"
            rule = f"{bad.rule}{of}"
            return f"{len(missing)} rows are not rejected, e.g. line {bad.line} by {rule}"
        return f"{len({line for line, *_ in rejected})} rows, each by its rule"

    def _count(self) -> str:
        return f"{loaded_rows.count(self._stack, str(self._keys['good-and-bad'])):,} rows"

    def _lookup_count(self) -> int:
        """Return how many rows the API finds by the key of the good rows; 0 without a lookup."""
        key = self._made.key
        return 0 if key is None else len(api.rows(self._stack, self._contract.table, key))

    def _check_alert(self, name: str, item: Item, kind: Kind, alert_on: AlertOn) -> None:
        wanted = is_wanted(kind, item, alert_on)
        self._compare(
            name,
            f"sent: {kind}" if wanted else _EXCLUDED,
            lambda: self._alert(item, kind),
            f"`tm doctor`, lines events and subscriptions; {self._logs('alert')}",
        )

    def _alert(self, item: Item, kind: Kind) -> str:
        """Return the alert of an outcome, from the log or, on the laptop, from the tap."""
        deadline = time.monotonic() + _ALERT_WITHIN
        while time.monotonic() < deadline:
            now = self._stack.log.get(item["ingestedID"], item["ingestedTable"]) or item
            item = {**item, "alerts": now["alerts"]}
            if drop.is_unwanted(item):
                return _EXCLUDED
            if is_alert_settled(item) and self._stack.tap is None:
                return f"sent: {kind}"
            if is_alert_settled(item) and self._stack.tap is not None:
                alerts = [each for each in self._stack.tap.alerts() if drop.is_of(each, item)]
                if alerts:
                    return f"sent: {alerts[-1].body.get('kind')}"
            time.sleep(_POLL)
        return f"none within {_ALERT_WITHIN:.0f} s"

    def _remove(self, ingestion: Ingestion) -> str:
        if self._stack.log.get(ingestion.id, ingestion.table) is not None:
            # Without its file, the run would fail and send an alert.
            self._wait(ingestion)
        key = ingestion.source.key
        remove.remove(self._stack, remove.find(self._stack, key))
        if remove.find(self._stack, key).is_removed:
            return f"{key} is removed; only the log item {ingestion.id} is left"
        return f"{key} is not completely removed"

    def _logs(self, function: str) -> str:
        name = self._stack.outputs["function_names"][function]
        return f"check the log group /aws/lambda/{name}"

    def _compare(self, name: str, expected: str, actual: Callable[[], str], todo: str) -> None:
        found = self._try(name, actual, todo)
        if found == expected:
            self._report(Step(name, Verdict.OK, found))
        elif found is not None:
            self._report(Step(name, Verdict.WRONG, found, expected, todo))

    def _try(self, name: str, action: Callable[[], T], todo: str) -> T | None:
        try:
            return action()
        except FAILURES as error:
            self._report(Step(name, Verdict.WRONG, str(error), todo=todo))
            return None


def show(step: Step) -> None:
    """Print a step."""
    found = step.found if step.expected is None else f"expected {step.expected}; found {step.found}"
    console.print(line(_MARKS[step.verdict], f" {step.name:<22} {collapsed(found)}"))
    if step.todo is not None:
        console.print(f"{'':<24} → {step.todo}")


def as_json(step: Step) -> dict[str, str | None]:
    """Return a step as JSON fields."""
    fields = asdict(step)
    return {"step": fields.pop("name"), **fields}


def is_well(steps: Iterable[Step]) -> bool:
    """Return whether every result is as expected."""
    return all(step.verdict is not Verdict.WRONG for step in steps)


def _ended(record: Mapping[str, Any]) -> str:
    return f"{record['state']}/{record['status']}: {counts(record)}"


def _refused(item: Item) -> str:
    reason = str(item.get("haltReason"))
    # A file without a header is refused for its line with the delimiter.
    marks = ("does not match the", "is the delimiter")
    why = "for its header" if any(mark in reason for mark in marks) else reason
    return f"{item['state']}/{item['status']}, {why}"
