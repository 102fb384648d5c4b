"""One storm: a simulation of concurrent files, operators and faults from one seed."""

import datetime as dt
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote_plus

import boto3
import botocore.exceptions
from botocore.awsrequest import AWSResponse

from functions.alert.handler import handler as alert
from functions.load.handler import handler as load
from functions.trigger.handler import handler as trigger
from functions.watch.handler import handler as watch
from shared.endings import Outcome, State, Status
from shared.errors import (
    DatabaseUnavailable,
    LogUnavailable,
    NoticeUndelivered,
    SourceUnreadable,
    StagingIncomplete,
    StagingUnavailable,
)
from shared.ingestion import Ingestion, Run, Source, unmatched_id
from shared.odcs import load_all
from shared.staging import Staging
from shared.verdict import Verdict
from tests.fixtures.aws import LANDING, STAGING, ingestion_of, lambda_context, task_event
from tests.fixtures.contracts import DATED, LANDED, requiring_manifests, with_patterns
from tests.fixtures.messaging import intake_of
from tests.storms.environment import Environment, answer, notices, refusal
from tests.storms.model import FOLDER, STRAY, Aftermath, Alerts, Landed, Version, versions
from tests.storms.runs import (
    Broke,
    Call,
    Execution,
    Halted,
    end_of,
    failed,
    is_logged,
    left_to_do,
    output_of,
    status_change,
    text_of,
)
from tests.storms.scheduler import Actor, Discrepancy, Killed, Scheduler
from tests.storms.weather import Fault, Tally, Weather
from tests.terraform.states_language import rendered

_RETRIES = rendered()["States"]["Load"]["Retry"]
_HANDLERS: dict[str, Callable[..., Any]] = {
    "trigger": trigger,
    "load": load,
    "alert": alert,
    "watch": watch,
}
_ASYNCHRONOUS_TRIES = 3
"""Calls of a function with an event of S3 or EventBridge: Lambda retries twice."""
_SAMPLES, _REQUIRING = load_all(), requiring_manifests()
_ROUNDS = 20
"""Maximum rounds of watch and replays for the recovery after the storm."""

_TRANSIENT = (
    LogUnavailable,
    DatabaseUnavailable,
    StagingUnavailable,
    NoticeUndelivered,
    botocore.exceptions.ClientError,
    botocore.exceptions.HTTPClientError,
)
_TAMPERED = (SourceUnreadable, StagingIncomplete)
"""Errors of Load about objects that were deleted."""


