"""Simulation of a burst: thousands of files within a minute, and slow runs.

Trigger, alert and watch are the real handlers, with moto. The burst simulates S3, Step Functions,
EventBridge and Lambda's retries as a queue of events on a simulated clock.
"""

import datetime as dt
import heapq
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from functions.alert.handler import handler as alert
from functions.trigger.handler import handler as trigger
from functions.watch import backlog, landed
from functions.watch.handler import handler as watch
from shared.endings import State, Status
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import is_alert_settled
from tests.fixtures.aws import LANDING, lambda_context
from tests.storms.environment import Environment, WithoutDatabase, notices, refusal
from tests.storms.runs import left_to_do
from tests.storms.scheduler import Discrepancy, Killed
from tests.storms.weather import Tally

_RETRIES = (60.0, 120.0)
"""Seconds after which Lambda retries a failed call.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
_WATCH_EVERY = 900.0
"""Seconds between two calls of watch."""
_CALM_CALLS = 12
"""Calls of watch without faults, after which nothing may be left to do."""
_VERSIONS = 3
"""Files that land with one key."""
_DAY = "table=dailycheckins/year=2024/month=3/day=3"
_COUNTS = {"rowsRead": 1, "rowsLoaded": 1, "rowsRejected": 0}


class Burst(WithoutDatabase):
    """A burst of `files` files, at most `most` runs, and faults with probability `severity`."""

    def __init__(
        self,
        seed: str,
        files: int,
        most: int,
        severity: float,
        environment: Environment,
        tally: Tally,
    ) -> None:
        environment.clear(0)
        environment.allow(most)
        # Each count reads the whole backlog, which is slow in moto.
        environment.patch.setattr(backlog, "_EVERY", float("inf"))
        # The default of the other simulations is to sweep in small steps.
        environment.patch.setattr(landed, "PAGES", 100)
        environment.patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "1000")
        self._files, self._most, self._severity = files, most, severity
        self._environment, self._tally = environment, tally
        self._chance = random.Random(seed)
        self._log = environment.log
        self._start = environment.time
        self._clock = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running: set[str] = set()
        self._executions: dict[str, Any] = {}
        self._exposed = False
        """Whether a function is being called, so faults are allowed."""
        self.most_at_once = 0
        self.landed: list[str] = []
        """The versions in the order in which they landed."""
        self.started: list[str] = []
        """The versions in the order in which their runs were started."""

    def run(self) -> float:
        """Run to the end, check that every file was loaded and alerted once; return the seconds."""
        self._environment.simulation = self
        try:
            for number in range(self._files):
                self._land(number)
            self._at(_WATCH_EVERY, self._watch)
            while self._due:
                at, _, act = heapq.heappop(self._due)
                self._clock = at
                self._environment.time = max(
                    self._environment.time, self._start + dt.timedelta(seconds=at)
                )
                act()
        finally:
            self._environment.simulation = None
        self._check()
        return self._clock

    # Events

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._clock + seconds, next(self._numbers), act))

    def _land(self, number: int) -> None:
        key = f"{_DAY}/{number // _VERSIONS}.csv"
        version = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=b"x")["VersionId"]
        self.landed.append(version)
        landed_object = {"key": key, "versionId": version, "size": 1}
        event = {"Records": [{"s3": {"bucket": {"name": LANDING}, "object": landed_object}}]}
        self._deliver(trigger, event, 60 * number / self._files)

    def _watch(self, calm_calls: int = 0) -> None:
        found = self._call(watch, {}, "watch")
        is_over = not self._due and found is not None and not any(left_to_do(found))
        if is_over and calm_calls:
            return
        if not self._due:
            self._severity = 0
            calm_calls += 1
        if calm_calls > _CALM_CALLS:
            raise Discrepancy(f"the pipeline does not recover: watch found {found}")
        self._at(_WATCH_EVERY, lambda: self._watch(calm_calls))

    def _execute(self, arn: str, event: str) -> None:
        """Start a run, which ends after 5 to 20 seconds."""
        ingestion = Ingestion.from_event(json.loads(event))
        self.started.append(ingestion.source.version_id)
        self._running.add(arn)
        self.most_at_once = max(self.most_at_once, len(self._running))
        if len(self._running) > self._most:
            raise Discrepancy(f"{len(self._running)} concurrent runs, the limit is {self._most}")
        self._at(self._chance.uniform(5, 20), lambda: self._end(arn, event, ingestion))

    def _end(self, arn: str, event: str, ingestion: Ingestion) -> None:
        run = Run(arn)
        self._log.enter(ingestion, run, State.LOAD)
        # The last write of Load may be lost: alert closes the item then.
        if self._chance.random() >= self._severity:
            self._log.finish(ingestion, run, State.LOAD, Status.SUCCESS, _COUNTS)
        self._running.remove(arn)
        verdict = {"outcome": "ok", "reason": None, **_COUNTS}
        output = json.dumps({"load": verdict})
        execution = self._executions[arn]
        execution.status, execution.output = "SUCCEEDED", output
        detail = {"executionArn": arn, "status": "SUCCEEDED", "input": event, "output": output}
        change = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
        for function in (alert, watch):
            self._deliver(function, change | {"detail": detail}, 0.5)

    def _deliver(self, function: Callable[..., Any], event: dict[str, Any], after: float) -> None:
        """Schedule calls of a function with an event, which may be lost or duplicated."""
        [times] = self._chance.choices(
            (0, 1, 2), (self._severity, 1 - 2 * self._severity, self._severity)
        )
        self._tally[f"burst: events delivered {times} times"] += 1
        for number in range(times):
            request = f"request-{next(self._numbers)}"
            self._at(after + 3 * number, lambda r=request: self._try(function, event, r, _RETRIES))  # type: ignore[misc]

    def _try(
        self, function: Callable[..., Any], event: dict[str, Any], request: str, retries: Any
    ) -> None:
        if self._call(function, event, request) is not None:
            if function is watch:
                self._check_that_no_slot_is_free()
        elif retries:
            after, *more = retries
            self._at(after, lambda: self._try(function, event, request, more))
        else:
            self._tally["burst: calls given up"] += 1

    def _call(self, function: Callable[..., Any], event: dict[str, Any], request: str) -> Any:
        self._exposed = True
        try:
            return function(event, lambda_context(request))
        except (Killed, Exception) as error:  # Lambda catches all errors too
            if isinstance(error, Discrepancy) or not self._severity:
                raise
            self._tally[f"burst: failed with {type(error).__name__}"] += 1
            return None
        finally:
            self._exposed = False

    # Calls to AWS

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        fault = self._exposed and self._chance.random() < self._severity / 4
        if fault and self._chance.random() < 0.3:
            return refusal(request, service)
        if fault and self._chance.random() < 0.5:
            raise Killed
        response = send()
        if response.status_code == 200:
            match operation:
                case "StartExecution":
                    arn = json.loads(response.content)["executionArn"]
                    if arn not in self._executions:
                        self._executions[arn] = self._environment.executions[-1]
                        self._execute(arn, json.loads(request.body)["input"])
                case "PutEvents":
                    for notice in notices(request):
                        self._deliver(alert, notice, 0.5)
                case "Publish":
                    # A fault after the message would cause a second one: see storm.py.
                    self._exposed = False
        if fault and self._exposed:
            raise Killed
        return response

    # Checks

    def _check_that_no_slot_is_free(self) -> None:
        """Check, sometimes, that a handled run-end event has started a queued file."""
        if self._files > 500 and next(self._numbers) % 10:
            return
        waits = next(self._log.queued(), None)
        if waits is not None and len(self._log.slots()) < self._most:
            raise Discrepancy(f"a slot is free while {waits['ingestedID']} waits")

    def _check(self) -> None:
        if held := self._log.slots():
            raise Discrepancy(f"no run is under way, but these slots are held: {held}")
        items = [item for status in Status for item in self._log.with_status(status)]
        ends = Counter(f"{item['state']}/{item['status']}" for item in items)
        if ends != {"load/success": self._files} or not all(map(is_alert_settled, items)):
            raise Discrepancy(f"outcomes of {self._files} files: {dict(ends)}")
        alerts = Counter(message["ingestedID"] for message in self._environment.messages)
        if set(alerts.values()) != {1} or len(alerts) != self._files:
            raise Discrepancy(
                f"{self._files} files, but {len(alerts)} have alerts: {Counter(alerts.values())}"
            )
        if sorted(self.started) != sorted(self.landed):
            raise Discrepancy("a file was not started, or was started twice")
