"""Simulation of every kind of outcome with faults in trigger, alert and watch.

Unlike a storm it has no concurrency, and no call is killed between an alert and its mark as sent.
Therefore every outcome must be alerted exactly once.
"""

import datetime as dt
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from functions.alert.handler import handler as alert
from functions.trigger.handler import handler as trigger
from functions.watch.handler import handler as watch
from shared import settings
from shared.contract import Contract
from shared.endings import Kind, Outcome, State, Status
from shared.ingestion import UNMATCHED, Ingestion, Run, Source, unmatched_id
from shared.ingestion_log import IngestionLog, is_alert_settled
from shared.landing_key import LandingKey
from shared.odcs import load_all
from shared.settings import AlertOn
from shared.verdict import Verdict
from tests.fixtures.aws import LANDING, ingestion_of, lambda_context
from tests.fixtures.contracts import contract_set
from tests.storms.environment import Environment, WithoutDatabase, notices, refusal
from tests.storms.runs import left_to_do
from tests.storms.scheduler import Discrepancy, Killed
from tests.storms.weather import Tally

_GOOD = {Kind.LOADED, Kind.LOADED_WITH_REJECTS, Kind.SUPERSEDED}
_ERRORS = {
    Kind.REFUSED: ("FAILED", "Refused"),
    Kind.FAILED_TESTS: ("FAILED", "FailedTests"),
    Kind.BROKEN: ("FAILED", "DatabaseRefused"),
    Kind.CRASHED: ("FAILED", "Runtime.ExitError"),
    Kind.TIMED_OUT: ("TIMED_OUT", None),
    Kind.ABORTED: ("ABORTED", None),
}
_VERDICTS = {
    Kind.LOADED: (State.LOAD, Outcome.OK),
    Kind.LOADED_WITH_REJECTS: (State.LOAD, Outcome.OK),
    Kind.SUPERSEDED: (State.LOAD, Outcome.SUPERSEDED),
    Kind.REFUSED: (State.TRANSFORM, Outcome.REFUSED),
    Kind.FAILED_TESTS: (State.TEST, Outcome.FAILED_TESTS),
}
_STATES = (State.TRANSFORM, State.TEST, State.LOAD)
_TRIES = 3
"""How often Lambda calls a function with one event."""
_SWEEPS = 12


