"""Intake of object versions: log each one, then start it once when a slot is free.

A contract may require a manifest. Then a file waits for it, and each version of the manifest
vouches for one accepted version of the file: docs/decisions/0023-manifests.md.
"""

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
from shared.ingestion_log import IngestionLog, was_loaded
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
_WAIVED = "an operator loads the file without its manifest"


class Admission(StrEnum):
    """The result of `Intake.admit`."""

    IGNORED = "ignored"
    """A folder, a marker, an unfinished upload or a deleted object: nothing to ingest."""
    REJECTED = "rejected"
    """The key matches no valid contract, or the object has no version; logged and alerted."""
    MANIFEST = "manifest"
    """A manifest: the files for which it vouches are started."""
    WAITING = "waiting"
    """The file's manifest has not landed."""
    STARTED = "started"
    QUEUED = "queued"
    """All slots are taken; the file is started when a run ends."""
    KNOWN = "known"
    """A duplicate: its run is already under way or over."""


@dataclass(frozen=True, slots=True)
class Unvouched:
    """The reason why no manifest vouches for a file."""

    reason: str


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
                self._settle_all(source)
                return Admission.MANIFEST
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
        awaits = self._register(ingestion)
        run = self.gate.run(ingestion, attempt=1)
        self.log.enqueue(ingestion, run, awaits=awaits, found_by=self.found_by)
        item = self.log.get(ingestion.id, ingestion.table)
        if item is None:
            return Admission.KNOWN
        match item["state"], item["status"]:
            case State.TRIGGER, Status.WAITING:
                return self.settle(item)
            case State.TRIGGER, Status.QUEUED:
                started = ingestion in self.gate.open(item)
                return Admission.STARTED if started else Admission.QUEUED
            case State.TRIGGER, Status.RUNNING:
                # With the manifest of the item, if it has one.
                if self.gate.start(Ingestion.from_item(item), Run.from_item(item)):
                    return Admission.STARTED
        return Admission.KNOWN

    def settle(self, item: Mapping[str, Any], manifest: Source | None = None) -> Admission:
        """Start a file that waits for a manifest or failed with an earlier one, if it is there now.

        `manifest` is a manifest's newest version, if it is known. Of the file, only the newest
        version is started. Idempotent: of concurrent calls for one file, one starts it.
        """
        ingestion = Ingestion.from_item(item)
        failed = item["status"] == Status.FAIL and not was_loaded(item)
        if not (failed and ingestion.manifest) and item["status"] != Status.WAITING:
            return Admission.KNOWN
        if "removedAt" in item:
            return Admission.KNOWN
        found = self._voucher(ingestion, item, manifest)
        if isinstance(found, Unvouched):
            return Admission.KNOWN if failed else Admission.WAITING
        if not failed:
            is_released = self.log.release(item, found)
        elif found in (None, ingestion.manifest):
            return Admission.KNOWN
        else:
            run = self.gate.run(ingestion, attempt=int(item["attempt"]) + 1)
            is_released = self.log.reopen(item, run, found)
        if not is_released:
            return Admission.KNOWN
        started = self.gate.open(self.log.get(ingestion.id, ingestion.table) or item)
        return Admission.STARTED if ingestion in started else Admission.QUEUED

    def replay(
        self, item: Mapping[str, Any], *, without_manifest: bool = False
    ) -> Run | Unvouched | None:
        """Run an ingestion again from the first state, with the same, current log item.

        If the current run was logged but never started, start it instead of a new one. Return the
        run, which is started or waits for a slot; None if one is under way, or if the log item
        changed meanwhile; `Unvouched` if it lacks its manifest. A replay keeps the manifest of the
        last run, unless it is to run `without_manifest`.
        """
        ingestion, run = Ingestion.from_item(item), Run.from_item(item)
        status = self.gate.status(run)
        if status == "RUNNING":
            return None
        if status is None and item["status"] == Status.RUNNING:
            self.gate.start(ingestion, run)
            return run
        if item["status"] != Status.QUEUED:
            reason = _WAIVED if without_manifest else None
            manifest = None if without_manifest else self._replayed(ingestion, item)
            if isinstance(manifest, Unvouched):
                return manifest
            if item["status"] == Status.WAITING:
                is_waiting = self.log.release(item, manifest, reason)
            else:
                run = self.gate.run(ingestion, attempt=int(item["attempt"]) + 1)
                is_waiting = self.log.reopen(item, run, manifest, reason)
            if not is_waiting:
                return None
        self.gate.open(self.log.get(ingestion.id, ingestion.table) or item)
        return run

    def manifest_within(self, table: str) -> dt.timedelta | None:
        """Return how long a table's files may wait for a manifest; None if they need none."""
        manifest = self.contracts[table].manifest if table in self.contracts else None
        return None if manifest is None else dt.timedelta(hours=manifest.within_hours)

    def _settle_all(self, manifest: Source) -> None:
        """Start the files for which a manifest that has landed vouches."""
        newest = landing.newest_version(self.s3, manifest.bucket, manifest.key)
        if newest is None:
            return
        for item in self.log.registered(manifest.bucket, manifest.key):
            self.settle(item, newest)
            if was_loaded(item) or "removedAt" in item or item["status"] == Status.SUPERSEDED:
                # A later version of the manifest concerns only later versions of the file.
                self.log.unregister(manifest.key, Ingestion.from_item(item))

    def _register(self, ingestion: Ingestion) -> str | None:
        """Register a file for its manifest; return what it waits for, or None."""
        key = self.manifest_of(ingestion)
        if not isinstance(key, str):
            return None
        # Before the file is logged and its manifest looked for: if the manifest lands later, its
        # event finds the registration.
        self.log.register(key, ingestion)
        return (
            f"the file waits for its manifest {quoted(key, KEY)}, which has not landed or has "
            "vouched for another version of the file"
        )

    def _voucher(
        self, ingestion: Ingestion, item: Mapping[str, Any], known: Source | None
    ) -> Source | Unvouched | None:
        """Return the manifest that vouches for a file, or None if its contract requires none."""
        manifest = self._landed_manifest(ingestion, known)
        if not isinstance(manifest, Source):
            return manifest
        holder = self.log.claim_manifest(manifest, ingestion)
        # Not before the claim: a newer version that holds it is in the bucket by now.
        newest = landing.newest_version(self.s3, ingestion.source.bucket, ingestion.source.key)
        if newest is None:
            return Unvouched("the file was deleted before its manifest landed")
        if newest.version_id != ingestion.source.version_id:
            reason = f"version {newest.version_id} of the file landed before this one's manifest"
            self.log.dismiss(item, reason)
            return Unvouched(reason)
        if holder != ingestion.id:
            other = self.log.get(holder, ingestion.table)
            if other is None or self.log.yield_manifest(other, manifest):
                holder = self.log.claim_manifest(manifest, ingestion, holder)
        return manifest if holder == ingestion.id else _taken(manifest, holder)

    def _replayed(self, ingestion: Ingestion, item: Mapping[str, Any]) -> Source | Unvouched | None:
        """Return the manifest with which an ingestion is replayed, or None without one."""
        manifest = ingestion.manifest
        if manifest is None:
            return self._voucher(ingestion, item, None)
        if self.manifest_within(ingestion.table) is None:
            return None
        # An older version may be replayed, but only with its own manifest.
        holder = self.log.claim_manifest(manifest, ingestion)
        return manifest if holder == ingestion.id else _taken(manifest, holder)

    def _landed_manifest(
        self, ingestion: Ingestion, known: Source | None
    ) -> Source | Unvouched | None:
        key = self.manifest_of(ingestion)
        if key is None or isinstance(key, Unvouched):
            return key
        if known is not None and known.key == key:
            return known
        # S3 shows an object to each request that begins after the object was stored.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
        found = landing.newest_version(self.s3, ingestion.source.bucket, key)
        if found is None:
            return Unvouched(f"its manifest {quoted(key, KEY)} has not landed")
        return found if found.has_version else Unvouched(NO_VERSION_REASON)

    def manifest_of(self, ingestion: Ingestion) -> str | Unvouched | None:
        """Return the key of the manifest that a file requires, or None."""
        if ingestion.table not in self.contracts:
            return Unvouched(f"there is no valid contract for table {ingestion.table!r}")
        if self.contracts[ingestion.table].manifest is None:
            return None
        match self._landing_key(ingestion.source):
            case LandingKey() as key if key.table == ingestion.table:
                return self.manifest_key(key)
            case UnknownKey(reason):
                return Unvouched(reason)
        return Unvouched(f"{quoted(ingestion.source.key, KEY)} is no file of {ingestion.table} now")

    def manifest_key(self, key: LandingKey) -> str | Unvouched | None:
        """Return the key of the manifest that the file of a landing key requires, or None."""
        manifest = self.contracts[key.table].manifest
        if manifest is None:
            return None
        if (name := manifest.name_for(key.filename, key.groups)) is not None:
            return f"{str(key).removesuffix(key.filename)}{name}"
        return Unvouched(
            f"the key {quoted(str(key), KEY)} lacks a part of the manifest's name "
            f"{quoted(manifest.name)}: upload the file with a key that has it"
        )

    def _landing_key(self, source: Source) -> Classified:
        """Return what an object version is; one without a version is never data."""
        found = classify(source.key, self.contracts)
        if isinstance(found, LandingKey) and not source.has_version:
            return UnknownKey(NO_VERSION_REASON)
        if isinstance(found, LandingKey) and isinstance(no := self.manifest_key(found), Unvouched):
            return UnknownKey(no.reason)
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


def _taken(manifest: Source, holder: str) -> Unvouched:
    return Unvouched(
        f"version {manifest.version_id} of its manifest {quoted(manifest.key, KEY)} vouches for "
        f"another version of the file, ingestion {holder}"
    )
