"""Holds log, landing bucket and executions against each other, and puts right what was lost.

EventBridge and S3 notifications are best effort: this is what makes them sure.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import notices
from shared.ingestion import Ingestion, Run, Source
from shared.intake import Admission, Intake
from shared.notices import Notice
from shared.progress import Log, Status, told, untold
from shared.telemetry import logger, naming

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

GRACE = dt.timedelta(minutes=10)
"""What is younger is on its ordinary way and none of our business."""
LOOKBACK = dt.timedelta(days=2)
"""How far back a landed object or an end is still looked for."""
_WITHOUT_RUN = {Status.REJECTED: Notice.REJECTED, Status.MISSING: Notice.MISSING}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One look at everything; `now` is its time."""

    log: Log
    intake: Intake
    s3: "S3Client"
    stepfunctions: "SFNClient"
    events: "EventBridgeClient"
    now: dt.datetime

    def stuck(self) -> int:
        """Announce runs that ended while their log item stayed `running`; start those never begun.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        found = 0
        for item in self.log.with_status(Status.RUNNING):
            if self._age(item) < GRACE:
                continue
            try:
                run = self.stepfunctions.describe_execution(executionArn=item["executionArn"])
            except self.stepfunctions.exceptions.ExecutionDoesNotExist:
                self.intake.start(Ingestion.from_item(item), Run.from_item(item))
                logger.info("never begun", extra=naming(item))
                found += 1
                continue
            if run["status"] != "RUNNING":
                notices.put(self.events, Notice.ENDED, _detail(run))
                logger.info("stuck", extra=naming(item))
                found += 1
        return found

    def unannounced(self) -> int:
        """Announce ends that stand in the log but were never told.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        found = 0
        for status in (Status.SUCCESS, Status.FAIL, Status.SUPERSEDED):
            for item in self._settled(status):
                for arn in untold(item):
                    run = self.stepfunctions.describe_execution(executionArn=arn)
                    if run["status"] == "RUNNING":  # it was redriven
                        continue
                    notices.put(self.events, Notice.ENDED, _detail(run))
                    logger.info("unannounced", extra=naming(item))
                    found += 1
        for status, notice in _WITHOUT_RUN.items():
            for item in self._settled(status):
                if not told(item):
                    notices.put(self.events, notice, naming(item))
                    logger.info("unannounced", extra=naming(item))
                    found += 1
        return found

    def _settled(self, status: Status) -> Iterator[dict[str, Any]]:
        items = self.log.with_status(status, since=self.now - LOOKBACK)
        return (item for item in items if self._age(item) >= GRACE)

    def lost(self, bucket: str) -> list[Source]:
        """Admit landed object versions whose event never came; return those that it started.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        return [each for each in self._landed(bucket) if self._was_lost(each)]

    def _was_lost(self, source: Source) -> bool:
        if self.intake.admit(source) is not Admission.STARTED:
            return False
        ingested_id, table = self.intake.identity(source)
        logger.info("lost", extra={"ingestedID": ingested_id, "ingestedTable": table})
        return True

    def _landed(self, bucket: str) -> Iterator[Source]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        for page in pages:
            for version in page.get("Versions", ()):
                if GRACE <= self.now - version["LastModified"] <= LOOKBACK:
                    yield Source(bucket, version["Key"], version["VersionId"], version["Size"])

    def _age(self, item: dict[str, Any]) -> dt.timedelta:
        return self.now - dt.datetime.fromisoformat(item["updatedAt"])


def _detail(run: Any) -> dict[str, Any]:
    fields = ("executionArn", "status", "input", "output", "error", "cause", "redriveCount")
    return {name: run[name] for name in fields if name in run}
