"""Intake of object versions: log each one, then start it once when a slot is free."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from shared import landing, notices
from shared.classification import Classified, IgnoredKey, ManifestKey, UnknownKey, classify
from shared.contract_set import Contracts
from shared.endings import Notice, State, Status
from shared.gate import Gate
from shared.ingestion import UNMATCHED, Ingestion, Run, Source, ingested_id, unmatched_id
from shared.ingestion_log import IngestionLog
from shared.key_pattern import KEY
from shared.landing_key import IGNORED_NAMES, LandingKey
from shared.text import quoted

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
NO_VERSION_REASON = (
    "S3 stored the object without a version, which can happen in the first 15 minutes after "
    "versioning is turned on, so it cannot be distinguished from a later object with the same key; "
    "upload the file again after that time (`tm doctor` checks that versioning is on)"
)
_IGNORED_REASON = (
    f"files with such names are ignored ({IGNORED_NAMES}), because they are markers or unfinished "
    "uploads; others that land today are not reported. If it is a complete file, upload it with "
    "another name"
)


class Admission(StrEnum):
    """The result of `Intake.admit`."""

    IGNORED = "ignored"
    """A folder, a marker, an unfinished upload or a deleted object: nothing to ingest."""
    REJECTED = "rejected"
    """The key matches no valid contract, or the object has no version; logged and alerted."""
    STARTED = "started"
    WAITING = "waiting"
    """All slots are taken; the file is started when a run ends."""
    KNOWN = "known"
    """A duplicate: its run is already under way or over."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Admits object versions to the gate.

    Its methods raise `LogUnavailable` if DynamoDB does not answer, and `NoticeUndelivered` if
    EventBridge does not accept the notice of a rejection.
    """

    contracts: Contracts
    gate: Gate
    events: "EventBridgeClient"
    s3: "S3Client"
    found_by: str | None = None
    """Component that found the file when its S3 event was lost; named in the alert."""

    @property
    def log(self) -> IngestionLog:
        """The log of ingestions."""
        return self.gate.log

    def identity(self, source: Source) -> tuple[str, str]:
        """Return the ID and table of an object version's log item."""
        key = self._landing_key(source)
        if isinstance(key, LandingKey):
            return ingested_id(source, key), key.table
        return unmatched_id(source), UNMATCHED

    def is_known(self, source: Source) -> bool:
        """Return whether the log has an item of an object version, or never has one."""
        key = self._landing_key(source)
        if isinstance(key, IgnoredKey | ManifestKey):
            return True
        if self.log.get(*self.identity(source)) is not None:
            return True
        # A rejected object may have a valid contract by now. A second spelling stays rejected.
        return (
            isinstance(key, LandingKey)
            and self._claim_problem(key) is not None
            and self.log.get(unmatched_id(source), UNMATCHED) is not None
        )

    def ingestion(self, source: Source) -> Ingestion | None:
        """Return the ingestion of an object version.

        Return None if it is no data file, or if its day is that of its landing and S3 lacks it.
        """
        key = self._landing_key(source)
        if not isinstance(key, LandingKey):
            return None
        if isinstance(key.date, ZoneInfo) and source.landed is None:
            dated = landing.dated(self.s3, source)
            return None if dated is None else Ingestion.of(dated, key)
        return Ingestion.of(source, key)

    def admit(self, source: Source) -> Admission:
        """Log an object version and start its run when a slot is free.

        Idempotent: the item is written before the run is started, and a repeated start has no
        effect once a state has written to the item.
        """
        match self._landing_key(source):
            case IgnoredKey(name=""):
                return Admission.IGNORED
            case IgnoredKey():
                self._report_ignored(source)
                return Admission.IGNORED
            case ManifestKey():
                return Admission.IGNORED
            case UnknownKey(reason):
                self._reject(source, reason)
                return Admission.REJECTED
            case LandingKey() as key:
                return self._admit(source, key)

    def _admit(self, source: Source, key: LandingKey) -> Admission:
        if problem := self._claim_problem(key):
            self._reject(source, problem)
            return Admission.REJECTED
        ingestion = self.ingestion(source)
        if ingestion is None:
            return Admission.IGNORED  # it is deleted; else, watch finds it
        self.log.enqueue(ingestion, self.gate.run(ingestion, attempt=1), found_by=self.found_by)
        item = self.log.get(ingestion.id, ingestion.table) or {}
        match item.get("state"), item.get("status"):
            case State.TRIGGER, Status.WAITING:
                started = ingestion in self.gate.open(item)
                return Admission.STARTED if started else Admission.WAITING
            case State.TRIGGER, Status.RUNNING if self.gate.start(ingestion, Run.from_item(item)):
                return Admission.STARTED
        return Admission.KNOWN

    def replay(self, item: Mapping[str, Any]) -> Run | None:
        """Run an ingestion again from the first state, with the same, current log item.

        If the current run was logged but never started, start it instead of a new one. Return the
        run, which is started or waits for a slot; None if one is under way, or if the log item
        changed meanwhile.
        """
        ingestion, run = Ingestion.from_item(item), Run.from_item(item)
        status = self.gate.status(run)
        if status == "RUNNING":
            return None
        if status is None and item["status"] == Status.RUNNING:
            self.gate.start(ingestion, run)
            return run
        if item["status"] != Status.WAITING:
            run = self.gate.run(ingestion, attempt=int(item["attempt"]) + 1)
            if not self.log.reopen(item, run):
                return None
        self.gate.open(self.log.get(ingestion.id, ingestion.table) or item)
        return run

    def _landing_key(self, source: Source) -> Classified:
        """Return what an object version is; one without a version is never data."""
        found = classify(source.key, self.contracts)
        if isinstance(found, LandingKey) and not source.has_version:
            return UnknownKey(NO_VERSION_REASON)
        return found

    def _claim_problem(self, key: LandingKey) -> str | None:
        """Return the reason of the rejection if a file with another claim landed first."""
        if (landed := self.log.spelling(key)) == key.claim:
            return None
        if key.claim == key.table:
            return (
                f"a file with the key {quoted(str(key), KEY)} landed first for the table "
                f"{landed!r}, before the patterns in `keys` were changed, so its rows would be in "
                "two tables: upload the file with another key, or change the patterns back"
            )
        return (
            f"the key {quoted(str(key), KEY)} names the same file and day as "
            f"{quoted(landed, KEY)}, which landed first, so its rows would be loaded twice; "
            "upload the file with that key, or `tm remove` that key and upload the file again"
        )

    def _reject(self, source: Source, reason: str) -> None:
        self.log.reject(source, reason, found_by=self.found_by)
        # Also if it was logged before: that call may have crashed before it sent the notice.
        self._notify(unmatched_id(source))

    def _report_ignored(self, source: Source) -> None:
        """Log and report the first ignored file of today, and no other one."""
        ignored_id = f"ignored-{dt.datetime.now(dt.UTC):%Y%m%d}"
        # If this call crashes before it sends the notice, watch sends it.
        if self.log.reject(source, _IGNORED_REASON, logged_as=ignored_id):
            self._notify(ignored_id)

    def _notify(self, rejected_id: str) -> None:
        detail = {"ingestedID": rejected_id, "ingestedTable": UNMATCHED}
        notices.put(self.events, Notice.REJECTED, detail)
