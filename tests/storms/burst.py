"""A burst: thousands of files within a minute, and runs that take their time.

Trigger, alert and watch are the real handlers, on moto. The burst plays S3, Step Functions,
EventBridge and Lambda's retries, on a clock of its own: what happens next is what is due next.
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
from shared.ingestion_log import told
from tests.fixtures.aws import LANDING, lambda_context
from tests.storms.discrepancy import Discrepancy
from tests.storms.scheduler import Killed
from tests.storms.storm import left_to_do
from tests.storms.theatre import Theatre, WithoutDatabase, notices, refusal
from tests.storms.weather import Tally

_RETRIES = (60.0, 120.0)
"""Seconds after which Lambda repeats a call that broke.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
_LOOKS_EVERY = 900.0
"""Seconds between two looks of watch."""
_CALM_LOOKS = 12
"""Looks after which nothing may be left to do."""
_VERSIONS = 3
"""Files that land under one key."""
_DAY = "table=dailycheckins/year=2024/month=3/day=3"
_COUNTS = {"rowsRead": 1, "rowsLoaded": 1, "rowsRejected": 0}


class Burst(WithoutDatabase):
    """`files` files, of which `most` may be run at once; `severity` is the chance of a fault."""

    def __init__(
        self, seed: str, files: int, most: int, severity: float, theatre: Theatre, tally: Tally
    ) -> None:
        theatre.clear(0)
        theatre.allow(most)
        # Each count reads the whole backlog, which moto does slowly.
        theatre.patch.setattr(backlog, "_EVERY", float("inf"))
        # The other storms sweep in small steps.
        theatre.patch.setattr(landed, "PAGES", 100)
        theatre.patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "1000")
        self._files, self._most, self._severity = files, most, severity
        self._theatre, self._tally = theatre, tally
        self._chance = random.Random(seed)
        self._log = theatre.log
        self._begun = theatre.time
        self._clock = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running: set[str] = set()
        self._executions: dict[str, Any] = {}
        self._exposed = False
        """Whether a call of a function is under way, which may come to nothing."""
        self.most_at_once = 0
        self.landed: list[str] = []
        """The versions in the order in which they landed."""
        self.started: list[str] = []
        """The versions in the order in which their runs were started."""

    def run(self) -> float:
        """Let it rage and end; see that every file came to its one end, and was told once.

        Returns:
            The seconds that it took by its own clock.

        Raises:
            Discrepancy: it is not so, or too many ran at once.
        """
        self._theatre.play = self
        try:
            for number in range(self._files):
                self._land(number)
            self._at(_LOOKS_EVERY, self._look)
            while self._due:
                at, _, happen = heapq.heappop(self._due)
                self._clock = at
                self._theatre.time = max(self._theatre.time, self._begun + dt.timedelta(seconds=at))
                happen()
        finally:
            self._theatre.play = None
        self._check()
        return self._clock

    # What happens.

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._clock + seconds, next(self._numbers), happen))

    def _land(self, number: int) -> None:
        key = f"{_DAY}/{number // _VERSIONS}.csv"
        version = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=b"x")["VersionId"]
        self.landed.append(version)
        said = {"key": key, "versionId": version, "size": 1}
        event = {"Records": [{"s3": {"bucket": {"name": LANDING}, "object": said}}]}
        self._deliver(trigger, event, 60 * number / self._files)

    def _look(self, calm_looks: int = 0) -> None:
        found = self._call(watch, {}, "watch")
        is_over = not self._due and found is not None and not any(left_to_do(found))
        if is_over and calm_looks:
            return
        if not self._due:
            self._severity = 0
            calm_looks += 1
        if calm_looks > _CALM_LOOKS:
            raise Discrepancy(f"there is no end to it: watch found {found}")
        self._at(_LOOKS_EVERY, lambda: self._look(calm_looks))

    def _execute(self, arn: str, event: str) -> None:
        """Start a run, which ends after a while."""
        ingestion = Ingestion.from_event(json.loads(event))
        self.started.append(ingestion.source.version_id)
        self._running.add(arn)
        self.most_at_once = max(self.most_at_once, len(self._running))
        if len(self._running) > self._most:
            raise Discrepancy(f"{len(self._running)} runs at once, of {self._most} at most")
        self._at(self._chance.uniform(5, 20), lambda: self._end(arn, event, ingestion))

    def _end(self, arn: str, event: str, ingestion: Ingestion) -> None:
        run = Run(arn)
        self._log.enter(ingestion, run, State.LOAD)
        # The last thing that Load writes may be lost: alert closes the item then.
        if self._chance.random() >= self._severity:
            self._log.finish(ingestion, run, State.LOAD, Status.SUCCESS, _COUNTS)
        self._running.remove(arn)
        verdict = {"outcome": "ok", "reason": None, **_COUNTS}
        output = json.dumps({"load": verdict})
        execution = self._executions[arn]
        execution.status, execution.output = "SUCCEEDED", output
        said = {"executionArn": arn, "status": "SUCCEEDED", "input": event, "output": output}
        change = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
        for function in (alert, watch):
            self._deliver(function, change | {"detail": said}, 0.5)

    def _deliver(self, function: Callable[..., Any], event: dict[str, Any], after: float) -> None:
        """Have Lambda call a function with an event, which may be lost, or come twice."""
        [times] = self._chance.choices(
            (0, 1, 2), (self._severity, 1 - 2 * self._severity, self._severity)
        )
        self._tally[f"burst: events that came {times} times"] += 1
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
        """Call a function once; then happens what follows from what it did."""
        self._exposed = True
        try:
            return function(event, lambda_context(request))
        except (Killed, Exception) as error:  # as Lambda does, whatever it is
            if isinstance(error, Discrepancy) or not self._severity:
                raise
            self._tally[f"burst: broke by {type(error).__name__}"] += 1
            return None
        finally:
            self._exposed = False

    # The boundary to AWS.

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        """Answer a request to AWS, or let it come to nothing."""
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
                        self._executions[arn] = self._theatre.executions[-1]
                        self._execute(arn, json.loads(request.body)["input"])
                case "PutEvents":
                    for notice in notices(request):
                        self._deliver(alert, notice, 0.5)
                case "Publish":
                    self._exposed = False  # what breaks now breaks the promise: see storm.py
        if fault and self._exposed:
            raise Killed
        return response

    # What must be the case.

    def _check_that_no_slot_is_free(self) -> None:
        """See now and then that the end of a run, once heard of, has started what waits."""
        if self._files > 500 and next(self._numbers) % 10:
            return
        waits = next(self._log.waiting(), None)
        if waits is not None and len(self._log.slots()) < self._most:
            raise Discrepancy(f"a slot is free, and {waits['ingestedID']} waits")

    def _check(self) -> None:
        if held := self._log.slots():
            raise Discrepancy(f"nothing is under way, and these slots are held: {held}")
        items = [item for status in Status for item in self._log.with_status(status)]
        ends = Counter(f"{item['state']}/{item['status']}" for item in items)
        if ends != {"load/success": self._files} or not all(map(told, items)):
            raise Discrepancy(f"of {self._files} files ended: {dict(ends)}")
        alerts = Counter(message["ingestedID"] for message in self._theatre.messages)
        if set(alerts.values()) != {1} or len(alerts) != self._files:
            raise Discrepancy(
                f"{self._files} files, alerts of {len(alerts)}: {Counter(alerts.values())}"
            )
        if sorted(self.started) != sorted(self.landed):
            raise Discrepancy("a file was not started, or was started twice")
