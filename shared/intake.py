"""How an object version enters the pipeline: logged, then started once, when a slot is free."""

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
"""Characters of a key in a reason, of up to 1,024 bytes that it may have."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
NO_VERSION_REASON = (
    "S3 stored the object without a version, as it may in the first 15 minutes after the bucket's "
    "versioning was turned on, so it cannot be told from a later object under the same key; drop "
    "the file again after that time (`tm doctor` says whether versioning is on)"
)


class Admission(StrEnum):
    """What became of an object version."""

    IGNORED = "ignored"
    """A folder's key: nothing to ingest."""
    REJECTED = "rejected"
    """Its key fits no valid contract, or it has no version; that is logged and alerted."""
    STARTED = "started"
    WAITING = "waiting"
    """As many runs as may be are under way; the end of one starts it."""
    KNOWN = "known"
    """It came before, and its run is under way or over."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Admits object versions to the gate."""

    contracts: Contracts
    gate: Gate
    events: "EventBridgeClient"
    found_by: str | None = None
    """Who admits what no event told of; the alert of its end says so."""

    @property
    def log(self) -> IngestionLog:
        """The log that object versions are admitted to."""
        return self.gate.log

    def identity(self, source: Source) -> tuple[str, str]:
        """Return the ID and the table by which the log knows an object version."""
        ingestion = self._ingestion(source)
        if isinstance(ingestion, str):
            return unmatched_id(source), UNMATCHED
        return ingestion.id, ingestion.table

    def is_known(self, source: Source) -> bool:
        """Tell whether the log has an item of an object version.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        if self.log.get(*self.identity(source)) is not None:
            return True
        ingestion = self._ingestion(source)
        # What had no valid contract may have one by now. A second spelling stays rejected.
        return (
            isinstance(ingestion, Ingestion)
            and isinstance(self._in_one_spelling(ingestion), str)
            and self.log.get(unmatched_id(source), UNMATCHED) is not None
        )

    def admit(self, source: Source) -> Admission:
        """Log an object version and let it through the gate, unless that was done before.

        Safe to repeat at any time: the item is written before the run is started, and a run is
        started again as long as no state has written to the item.

        Raises:
            LogUnavailable: DynamoDB did not answer.
            NoticeUndelivered: EventBridge did not take the notice of a rejection.
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
        """Run an ingestion again from its beginning, on the same log item, once a slot is free.

        A run that was logged but never began is begun, and is not another one.

        Args:
            item: the log item, as it was just read.

        Returns:
            The run that was started, or waits; None if one is under way, or somebody else was
            quicker.

        Raises:
            LogUnavailable: DynamoDB did not answer.
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
        """Return the ingestion of an object version, or the reason why there is none."""
        key = LandingKey.parse(source.key)
        if key is None:
            return (
                f"the key {quoted(source.key, _KEY)} is not of the form "
                "table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, names no real date, or holds "
                "a NUL"
            )
        try:
            self.contracts[key.table]
        except InvalidContract as error:
            return f"the contract of table {key.table!r} is invalid: {error}"
        except KeyError:
            tables = listed(self.contracts.tables)
            return f"there is no contract for table {key.table!r}, only for {tables}"
        return Ingestion.of(source, key) if source.has_version else NO_VERSION_REASON

    def _in_one_spelling(self, ingestion: Ingestion) -> Ingestion | str:
        """Return the ingestion, or why there is none: its source has another spelling."""
        key = LandingKey.parse(ingestion.source.key)
        if key is None or (landed := self.log.spelling(key)) == str(key):
            return ingestion
        return (
            f"the key {quoted(str(key), _KEY)} names the same file of the same day as "
            f"{quoted(landed, _KEY)}, which landed first, so its rows would count twice; drop the "
            f"file under that key, or `tm remove` that key and drop the file again"
        )

    def _reject(self, source: Source, reason: str) -> None:
        self.log.reject(source, reason, found_by=self.found_by)
        # Even if it was logged before: whoever logged it may have died before telling.
        detail = {"ingestedID": unmatched_id(source), "ingestedTable": UNMATCHED}
        notices.put(self.events, Notice.REJECTED, detail)