class Storm:
    """The simulation of `seed`, in an empty environment."""

    def __init__(
        self,
        seed: int,
        environment: Environment,
        tally: Tally,
        start: dt.datetime | None = None,
    ) -> None:
        environment.clear(seed, start)
        self._seed = seed
        self._environment = environment
        self._tally = tally
        self._scheduler = Scheduler(random.Random(f"{seed} turns"), environment.monitor.waits)
        self._weather = Weather(random.Random(f"{seed} weather"), tally)
        self._chance = random.Random(f"{seed} world")
        self._rush = self._chance.random() < 0.5
        """Whether all calls of Load are concurrent."""
        self._s3 = boto3.client("s3")
        self._log = environment.log
        self._bounds = random.Random(f"{seed} gate")
        self._most = self._bounds.choice((1, 2, 3, 5))
        environment.allow(self._most)
        self._manifests = random.Random(f"{seed} manifests")
        self._requires_manifests = self._manifests.random() < 0.3
        """Whether each file needs a manifest."""
        self._are_exact = self._manifests.random() < 0.5
        """Whether a manifest vouches for one version only, as if it had a hash."""
        self._vouched: dict[str, int] = {}
        """The number of the version for which each version of a manifest was made."""
        contracts = _REQUIRING if self._requires_manifests else _SAMPLES
        self._folder = random.Random(f"{seed} keys").choice((FOLDER, FOLDER, DATED, LANDED))
        if self._folder != FOLDER:
            contracts = with_patterns(contracts)
        environment.deploy(contracts)
        intake = intake_of(self._log, environment.machine, self._most)
        self._intake = replace(intake, contracts=contracts)
        self._calls: dict[Actor, Call] = {}
        self._landed: list[Landed] = []
        self._executions: dict[str, Execution] = {}
        self._ends: dict[str, Execution | None] = {}
        self._sent: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._tampered: set[str] = set()
        self._removal = random.Random(f"{seed} removal")
        self._removing: set[str] = set()
        """Keys with an unfinished removal."""
        self._numbers: Counter[str] = Counter()

    def run(self) -> str:
        """Run with faults, recover without, and check the result; return the trace."""
        self._environment.simulation = self
        try:
            self._run_with_faults()
            self._recover()
            self._environment.simulation = None
            self._aftermath().check()
        except Exception as error:
            sys.stdout.writelines(f"{line}\n" for line in self._scheduler.history)
            raise Discrepancy(
                f"storm {self._seed}: {type(error).__name__}: {error}\n"
                f"To repeat this storm: make storms SEED={self._seed}"
            ) from error
        finally:
            self._environment.simulation = None
            self._scheduler.close()
            self._environment.monitor.end_all()
        self._tally["storms"] += 1
        self._tally["turns"] += self._scheduler.steps
        self._tally["waited for a lock"] += self._scheduler.lock_waits
        return self._scheduler.trace

    # Actors

    def _run_with_faults(self) -> None:
        for batch in versions(self._chance, self._folder):
            self._scheduler.spawn(f"landing of {batch[0].key}", partial(self._land, batch))
            if self._requires_manifests:
                name = f"manifests of {batch[0].key}"
                self._scheduler.spawn(name, partial(self._land_manifests, batch))
        if self._chance.random() < 0.3:
            self._scheduler.spawn("stray", self._land_stray)
        for _ in range(self._chance.choice((0, 1, 2, 4))):
            self._scheduler.spawn("operator", self._operate)
        if self._chance.random() < 0.4:
            self._scheduler.spawn("watch", self._watch)
        if self._removal.random() < 0.4:
            self._scheduler.spawn("remover", self._remove_one)
        self._scheduler.run()

    def _recover(self) -> None:
        """Call watch and replay failed files until nothing is left to do."""
        sweeps = 0
        for round_ in range(_ROUNDS):
            if round_ == 1:
                self._weather.calm()
            # Grace periods of earlier calls are over.
            self._environment.time += dt.timedelta(hours=1)
            found: list[int] = []
            self._scheduler.spawn("watch", lambda: found.extend(self._watch()))  # noqa: B023
            for key in sorted(self._removing):
                self._scheduler.spawn("remover", partial(self._remove, key))
            self._scheduler.run()
            failed = self._failed()
            for each in failed:
                self._scheduler.spawn("operator", partial(self._replay, each))
            self._scheduler.run()
            # A sweep that began in the storm may have missed files that landed behind its cursor.
            sweeps += found[-1:] == [False]
            if round_ > 0 and sweeps > 1 and not any(found) and not failed and not self._removing:
                return
        raise Discrepancy(
            f"the pipeline does not recover: watch found {found}, {len(failed)} failed"
        )

    def _aftermath(self) -> Aftermath:
        run = self._environment.session.run
        # Interrupted loads of several parts leave rows and empty entries until the next such load.
        may_remain = any(len(each.version.parts) > 1 for each in self._landed)
        rows = run(
            "SELECT s.source_key, d.source_line, d.username, d.timestamp, d.hours, d.project "
            "FROM daily_checkins_rows d LEFT JOIN source s ON s.load_id = d.load_id "
            "WHERE s.id IS NOT NULL OR NOT :may_remain",
            may_remain=may_remain,
        )
        ledger = run(
            "SELECT source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected "
            "FROM source WHERE version_id <> '' OR NOT :may_remain",
            may_remain=may_remain,
        )
        items = {
            item["ingestedID"]: item for status in Status for item in self._log.with_status(status)
        }
        for item in items.values():
            self._tally[f"ended: {item['state']}/{item['status']}"] += 1
        return Aftermath(
            landed=self._landed,
            removed=frozenset(each.ingestion.id for each in self._landed if self._is_gone(each)),
            items=items,
            rows=rows,
            ledger=ledger,
            slots=frozenset(self._log.slots()),
            requires_manifests=self._requires_manifests,
            accepted=[
                (run.manifest, run.landed)
                for run in self._executions.values()
                if run.status == "SUCCEEDED" and run.verdict["outcome"] == "ok"
            ],
            redrives={each.arn: each.redrive for each in self._executions.values()},
            ends={
                end: Alerts(self._sent[end], self._broken[end], is_logged=is_logged(run, items))
                for end, run in self._ends.items()
            },
        )

    def _land(self, batch: list[Version]) -> None:
        """Land the versions of a key, with S3 events that may be lost or duplicated."""
        for version in batch:
            self._scheduler.pause("a version to land")
            if self._requires_manifests and version is not batch[0]:
                # The older version and its manifest may be loaded before.
                self._idle(self._manifests.choice((0, 400)))
            version_id = self._put(version.key, version.body)
            # Without its time, a pause would follow here, in which trigger may start this version.
            now = dt.datetime.now(dt.UTC)
            source = Source(LANDING, version.key, version_id, len(version.body), now)
            self._landed.append(Landed(version, self._ingestion(source)))
            self._tally["versions"] += 1
            self._send_s3_event(source, version.name)

    def _ingestion(self, source: Source) -> Ingestion:
        if self._folder == FOLDER:
            return ingestion_of(source)
        ingestion = self._intake.ingestion(source)
        assert ingestion is not None
        return ingestion

    def _land_manifests(self, batch: list[Version]) -> None:
        """Land manifests of some versions of a key, at last that of the newest one."""
        *older, newest = batch
        for version in [*(each for each in older if self._manifests.random() < 0.6), newest]:
            self._idle(self._manifests.choice((0, 40, 400)))
            # A manifest that vouches for any version may vouch for the one before it.
            while not self._are_exact and all(each.version is not version for each in self._landed):
                self._scheduler.pause("its file to land")
            body = b"a manifest"
            manifest = self._put(f"{version.key}.ctl", body)
            self._vouched[manifest] = version.number
            self._tally["manifests"] += 1
            source = Source(LANDING, f"{version.key}.ctl", manifest, len(body))
            self._send_s3_event(source, f"manifest of {version.name}")

    def _idle(self, turns: int) -> None:
        for _ in range(turns):
            self._scheduler.pause("idle")

    def _land_stray(self) -> None:
        source = Source(LANDING, STRAY, self._put(STRAY, b"stray"), 5)
        self._ends[unmatched_id(source)] = None
        self._send_s3_event(source, "stray")

    def _put(self, key: str, body: bytes) -> str:
        return self._s3.put_object(Bucket=LANDING, Key=key, Body=body)["VersionId"]

    def _send_s3_event(self, source: Source, name: str) -> None:
        [times] = self._chance.choices((0, 1, 2, 3), (1, 8, 4, 2))
        self._tally["S3 events" if times else "S3 events lost"] += times or 1
        landed = {"key": quote_plus(source.key), "size": source.size}
        # An event may lack the version; trigger then takes the newest, which may be a later one.
        if self._chance.random() < 0.9:
            landed["versionId"] = source.version_id
        else:
            self._tally["S3 events without a version"] += 1
        record = {"bucket": {"name": source.bucket}, "object": landed}
        for _ in range(times):
            self._deliver("trigger", {"Records": [{"s3": record}]}, name)

    def _deliver(self, function: str, event: Mapping[str, Any], about: str) -> None:
        """Call a function with an event, with Lambda's retries."""
        name = self._numbered(f"{function} of {about}")
        end = end_of(event) if function == "alert" else None

        def call() -> None:
            for _ in range(_ASYNCHRONOUS_TRIES):
                try:
                    self._call(function, event, name, end)
                except Broke:
                    self._scheduler.pause("a retry")
                else:
                    return
            self._tally[f"given up: {function}"] += 1

        self._scheduler.spawn(name, call)

    def _watch(self) -> list[int]:
        try:
            found: dict[str, int] = self._call("watch", {}, self._numbered("watch"))
        except Broke:
            return [1]
        return left_to_do(found)

    def _operate(self) -> None:
        """Replay or redrive a random file."""
        for _ in range(self._chance.choice((0, 1, 2, 2))):
            self._scheduler.pause("after the others", last=True)
        self._idle(self._chance.randint(0, 20))
        if not self._landed:
            return
        each = self._chance.choice(self._landed)
        runs = [run for run in self._executions.values() if run.landed is each]
        if runs and self._can_be_redriven(runs[-1]) and self._chance.random() < 0.6:
            self._redrive(runs[-1])
        else:
            self._replay(each)

    def _replay(self, each: Landed) -> None:
        waives = self._requires_manifests and self._manifests.random() < 0.2

        def work() -> None:
            item = self._log.get(each.ingestion.id, each.ingestion.table)
            if item is None:
                return
            if isinstance(self._intake.replay(item, without_manifest=waives), Run):
                self._tally[f"replayed: {item['status']}{' without manifest' * waives}"] += 1

        try:
            self._called("operator", work)
        except Broke:
            self._tally["replays interrupted"] += 1

    def _failed(self) -> list[Landed]:
        """Return the failed versions that a replay may load."""
        failed = {item["ingestedID"] for item in self._log.with_status(Status.FAIL)}
        return [
            each
            for each in self._landed
            if each.ingestion.id in failed
            and not each.version.refused
            and not self._is_gone(each)
            # An older version stays failed if its manifest vouches for a newer one.
            and (not self._requires_manifests or each is self._newest(each.version.key))
        ]

    def _newest(self, key: str) -> Landed:
        return [each for each in self._landed if each.version.key == key][-1]

    def _remove_one(self) -> None:
        """Remove a random key, whether or not it is being loaded."""
        if self._removal.random() < 0.5:
            self._scheduler.pause("after the others", last=True)
        self._idle(self._removal.randint(0, 60))
        if self._landed:
            self._remove(self._removal.choice(self._landed).version.key)

    def _remove(self, key: str) -> None:
        """Do what `tm remove` does; its call of Load may fail."""
        self._removing.add(key)
        landed = [each for each in self._landed if each.version.key == key]
        for each in landed:
            version = each.ingestion.source.version_id
            self._tampered.add(each.ingestion.id)
            self._s3.delete_object(Bucket=LANDING, Key=key, VersionId=version)
        event = {"operation": "remove", "bucket": LANDING, "key": key}
        try:
            answer = self._call("load", event, self._numbered(f"removal of {key}"))
        except Broke:
            self._tally["removals interrupted"] += 1
            return
        self._tally["removals that kept a newer version" if answer["kept"] else "removals"] += 1
        self._tally["rows removed"] += answer["rows"]
        for each in landed:
            self._log.removed(each.ingestion.id, each.ingestion.table)
        self._removing.discard(key)

    def _is_gone(self, each: Landed) -> bool:
        listed = self._s3.list_object_versions(Bucket=LANDING, Prefix=each.version.key)
        ids = {version["VersionId"] for version in listed.get("Versions", ())}
        return each.ingestion.source.version_id not in ids

    def _can_be_redriven(self, run: Execution) -> bool:
        # An operator redrives a run after its alert.
        has_failed = run.status not in {"RUNNING", "SUCCEEDED"} and run.error != "Refused"
        return has_failed and self._sent[run.end] > 0

    def _redrive(self, run: Execution) -> None:
        self._tally["redriven"] += 1
        run.redrive += 1
        run.status, run.error, run.cause = "RUNNING", None, None
        self._show(run)
        self._scheduler.spawn(f"{self._name(run)} redriven", partial(self._execute, run))

    # Step Functions

    def _start(self, arn: str, event: str) -> None:
        if arn in self._executions:
            return
        ingestion = Ingestion.from_event(json.loads(event))
        [landed] = [each for each in self._landed if each.ingestion == ingestion]
        run = self._executions[arn] = Execution(arn, landed, event)
        self._tally["runs"] += 1
        # The gate does not limit redrives.
        running = [e for e in self._executions.values() if e.status == "RUNNING" and not e.redrive]
        self._tally[f"concurrent runs: {len(running)} of {self._most}"] += 1
        if len(running) > self._most:
            raise Discrepancy(f"{len(running)} concurrent runs, the limit is {self._most}")
        self._scheduler.spawn(self._name(run), partial(self._execute, run))

    def _execute(self, run: Execution) -> None:
        try:
            if run.state is State.TRANSFORM:
                self._transform_and_test(run)
            run.state = State.LOAD
            run.verdict = self._load(run)
        except Halted as halted:
            run.status, run.error, run.cause = halted.status, halted.error, halted.cause
        else:
            run.status = "SUCCEEDED"
            self._tally[f"verdict: {run.verdict['outcome']}"] += 1
        self._ends[run.end] = replace(run)
        self._scheduler.note(f"{self._name(run)} ends: {run.end}")
        self._show(run)
        [times] = self._chance.choices((0, 1, 2), (1, 6, 1))
        if not times:
            self._tally["run-end events lost"] += 1
            self._scheduler.note("its run-end event is lost")
        for _ in range(times):
            self._deliver("alert", status_change(run), f"{self._name(run)} {run.redrive}")
        [times] = self._bounds.choices((0, 1, 2), (1, 6, 1))
        for _ in range(times):
            self._deliver("watch", status_change(run), f"{self._name(run)} {run.redrive}")

    def _transform_and_test(self, run: Execution) -> None:
        """Simulate the log writes and staged objects of Transform and Test."""
        version, ingestion = run.landed.version, run.landed.ingestion
        staging = Staging(STAGING, ingestion)
        self._log.enter(ingestion, run.run, State.TRANSFORM)
        if self._chance.random() < 0.05 or (
            ingestion.id in self._tampered and self._is_gone(run.landed)
        ):
            raise failed("SourceUnreadable", "the landed object cannot be read")
        verdict = version.transformed
        made_for = self._vouched.get(run.manifest or "", version.number)
        if self._are_exact and made_for != version.number:
            self._tally["refused by a manifest"] += 1
            verdict = Verdict(Outcome.REFUSED, "the manifest is of another version")
        if verdict.outcome is Outcome.REFUSED:
            self._log.leave(ingestion, run.run, State.TRANSFORM, verdict)
            raise Halted("FAILED", "Refused", verdict.reason)
        for uri, body in version.clean(staging):
            self._stage(uri, body)
        self._log.leave(ingestion, run.run, State.TRANSFORM, verdict)
        for uri, body in version.examined(staging):
            self._stage(uri, body)
        self._log.leave(ingestion, run.run, State.TEST, version.tested)
        if self._chance.random() < 0.08:
            self._scheduler.spawn(
                f"deletion of a staged object of {self._name(run)}",
                partial(self._delete_staged, run),
            )

    def _stage(self, uri: str, body: bytes) -> None:
        key = uri.removeprefix(f"s3://{STAGING}/")
        self._s3.put_object(Bucket=STAGING, Key=key, Body=body)

    def _delete_staged(self, run: Execution) -> None:
        version, staging = run.landed.version, Staging(STAGING, run.landed.ingestion)
        staged = [uri for uri, _ in (*version.clean(staging), *version.examined(staging))]
        key = self._chance.choice(staged).removeprefix(f"s3://{STAGING}/")
        self._tampered.add(run.landed.ingestion.id)
        self._tally["staged objects deleted"] += 1
        self._s3.delete_object(Bucket=STAGING, Key=key)

    def _load(self, run: Execution) -> dict[str, Any]:
        """Call Load as the state machine does, with its retries."""
        version = run.landed.version
        event = task_event(
            run.landed.ingestion,
            run.run,
            transform=version.transformed.as_result(),
            test=version.tested.as_result(),
        )
        used: Counter[int] = Counter()
        if self._rush:
            self._scheduler.pause("the start of Load", last=True)
        while True:
            try:
                return self._call_load(run, event)
            except Broke as broke:
                number = next(
                    (n for n, each in enumerate(_RETRIES) if broke.name in each["ErrorEquals"]),
                    None,
                )
                if number is None or used[number] == _RETRIES[number]["MaxAttempts"]:
                    raise Halted("FAILED", broke.name, broke.cause) from broke
                used[number] += 1
                self._tally["retries of Load"] += 1
                self._scheduler.pause("a retry")

    def _call_load(self, run: Execution, event: dict[str, Any]) -> dict[str, Any]:
        name = self._numbered(f"load of {self._name(run)}")
        if self._chance.random() < 0.04:
            # The run ends without the answer, while the function is still running.
            self._tally["Load outlived its run"] += 1
            self._scheduler.spawn(name, partial(self._load_without_run, event, name))
            for _ in range(self._chance.randint(0, 30)):
                self._scheduler.pause("waiting for an answer")
            ends = ("TIMED_OUT", "ABORTED", "Lambda.ClientExecutionTimeoutException")
            match self._chance.choice(ends):
                case "TIMED_OUT" | "ABORTED" as status:
                    raise Halted(status, None, None)
                case error:
                    raise Broke(error, "no answer came")
        verdict: dict[str, Any] = self._call("load", event, name)
        return verdict

    def _load_without_run(self, event: dict[str, Any], name: str) -> None:
        try:
            self._call("load", event, name)
        except Broke:
            self._tally["Load failed after its run"] += 1

    def _show(self, run: Execution) -> None:
        """Update the execution in moto."""
        [shown] = [each for each in self._environment.executions if each.execution_arn == run.arn]
        shown.status, shown.error, shown.cause = run.status, run.error, run.cause
        shown.output = output_of(run)

    # Calls of functions and their I/O

    def _call(
        self, function: str, event: Mapping[str, Any], request: str, end: str | None = None
    ) -> Any:
        return self._called(
            function, lambda: _HANDLERS[function](event, lambda_context(request)), event, end
        )

    def _called(
        self,
        function: str,
        work: Callable[[], Any],
        event: Mapping[str, Any] | None = None,
        end: str | None = None,
    ) -> Any:
        actor = self._scheduler.current
        assert actor is not None
        call = self._calls[actor] = Call(function, end, self._chance.choice((0.0, 120.0)))
        self._tally[f"calls: {function}"] += 1
        try:
            result = work()
        except Killed:
            if not call.dead:
                raise
        except (*_TRANSIENT, *_TAMPERED) as error:
            tampered = event is not None and event.get("ingestedID") in self._tampered
            if isinstance(error, _TAMPERED) and not tampered:
                raise
            self._tally[f"failed: {function} with {type(error).__name__}"] += 1
            cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__})
            raise Broke(type(error).__name__, cause) from error
        finally:
            del self._calls[actor]
            if call.sent and not call.marked:
                self._broken[call.end or ""] += 1
                self._tally["alert failed between a message and its mark"] += 1
        if call.dead:
            names = ("Lambda.Unknown", "Runtime.OutOfMemory", "Sandbox.Timedout")
            raise Broke(self._chance.choice(names), "it was killed")
        return result

    @property
    def patience(self) -> float:
        call = self._current_call()
        return call.patience if call else 0

    def reach(
        self, service: str, at: str, *, contends: str | None = None, backend: int | None = None
    ) -> Fault | None:
        actor, call = self._scheduler.current, self._current_call()
        if call and call.dead:
            raise Killed
        self._scheduler.pause(f"{service} {at}", contends)
        if actor and backend is not None:
            actor.backend = backend
        fault = self._weather.strike(call.function, service) if call else None
        if fault:
            self._scheduler.note(f"    {fault} at {at}")
        if call and fault is Fault.KILLED_BEFORE:
            call.dead = True
            raise Killed
        return fault

    def leave(self, fault: Fault | None) -> None:
        actor, call = self._scheduler.current, self._current_call()
        self._scheduler.pause("an answer")
        if actor:
            actor.backend = None
        if call and fault is Fault.KILLED_AFTER:
            call.dead = True
            raise Killed

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        fault = self.reach(service, operation)
        if fault is Fault.REFUSED:
            return refusal(request, service)
        response = send()
        if response.status_code == 200:
            response = self._follow_up(operation, request, response)
        call = self._current_call()
        if call and fault is Fault.KILLED_AFTER:
            call.dead = True
            raise Killed
        if fault is Fault.ANSWER_LOST:
            raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url)
        return response

    def _follow_up(self, operation: str, request: Any, response: AWSResponse) -> AWSResponse:
        """Simulate the effects of a successful request on other services."""
        call = self._current_call()
        match operation:
            case "StartExecution":
                arn = json.loads(response.content)["executionArn"]
                self._start(arn, json.loads(request.body)["input"])
            case "DescribeExecution":
                described = json.loads(response.content)  # moto does not support redrives
                run = self._executions[described["executionArn"]]
                return answer(request, 200, json.dumps(described | {"redriveCount": run.redrive}))
            case "PutEvents":
                for notice in notices(request):
                    for _ in range(self._chance.choice((1, 1, 1, 2))):
                        self._deliver("alert", notice, "a notice")
            case "Publish" if call:
                self._check_message(call, parse_qs(text_of(request.body))["Message"][0])
                self._sent[call.end or ""] += 1
                call.sent = True
            case "UpdateItem" if call and call.sent:
                call.marked = True
        return response

    def _check_message(self, call: Call, message: str) -> None:
        """Check that a message is about the run-end that alert was called for."""
        record = json.loads(json.loads(message)["default"])
        arn = record["executionArn"]
        if arn is None:
            return
        run = self._executions[arn]
        if not (call.end or "").startswith(f"{Run(arn).execution_name}/"):
            raise Discrepancy(f"the alert of {call.end} names {arn}")
        if record["versionId"] != run.landed.ingestion.source.version_id:
            raise Discrepancy(f"the alert of {call.end} names version {record['versionId']}")
        if (call.end or "").endswith("/SUCCEEDED") and record["status"] != "Ingestion Success":
            raise Discrepancy(f"the alert of {call.end} says {record['status']}")

    def _current_call(self) -> Call | None:
        actor = self._scheduler.current
        return self._calls.get(actor) if actor else None

    def _name(self, run: Execution) -> str:
        attempt = run.arn.rpartition("-r")[2]
        suffix = f" r{attempt}" if attempt.isdigit() else ""
        return f"{run.landed.version.name}{suffix}"

    def _numbered(self, name: str) -> str:
        self._numbers[name] += 1
        return f"{name} #{self._numbers[name]}"