class Ends(WithoutDatabase):
    """Feeds, one for each kind of outcome; the contract of each promises a file for yesterday."""

    def __init__(
        self,
        seed: str,
        alert_on: AlertOn,
        environment: Environment,
        tally: Tally,
        patch: pytest.MonkeyPatch,
    ) -> None:
        environment.clear(0)
        patch.setenv("ALERT_ON", alert_on)
        settings.read.cache_clear()
        self._alert_on = alert_on
        self._environment = environment
        self._tally = tally
        self._patch = patch
        self._chance = random.Random(seed)
        self._severity = 0.1
        self._day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        self._log = environment.log
        self._kinds: dict[str, Kind] = {}
        self._sources: dict[str, Source] = {}
        self._lost: set[str] = set()
        self._requests = itertools.count()
        self._started: list[tuple[str, str]] = []
        self._notices: list[dict[str, Any]] = []
        self._exposed = False
        """Whether a function is being called, so faults are allowed."""

    def run(self) -> None:
        """Produce each kind of outcome, call watch until nothing is left, and check the alerts."""
        kinds = self._chance.sample(list(Kind), len(Kind))
        self._kinds = {f"feed{number}": kind for number, kind in enumerate(kinds)}
        self._promise()
        self._environment.simulation = self
        try:
            for feed in self._kinds:
                self._land(feed)
            self._watch()
        finally:
            self._environment.simulation = None
        self._check()

    # Events

    def _promise(self) -> None:
        sla = {"time": "00:00", "weekdays": [f"{self._day:%a}".lower()]}
        whole = load_all()["projectbudgets"].model_dump(exclude_unset=True)
        contracts = contract_set(
            {
                feed: Contract.model_validate(
                    whole | {"table": feed, "relation": feed, "sla": sla, "timezone": "Etc/UTC"}
                )
                for feed in self._kinds
            },
            {},
        )
        self._patch.setattr("shared.contract_store._once", lambda *_: contracts)
        began = dt.datetime.now(dt.UTC) - dt.timedelta(days=30)
        self._patch.setattr(IngestionLog, "begun", lambda _: began)

    def _land(self, feed: str) -> None:
        kind = self._kinds[feed]
        self._tally[f"injected: {kind}"] += 1
        if kind is Kind.MISSING:
            return
        key = str(LandingKey(feed, self._day, "f.csv"))
        if kind is Kind.REJECTED:
            key = f"somewhere/{feed}.csv"
        version = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=b"x")["VersionId"]
        self._sources[feed] = Source(LANDING, key, version, 1)
        times = self._luck(2, 8, 2)
        if not times:
            self._lost.add(feed)
            self._tally["injected: a lost S3 event"] += 1
        landed = {"key": key, "versionId": version, "size": 1}
        record = {"s3": {"bucket": {"name": LANDING}, "object": landed}}
        self._deliver(trigger, {"Records": [record]}, times)

    def _watch(self) -> None:
        for sweep in range(_SWEEPS):
            if sweep == 3:
                self._severity = 0
            self._environment.time += dt.timedelta(hours=1)
            found = self._call(watch, {}, "watch")
            if found is not None and not any(left_to_do(found)):
                return
        raise Discrepancy("the pipeline does not recover")

    def _execute(self, arn: str, event: str) -> None:
        """Simulate a run with this outcome: its log writes, execution and run-end event."""
        ingestion, run = Ingestion.from_event(json.loads(event)), Run(arn)
        kind = self._kinds[ingestion.table]
        state, outcome = _VERDICTS.get(kind, (self._chance.choice(_STATES), None))
        rejected = int(kind in {Kind.LOADED_WITH_REJECTS, Kind.FAILED_TESTS})
        counts = {"rowsRead": 3, "rowsLoaded": 3 - rejected, "rowsRejected": rejected}
        verdict = Verdict(outcome or Outcome.OK, None if kind in _GOOD else "a reason", counts)
        for before in _STATES[: _STATES.index(state)]:
            self._log.enter(ingestion, run, before)
            self._log.passed(ingestion, run, before, {})
        self._log.enter(ingestion, run, state)
        # The last write of a function may be lost: alert closes the item then.
        if outcome is not None and self._chance.random() < 0.7:
            self._log.leave(ingestion, run, state, verdict)
        status, error = _ERRORS.get(kind, ("SUCCEEDED", None))
        output = json.dumps({"load": verdict.as_result()}) if kind in _GOOD else None
        [shown] = [each for each in self._environment.executions if each.execution_arn == arn]
        shown.status, shown.error, shown.cause, shown.output = status, error, "a cause", output
        execution = {"executionArn": arn, "status": status, "input": event, "output": output}
        change = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
        detail = execution | {"error": error, "cause": "a cause"}
        self._deliver(alert, change | {"detail": detail}, self._luck(2, 6, 2))

    def _deliver(self, function: Callable[..., Any], event: dict[str, Any], times: int) -> None:
        """Call a function with an event that arrives `times` times, with Lambda's retries."""
        tries = [f"request-{next(self._requests)}" for _ in range(times)] * _TRIES
        self._chance.shuffle(tries)
        done: set[str] = set()
        for request in tries:
            if request not in done and self._call(function, event, request) is not None:
                done.add(request)

    def _call(
        self, function: Callable[..., Any], event: dict[str, Any], request: str
    ) -> Mapping[str, int] | None:
        """Call a function once, then deliver the events that it caused."""
        self._exposed = True
        answer: Mapping[str, int] | None = None
        try:
            answer = function(event, lambda_context(request))
        except (Killed, Exception) as error:  # Lambda catches all errors too
            self._tally[f"injected: failed with {type(error).__name__}"] += 1
            if not self._severity:
                raise
        finally:
            self._exposed = False
        while self._started:
            self._execute(*self._started.pop())
        while self._notices:
            self._deliver(alert, self._notices.pop(), self._luck(1, 6, 2))
        return answer

    def _luck(self, *weights: int) -> int:
        """Return how often an event arrives; once if there are no faults."""
        if not self._severity:
            return 1
        return self._chance.choices(range(len(weights)), weights)[0]

    # Calls to AWS

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        if self._exposed and self._chance.random() < self._severity:
            self._tally[f"injected: a fault at {service}"] += 1
            if self._chance.random() < 0.5:
                raise Killed
            return refusal(request, service)
        response = send()
        if response.status_code == 200:
            match operation:
                case "StartExecution":
                    arn = json.loads(response.content)["executionArn"]
                    self._started.append((arn, json.loads(request.body)["input"]))
                case "PutEvents":
                    self._notices += notices(request)
                case "Publish":
                    # A fault after the message would cause a second one: see storm.py.
                    self._exposed = False
        return response

    # Checks

    def _check(self) -> None:
        found = Counter(
            (each["ingestedTable"], each["ingestedID"], each["kind"])
            for each in self._environment.messages
        )
        expected = Counter(
            each for feed, kind in self._kinds.items() for each in self._ends_of(feed, kind)
        )
        if found != expected:
            raise Discrepancy(
                f"missing alerts: {sorted(expected - found)}; unexpected or duplicate alerts: "
                f"{sorted(found - expected)}"
            )
        self._tally["injected: outcomes alerted once"] += len(found)
        for message in self._environment.messages:
            feed = message["ingestedTable"]
            was_lost = feed in self._lost and message["kind"] != Kind.MISSING
            if was_lost and "the S3 event" not in (message["noticed"] or ""):
                raise Discrepancy(f"the alert of {feed} misses the lost S3 event: {message}")

    def _ends_of(self, feed: str, kind: Kind) -> list[tuple[str, str, str]]:
        """Return the expected alerts of a feed: table, ID and kind."""
        missing = (feed, f"{self._day:%Y%m%d}-missing", str(Kind.MISSING))
        if kind is Kind.MISSING:
            self._check_item(*missing[1::-1], (State.TRIGGER, Status.MISSING))
            return [missing]
        source = self._sources[feed]
        if kind is Kind.REJECTED:
            rejected_id = unmatched_id(source)
            self._check_item(rejected_id, UNMATCHED, (State.TRIGGER, Status.REJECTED))
            return [missing, (UNMATCHED, rejected_id, str(kind))]
        end = (feed, ingestion_of(source).id, str(kind))
        state = _VERDICTS[kind][0] if kind in _VERDICTS else None
        status = {Kind.SUPERSEDED: Status.SUPERSEDED}.get(
            kind, Status.SUCCESS if kind in _GOOD else Status.FAIL
        )
        item = self._check_item(*end[1::-1], (state, status))
        if kind not in _GOOD:
            return [missing, end]
        wanted = {
            AlertOn.ALL: True,
            AlertOn.FAILURES: False,
            AlertOn.FAILURES_AND_REJECTS: kind is Kind.LOADED_WITH_REJECTS,
        }[self._alert_on]
        return [end] if wanted or "foundBy" in item else []

    def _check_item(
        self, ingested_id: str, table: str, last: tuple[State | None, Status]
    ) -> dict[str, Any]:
        """Check the state and status of an item and its last step, and that its alert is sent."""
        item = self._log.get(ingested_id, table)
        if item is None or not is_alert_settled(item):
            raise Discrepancy(f"{table} {ingested_id} is not settled: {item}")
        state, status = last
        logged, newest = ((each["state"], each["status"]) for each in (item, item["history"][-1]))
        if not logged == newest == (state or item["state"], status):
            raise Discrepancy(f"{table} {ingested_id} is not {last}: {item['history']}")
        return item
