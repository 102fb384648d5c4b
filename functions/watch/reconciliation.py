"""Compares the log with landed files and executions, and recovers from lost events.

EventBridge and S3 notifications are best effort. This module guarantees their effects.
"""

import contextlib
import datetime as dt
import heapq
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import notices
from shared.endings import ENDINGS, WITHOUT_RUN, Notice, Status
from shared.errors import Retryable
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import SLOTS, changed_at, executions_without_alert, is_alert_settled
from shared.intake import Admission, Intake
from shared.telemetry import logger, naming
from shared.text import bounded

GRACE = dt.timedelta(minutes=10)
"""Newer changes are skipped: their events may still arrive."""
LOOKBACK = dt.timedelta(days=2)
"""How far back landed files and outcomes are checked."""
MANIFESTS = "manifests"
"""Name of the progress of `Reconciliation.manifests` in the log table."""
SECONDS = 60.0
"""Seconds after which a call looks for no more manifests."""
_FOUND = {Admission.STARTED, Admission.QUEUED, Admission.WAITING}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The checks of one call of watch at the time `now`.

    Every method raises `Retryable` errors, such as `LogUnavailable`.
    """

    intake: Intake
    now: dt.datetime
    failures: list[Exception] = field(default_factory=list)
    """Errors about single ingestions. The other ingestions were checked nevertheless."""

    def stuck(self) -> int:
        """Repeat lost run-end events, and start runs that never started; return how many."""
        found = 0
        for item in self.intake.log.with_status(Status.RUNNING):
            if self._age(item) < GRACE:
                continue
            with self._isolated(item):
                run = self.intake.gate.describe(item["executionArn"])
                if run is None:
                    self.intake.gate.start(Ingestion.from_item(item), Run.from_item(item))
                    logger.info("never started", extra=naming(item))
                    found += 1
                elif run["status"] != "RUNNING":
                    notices.put(self.intake.events, Notice.ENDED, _detail(run))
                    logger.info("stuck", extra=naming(item))
                    found += 1
        return found

    def gate(self) -> dict[str, int]:
        """Free slots of runs that ended or never started, and start queued files; count both."""
        counts = {"recovered": 0, "started": 0}
        with self._isolated(SLOTS):
            counts["recovered"] = self.intake.gate.recover()
            counts["started"] = len(self.intake.gate.open())
        return counts

    def unannounced(self) -> int:
        """Repeat run-end events and notices without an alert in the log; return how many."""
        found = 0
        for status in dict.fromkeys(e.status for e in ENDINGS.values() if e.notice is None):
            for item in self._ended(status):
                with self._isolated(item):
                    found += sum(
                        self._repeat_end(item, arn) for arn in executions_without_alert(item)
                    )
        for notice, kind in WITHOUT_RUN.items():
            for item in self._ended(ENDINGS[kind].status):
                with self._isolated(item):
                    if not is_alert_settled(item):
                        notices.put(self.intake.events, notice, naming(item))
                        logger.info("unannounced", extra=naming(item))
                        found += 1
        return found

    def _repeat_end(self, item: Mapping[str, Any], arn: str) -> bool:
        run = self.intake.gate.describe(arn)
        if run is None:
            # Step Functions forgets a run 90 days after its end. This one was replayed later.
            logger.info("forgotten", extra=naming(item))
            return False
        if run["status"] == "RUNNING":  # a redrive
            return False
        notices.put(self.intake.events, Notice.ENDED, _detail(run))
        logger.info("unannounced", extra=naming(item))
        return True

    def _ended(self, status: Status, since: dt.datetime | None = None) -> Iterator[dict[str, Any]]:
        first = max(filter(None, (since, self.now - LOOKBACK)))
        items = self.intake.log.with_status(status, first)
        return (item for item in items if self._age(item) >= GRACE)

    def manifests(self) -> dict[str, int]:
        """Start files whose manifest is there, and report late manifests; return how many of each.

        S3's event of the manifest was lost, or it landed while an earlier version refused the file.
        """
        counts = {"vouched": 0, "unvouched": 0}
        for item in self._without_manifest():
            with self._isolated(item):
                match self.intake.settle(item):
                    case Admission.STARTED | Admission.QUEUED:
                        logger.info("vouched", extra=naming(item))
                        counts["vouched"] += 1
                    case Admission.WAITING if self._is_late(item):
                        # The alert is claimed in the item, and so it is sent once.
                        notices.put(self.intake.events, Notice.MISSING, naming(item))
                        logger.info("unvouched", extra=naming(item))
                        counts["unvouched"] += 1
        return counts

    def _without_manifest(self) -> Iterator[dict[str, Any]]:
        """Yield what may lack a manifest, from where the last call ran out of time."""
        log, until = self.intake.log, time.monotonic() + SECONDS
        saved = (log.progress(MANIFESTS) or {}).get("behind")
        since = None if saved is None else dt.datetime.fromisoformat(saved)
        waiting = log.with_status(Status.WAITING, since)
        failed = (item for item in self._ended(Status.FAIL, since) if "manifest" in item)
        for item in heapq.merge(waiting, failed, key=changed_at):
            if time.monotonic() >= until:
                log.save_progress(MANIFESTS, {"behind": changed_at(item)})
                return
            if self._age(item) >= GRACE:
                yield item
        if saved is not None:
            log.save_progress(MANIFESTS, {})

    def _is_late(self, item: Mapping[str, Any]) -> bool:
        """Return whether a file's manifest did not land in time, which is not reported yet."""
        within = self.intake.manifest_within(item["ingestedTable"])
        return within is not None and self._age(item) >= within and not is_alert_settled(item)

    def lost(self, landed: Iterable[Source]) -> list[Ingestion]:
        """Admit the object versions without a log item, and return their ingestions."""
        admitted = (self.intake.ingestion(each) for each in landed if self._admit_if_lost(each))
        return [each for each in admitted if each is not None]

    def _admit_if_lost(self, source: Source) -> bool:
        ingested_id, table = self.intake.identity(source)
        names = {"ingestedID": ingested_id, "ingestedTable": table}
        with self._isolated(names):
            # `stuck` and `unannounced` handle versions with a log item. A read is cheaper than the
            # conditional write of an admission, which is billed even if it fails.
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html
            if self.intake.is_known(source):
                return False
            if self.intake.admit(source) in _FOUND:
                logger.info("lost", extra=names)
                return True
        return False

    @contextlib.contextmanager
    def _isolated(self, names: Mapping[str, Any]) -> Iterator[None]:
        """Record an error about one ingestion; a `Retryable` one concerns all and is raised."""
        try:
            yield
        except Retryable:
            raise
        except Exception as error:
            reason = bounded(f"{type(error).__name__}: {error}")
            logger.error("cannot be reconciled", extra=naming(names) | {"reason": reason})
            self.failures.append(error)

    def raise_failure(self) -> None:
        """Raise the first recorded error, so that Lambda counts it and retries."""
        if self.failures:
            raise self.failures[0]

    def _age(self, item: Mapping[str, Any]) -> dt.timedelta:
        return self.now - dt.datetime.fromisoformat(item["updatedAt"])


def _detail(run: Any) -> dict[str, Any]:
    fields = ("executionArn", "status", "input", "output", "error", "cause", "redriveCount")
    return {name: run[name] for name in fields if name in run}
