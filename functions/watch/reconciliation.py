"""Holds log, landed objects and executions against each other, and puts right what was lost.

EventBridge and S3 notifications are best effort: this is what makes them sure.
"""

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import notices
from shared.endings import ENDINGS, WITHOUT_RUN, Notice, Status
from shared.errors import Retryable
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import SLOTS, told, untold
from shared.intake import Admission, Intake
from shared.telemetry import logger, naming
from shared.text import bounded

GRACE = dt.timedelta(minutes=10)
"""What is younger is on its ordinary way and none of our business."""
LOOKBACK = dt.timedelta(days=2)
"""How far back a landed object or an end is still looked for."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One look at everything; `now` is its time.

    A `Retryable` error, such as `LogUnavailable`, ends it.
    """

    intake: Intake
    now: dt.datetime
    failures: list[Exception] = field(default_factory=list)
    """The errors of single ingestions, which did not stop the look."""

    def stuck(self) -> int:
        """Announce runs that ended while their item stayed `running`; start those never begun."""
        found = 0
        for item in self.intake.log.with_status(Status.RUNNING):
            if self._age(item) < GRACE:
                continue
            with self._apart(item):
                run = self.intake.gate.describe(item["executionArn"])
                if run is None:
                    self.intake.gate.start(Ingestion.from_item(item), Run.from_item(item))
                    logger.info("never begun", extra=naming(item))
                    found += 1
                elif run["status"] != "RUNNING":
                    notices.put(self.intake.events, Notice.ENDED, _detail(run))
                    logger.info("stuck", extra=naming(item))
                    found += 1
        return found

    def gate(self) -> dict[str, int]:
        """Recover the slots of runs that are over or never began, and start what waits.

        Returns:
            How many slots were `recovered`, and how many more runs were `started`.
        """
        with self._apart(SLOTS):
            recovered = self.intake.gate.recover()
            return {"recovered": recovered, "started": len(self.intake.gate.open())}
        return {"recovered": 0, "started": 0}

    def unannounced(self) -> int:
        """Announce ends that stand in the log but were never told."""
        found = 0
        for status in dict.fromkeys(e.status for e in ENDINGS.values() if e.notice is None):
            for item in self._settled(status):
                with self._apart(item):
                    found += sum(self._announce(item, arn) for arn in untold(item))
        for notice, kind in WITHOUT_RUN.items():
            for item in self._settled(ENDINGS[kind].status):
                with self._apart(item):
                    if not told(item):
                        notices.put(self.intake.events, notice, naming(item))
                        logger.info("unannounced", extra=naming(item))
                        found += 1
        return found

    def _announce(self, item: Mapping[str, Any], arn: str) -> bool:
        run = self.intake.gate.describe(arn)
        if run is None:
            # The run was replayed more than 90 days after its end, which nobody knows any more.
            logger.info("forgotten", extra=naming(item))
            return False
        if run["status"] == "RUNNING":  # it was redriven
            return False
        notices.put(self.intake.events, Notice.ENDED, _detail(run))
        logger.info("unannounced", extra=naming(item))
        return True

    def _settled(self, status: Status) -> Iterator[dict[str, Any]]:
        items = self.intake.log.with_status(status, since=self.now - LOOKBACK)
        return (item for item in items if self._age(item) >= GRACE)

    def lost(self, landed: Iterable[Source]) -> list[Source]:
        """Admit the object versions that the log does not know, and return those."""
        return [each for each in landed if self._was_lost(each)]

    def _was_lost(self, source: Source) -> bool:
        ingested_id, table = self.intake.identity(source)
        names = {"ingestedID": ingested_id, "ingestedTable": table}
        with self._apart(names):
            # `stuck` and `unannounced` look after what the log knows. A read is cheaper than the
            # write by which a version is admitted, which is billed even if it changes nothing.
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html
            if self.intake.is_known(source):
                return False
            if self.intake.admit(source) in {Admission.STARTED, Admission.WAITING}:
                logger.info("lost", extra=names)
                return True
        return False

    @contextlib.contextmanager
    def _apart(self, names: Mapping[str, Any]) -> Iterator[None]:
        """Keep an error about one ingestion, so that the look goes on with the others.

        Raises:
            Retryable: what is away is so for all of them.
        """
        try:
            yield
        except Retryable:
            raise
        except Exception as error:
            reason = bounded(f"{type(error).__name__}: {error}")
            logger.error("cannot be put right", extra=naming(names) | {"reason": reason})
            self.failures.append(error)

    def raise_failure(self) -> None:
        """Raise the first error that was kept, so that Lambda counts it and tries again."""
        if self.failures:
            raise self.failures[0]

    def _age(self, item: dict[str, Any]) -> dt.timedelta:
        return self.now - dt.datetime.fromisoformat(item["updatedAt"])


def _detail(run: Any) -> dict[str, Any]:
    fields = ("executionArn", "status", "input", "output", "error", "cause", "redriveCount")
    return {name: run[name] for name in fields if name in run}
