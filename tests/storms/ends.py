"""Ends of every kind in bad luck: what trigger, alert and watch make of them, one after another.

Unlike in a storm nothing happens at once, and nobody dies between a message and the note that it
was sent, so that every end must be told exactly once.
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
from shared.ingestion_log import IngestionLog, told
from shared.landing_key import LandingKey
from shared.odcs import load_all
from shared.settings import AlertOn
from shared.verdict import Verdict
from tests.fixtures.aws import LANDING, ingestion_of, lambda_context
from tests.fixtures.contracts import contract_set
from tests.storms.discrepancy import Discrepancy
from tests.storms.scheduler import Killed
from tests.storms.storm import left_to_do
from tests.storms.theatre import Theatre, WithoutDatabase, notices, refusal
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
    """A world of feeds, one for each end, all of which promised a file for yesterday."""

    def __init__(
        self,
        seed: str,
        alert_on: AlertOn,
        theatre: Theatre,
        tally: Tally,
        patch: pytest.MonkeyPatch,
    ) -> None:
        theatre.clear(0)
        patch.setenv("ALERT_ON", alert_on)
        settings.read.cache_clear()
        self._alert_on = alert_on
        self._theatre = theatre
        self._tally = tally
        self._patch = patch
        self._chance = random.Random(seed)
        self._severity = 0.1
        self._day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        self._log = theatre.log
        self._kinds: dict[str, Kind] = {}
        self._sources: dict[str, Source] = {}
        self._lost: set[str] = set()
        self._requests = itertools.count()
        self._started: list[tuple[str, str]] = []
        self._notices: list[dict[str, Any]] = []
        self._exposed = False
        """Whether a call of a function is under way, which may come to nothing."""

    def run(self) -> None:
        """Inject an end of each kind, and watch until nothing is left to say; see what was told.

        Raises:
            Discrepancy: an end was told too often, or not at all.
        """
        kinds = self._chance.sample(list(Kind), len(Kind))
        self._kinds = {f"feed{number}": kind for number, kind in enumerate(kinds)}
        self._promise()
        self._theatre.play = self
        try:
            for feed in self._kinds:
                self._land(feed)
            self._watch()
        finally:
            self._theatre.play = None
        self._check()

    # What happens.

    def _promise(self) -> None:
        sla = {"time": "00:00", "weekdays": [f"{self._day:%a}".lower()]}
        whole = load_all()["projectbudgets"].model_dump()
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
            self._tally["injected: a lost event of S3"] += 1
        landed = {"key": key, "versionId": version, "size": 1}
        record = {"s3": {"bucket": {"name": LANDING}, "object": landed}}
        self._deliver(trigger, {"Records": [record]}, times)

    def _watch(self) -> None:
        for sweep in range(_SWEEPS):
            if sweep == 3:
                self._severity = 0
            self._theatre.time += dt.timedelta(hours=1)
            found = self._call(watch, {}, "watch")
            if found is not None and not any(left_to_do(found)):
                return
        raise Discrepancy("there is no end to it")

    def _execute(self, arn: str, event: str) -> None:
        """Do what a run of this kind of end does: to the log, to Step Functions, to EventBridge."""
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
        # The last thing that a function writes may be lost: alert closes the item then.
        if outcome is not None and self._chance.random() < 0.7:
            self._log.leave(ingestion, run, state, verdict)
        status, error = _ERRORS.get(kind, ("SUCCEEDED", None))
        output = json.dumps({"load": verdict.as_result()}) if kind in _GOOD else None
        [shown] = [each for each in self._theatre.executions if each.execution_arn == arn]
        shown.status, shown.error, shown.cause, shown.output = status, error, "a cause", output
        said = {"executionArn": arn, "status": status, "input": event, "output": output}
        change = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
        detail = said | {"error": error, "cause": "a cause"}
        self._deliver(alert, change | {"detail": detail}, self._luck(2, 6, 2))

    def _deliver(self, function: Callable[..., Any], event: dict[str, Any], times: int) -> None:
        """Call a function with an event, which comes so many times; Lambda tries again each."""
        tries = [f"request-{next(self._requests)}" for _ in range(times)] * _TRIES
        self._chance.shuffle(tries)
        done: set[str] = set()
        for request in tries:
            if request not in done and self._call(function, event, request) is not None:
                done.add(request)

    def _call(
        self, function: Callable[..., Any], event: dict[str, Any], request: str
    ) -> Mapping[str, int] | None:
        """Call a function once; then happens what follows from what it did."""
        self._exposed = True
        answer: Mapping[str, int] | None = None
        try:
            answer = function(event, lambda_context(request))
        except (Killed, Exception) as error:  # as Lambda does, whatever it is
            self._tally[f"injected: broke by {type(error).__name__}"] += 1
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
        """Return how often something arrives; in calm weather, once."""
        if not self._severity:
            return 1
        return self._chance.choices(range(len(weights)), weights)[0]

    # The boundary to AWS.

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        """Answer a request to AWS, or let it come to nothing."""
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
                    self._exposed = False  # what breaks now breaks the promise: see storm.py
        return response

    # What must be the case.

    def _check(self) -> None:
        found = Counter(
            (each["ingestedTable"], each["ingestedID"], each["kind"])
            for each in self._theatre.messages
        )
        expected = Counter(
            each for feed, kind in self._kinds.items() for each in self._ends_of(feed, kind)
        )
        if found != expected:
            raise Discrepancy(
                f"missed: {sorted(expected - found)}; doubled or for nothing: "
                f"{sorted(found - expected)}"
            )
        self._tally["injected: ends told once"] += len(found)
        for message in self._theatre.messages:
            feed = message["ingestedTable"]
            was_lost = feed in self._lost and message["kind"] != Kind.MISSING
            if was_lost and "the S3 event" not in (message["noticed"] or ""):
                raise Discrepancy(f"nobody says that the event of {feed} was lost: {message}")

    def _ends_of(self, feed: str, kind: Kind) -> list[tuple[str, str, str]]:
        """Return what people must be told of a feed."""
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
        """See that the log says how it ended, last of all, and that it is settled."""
        item = self._log.get(ingested_id, table)
        if item is None or not told(item):
            raise Discrepancy(f"{table} {ingested_id} is not settled: {item}")
        state, status = last
        entry = item["history"][-1]
        if (state or item["state"], status) != (entry["state"], entry["status"]) or (
            entry["state"],
            entry["status"],
        ) != (item["state"], item["status"]):
            raise Discrepancy(f"{table} {ingested_id} is not {last}: {item['history']}")
        return item
