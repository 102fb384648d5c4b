"""An ingestion: one object version on its way from the landing bucket to PostgreSQL."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from shared.errors import InvalidEvent
from shared.landing_key import LandingKey, partition

UNMATCHED = "unmatched"
"""The `ingestedTable` of an object that matches no contract."""
NO_VERSION = "null"
"""S3's version ID of an object that was stored while versioning was off.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html"""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of one landed object; `size` in bytes.

    The `version_id` of an object without a version is `null@` plus the time when it was stored,
    which distinguishes two objects with the same key. It is not an ID of S3: intake rejects it.
    """

    bucket: str
    key: str
    version_id: str
    size: int
    landed: dt.datetime | None = field(default=None, compare=False)
    """S3's LastModified of the version; None if it was not read, because few keys need it."""

    @classmethod
    def stored(
        cls, bucket: str, key: str, version_id: str | None, size: int, modified: dt.datetime
    ) -> "Source":
        """Return the source of an object from the fields that S3 returns."""
        if version_id in {None, NO_VERSION}:
            version_id = f"{NO_VERSION}@{modified.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        return cls(bucket, key, str(version_id), size, modified)

    @property
    def has_version(self) -> bool:
        """Whether S3 keeps this object when another one is stored with the same key."""
        return self.version_id.partition("@")[0] != NO_VERSION


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The ingestion of one object version, with its ID, table and day.

    `manifest` is the version of its manifest that its run verifies; None without one. It is not
    part of the ingestion's identity.
    """

    id: str
    table: str
    data_date: dt.date
    source: Source
    manifest: Source | None = field(default=None, compare=False)

    @classmethod
    def of(cls, source: Source, key: LandingKey) -> "Ingestion":
        """Return the ingestion of an object version.

        If the day is not in the key, `source.landed` must be known. The ID does not depend on it.
        """
        day = key.date
        if isinstance(day, ZoneInfo):
            if source.landed is None:
                raise ValueError(f"it is not known when {source.key} landed")
            day = source.landed.astimezone(day).date()
        return cls(ingested_id(source, key), key.table, day, source)

    def execution_name(self, attempt: int = 1) -> str:
        """Return the name of its execution, at most 80 characters.

        The names of later attempts end in `-r2`, `-r3` and so on.
        """
        name = f"{self.table}-{self.id}"
        return name if attempt == 1 else f"{name}-r{attempt}"

    @property
    def partition(self) -> str:
        """The staging prefix of this ingestion, without leading or trailing slash."""
        return f"{partition(self.table, self.data_date)}/ingestedID={self.id}"

    def as_event(self) -> dict[str, Any]:
        """Return the fields of this ingestion in the input of the state machine.

        `Run.input_of` returns the complete input.
        """
        return {
            "ingestedID": self.id,
            "ingestedTable": self.table,
            "dataDate": self.data_date.isoformat(),
            "source": {
                "bucket": self.source.bucket,
                "key": self.source.key,
                "versionId": self.source.version_id,
                "size": self.source.size,
            },
            **manifest_fields(self.manifest),
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Ingestion":
        """Return the ingestion of a log item."""
        source = Source(item["bucket"], item["sourceKey"], item["versionId"], int(item["size"]))
        date = dt.date.fromisoformat(item["dataDate"])
        manifest = _manifest(item, source.bucket)
        return cls(item["ingestedID"], item["ingestedTable"], date, source, manifest)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Ingestion":
        """Return the ingestion of a state machine input; raise InvalidEvent if it is invalid."""
        try:
            source = event["source"]
            return cls(
                id=event["ingestedID"],
                table=event["ingestedTable"],
                data_date=dt.date.fromisoformat(event["dataDate"]),
                source=Source(
                    source["bucket"], source["key"], source["versionId"], int(source["size"])
                ),
                manifest=_manifest(event, source["bucket"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the input of the state machine has a missing or invalid field: {error}; start "
                "runs with the function `trigger` or with `tm replay`"
            ) from error


@dataclass(frozen=True, slots=True)
class Run:
    """An execution of the state machine for an ingestion.

    Attributes:
        execution_arn: ARN of the execution.
        redrive: how often it was redriven.
        contracts: SHA-256 of its contract set; None before it begins, and for runs of versions
            before 0.1.0. Not part of the run's identity.
    """

    execution_arn: str
    redrive: int = 0
    contracts: str | None = field(default=None, compare=False)

    @property
    def execution_name(self) -> str:
        """The name of the execution, the last part of its ARN."""
        return self.execution_arn.rpartition(":")[2]

    def input_of(self, ingestion: Ingestion) -> dict[str, Any]:
        """Return the state machine's input for this run of an ingestion."""
        named = {} if self.contracts is None else {"contracts": self.contracts}
        return ingestion.as_event() | named

    @property
    def name(self) -> str:
        """The identity of this run among the runs of its ingestion."""
        return f"{self.execution_name}/{self.redrive}"

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Run":
        """Return the run of a task's event; raise InvalidEvent if it is invalid."""
        try:
            execution = event["execution"]
            return cls(execution["arn"], int(execution["redrive"]), event.get("contracts"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the task's event has a missing or invalid field of 'execution': {error}; check "
                "that state_machine.asl.json sends it"
            ) from error

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Run":
        """Return the current run of a log item."""
        return cls(item["executionArn"], int(item["redrive"]), item.get("contracts"))


def manifest_fields(manifest: Source | None) -> dict[str, Any]:
    """Return the field `manifest` of a log item and of the state machine's input, if there is one.

    A manifest is in the bucket of its file.
    """
    if manifest is None:
        return {}
    fields = {"key": manifest.key, "versionId": manifest.version_id, "size": manifest.size}
    return {"manifest": fields}


def _manifest(fields: Mapping[str, Any], bucket: str) -> Source | None:
    if "manifest" not in fields:
        return None
    found = fields["manifest"]
    return Source(bucket, found["key"], found["versionId"], int(found["size"]))


def ingested_id(source: Source, key: LandingKey) -> str:
    """Return the ID of an object version's ingestion, which depends only on the two."""
    day = f"{key.date:%Y%m%d}" if isinstance(key.date, dt.date) else "landed"
    return f"{day}-{_digest(source)}"


def unmatched_id(source: Source) -> str:
    """Return the log ID of an object version that matches no contract."""
    return f"{UNMATCHED}-{_digest(source)}"


def _digest(source: Source) -> str:
    return hashlib.sha256(f"{source.key}\n{source.version_id}".encode()).hexdigest()[:10]
