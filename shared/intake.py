"""Intake of object versions: log each one, then start it once when a slot is free."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared import notices
from shared.contract_set import Contracts
from shared.endings import Notice, State, Status
from shared.errors import InvalidContract
from shared.gate import Gate
from shared.ingestion import UNMATCHED, Ingestion, Run, Source, unmatched_id
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from shared.text import listed, quoted

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

_KEY = 300
"""Maximum characters of a key in a reason; a key has up to 1,024 bytes."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
NO_VERSION_REASON = (
    "S3 stored the object without a version, which can happen in the first 15 minutes after "
    "versioning is turned on, so it cannot be distinguished from a later object with the same key; "
    "upload the file again after that time (`tm doctor` checks that versioning is on)"
)


class Admission(StrEnum):
    """The result of `Intake.admit`."""

    IGNORED = "ignored"
    """The key of a folder: nothing to ingest."""
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
    found_by: str | None = None
    """Component that found the file when its S3 event was lost; named in the alert."""

    @property
    def log(self) -> IngestionLog:
        """The log of ingestions."""
        return self.gate.log

    def identity(self, source: Source) -> tuple[str, str]:
        """Return the ID and table of an object version's log item."""
        ingestion = self._ingestion(source)
        if isinstance(ingestion, str):
            return unmatched_id(source), UNMATCHED
        return ingestion.id, ingestion.table

    def is_known(self, source: Source) -> bool:
        """Return whether the log has an item of an object version."""
        if self.log.get(*self.identity(source)) is not None:
            return True
        ingestion = self._ingestion(source)
        # A rejected object may have a valid contract by now. A second spelling stays rejected.
        return (
            isinstance(ingestion, Ingestion)
            and isinstance(self._in_one_spelling(ingestion), str)
            and self.log.get(unmatched_id(source), UNMATCHED) is not None
        )

    def admit(self, source: Source) -> Admission:
        """Log an object version and start its run when a slot is free.

        Idempotent: the item is written before the run is started, and a repeated start has no
        effect once a state has written to the item.
        """
        if source.key.endswith("/"):
            return Admission.IGNORED
        ingestion = self._ingestion(source)
        if isinstance(ingestion, Ingestion):
            ingestion = self._in_one_spelling(ingestion)
        if isinstance(ingestion, str):
            self._reject(source, reason=ingestion)
            return Admission.REJECTED
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

    def _ingestion(self, source: Source) -> Ingestion | str:
        """Return the ingestion of an object version, or the reason of its rejection."""
        key = LandingKey.parse(source.key)
        if key is None:
            return (
                f"the key {quoted(source.key, _KEY)} does not have the form "
                "table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, has an invalid date, or "
                "contains a NUL character"
            )
        try:
            self.contracts[key.table]
        except InvalidContract as error:
            return f"the contract of table {key.table!r} is invalid: {error}"
        except KeyError:
            tables = listed(self.contracts.tables)
            return f"there is no contract for table {key.table!r}; the contracts are for {tables}"
        return Ingestion.of(source, key) if source.has_version else NO_VERSION_REASON

    def _in_one_spelling(self, ingestion: Ingestion) -> Ingestion | str:
        """Return the ingestion, or the reason of its rejection if another spelling landed first."""
        key = LandingKey.parse(ingestion.source.key)
        if key is None or (landed := self.log.spelling(key)) == str(key):
            return ingestion
        return (
            f"the key {quoted(str(key), _KEY)} names the same file and day as "
            f"{quoted(landed, _KEY)}, which landed first, so its rows would be loaded twice; "
            "upload the file with that key, or `tm remove` that key and upload the file again"
        )

    def _reject(self, source: Source, reason: str) -> None:
        self.log.reject(source, reason, found_by=self.found_by)
        # Also if it was logged before: that call may have crashed before it sent the notice.
        detail = {"ingestedID": unmatched_id(source), "ingestedTable": UNMATCHED}
        notices.put(self.events, Notice.REJECTED, detail)
