"""An ingestion: one object version on its way from the landing bucket to PostgreSQL."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import InvalidEvent
from shared.landing_key import LandingKey, partition

UNMATCHED = "unmatched"
"""The `ingestedTable` of an object that no contract takes."""
NO_VERSION = "null"
"""S3's version ID of an object that was stored while its bucket did not keep versions.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html"""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of one landed object; `size` in bytes.

    An object without a version has as its `version_id` `null@` and the time when it was stored, so
    that two objects under one key differ. S3 knows no such ID: intake rejects the object.
    """

    bucket: str
    key: str
    version_id: str
    size: int

    @classmethod
    def stored(
        cls, bucket: str, key: str, version_id: str | None, size: int, modified: dt.datetime
    ) -> "Source":
        """Return an object as S3 lists or describes it, with or without a version."""
        if version_id in {None, NO_VERSION}:
            version_id = f"{NO_VERSION}@{modified.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        return cls(bucket, key, str(version_id), size)

    @property
    def has_version(self) -> bool:
        """Whether S3 keeps this object when another one is stored under its key."""
        return self.version_id.partition("@")[0] != NO_VERSION


@dataclass(frozen=True, slots=True)
class Ingestion:
    """Which object version, for which table and day, under which ID."""

    id: str
    table: str
    data_date: dt.date
    source: Source

    @classmethod
    def of(cls, source: Source, key: LandingKey) -> "Ingestion":
        """Return the ingestion of an object version; the same version always has the same ID."""
        ingested_id = f"{key.date:%Y%m%d}-{_digest(source)}"
        return cls(ingested_id, key.table, key.date, source)

    def execution_name(self, attempt: int = 1) -> str:
        """Return the name under which the state machine runs it, at most 80 characters.

        From the second attempt on it ends in `-r2`, `-r3` and so on.
        """
        name = f"{self.table}-{self.id}"
        return name if attempt == 1 else f"{name}-r{attempt}"

    @property
    def partition(self) -> str:
        """The staging partition of this ingestion, without slashes at the ends."""
        return f"{partition(self.table, self.data_date)}/ingestedID={self.id}"

    def as_event(self) -> dict[str, Any]:
        """Return what the state machine's input says of it; a `Run` makes the whole input."""
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
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Ingestion":
        """Take an ingestion out of its log item."""
        source = Source(item["bucket"], item["sourceKey"], item["versionId"], int(item["size"]))
        date = dt.date.fromisoformat(item["dataDate"])
        return cls(item["ingestedID"], item["ingestedTable"], date, source)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Ingestion":
        """Take an ingestion out of the state machine's input.

        Raises:
            InvalidEvent: a field is missing or of the wrong form.
        """
        try:
            source = event["source"]
            return cls(
                id=event["ingestedID"],
                table=event["ingestedTable"],
                data_date=dt.date.fromisoformat(event["dataDate"]),
                source=Source(
                    source["bucket"], source["key"], source["versionId"], int(source["size"])
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the state machine's input lacks or garbles {error}; start runs with the "
                "trigger function or the operator's command, which build it"
            ) from error


@dataclass(frozen=True, slots=True)
class Run:
    """The execution that is at work on an ingestion: its ARN, and how often it was redriven.

    `contracts` is the SHA-256 of the contracts that it began with; None of one that has not begun,
    or that a version before 0.1.0 began. It does not tell one run from another.
    """

    execution_arn: str
    redrive: int = 0
    contracts: str | None = field(default=None, compare=False)

    @property
    def execution_name(self) -> str:
        """The execution's name."""
        return self.execution_arn.rpartition(":")[2]

    def input_of(self, ingestion: Ingestion) -> dict[str, Any]:
        """Return the state machine's input for this run of an ingestion."""
        named = {} if self.contracts is None else {"contracts": self.contracts}
        return ingestion.as_event() | named

    @property
    def name(self) -> str:
        """What tells this run from every other of the same ingestion."""
        return f"{self.execution_name}/{self.redrive}"

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "Run":
        """Take the run out of a task's event.

        Raises:
            InvalidEvent: the state machine did not say which execution it is.
        """
        try:
            execution = event["execution"]
            return cls(execution["arn"], int(execution["redrive"]), event.get("contracts"))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"the task's event lacks or garbles {error} of its execution; "
                "state_machine.asl.json sends it"
            ) from error

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Run":
        """Take the current run of an ingestion out of its log item."""
        return cls(item["executionArn"], int(item["redrive"]), item.get("contracts"))


def unmatched_id(source: Source) -> str:
    """Return the log ID of an object version that no contract takes."""
    return f"{UNMATCHED}-{_digest(source)}"


def _digest(source: Source) -> str:
    return hashlib.sha256(f"{source.key}\n{source.version_id}".encode()).hexdigest()[:10]
