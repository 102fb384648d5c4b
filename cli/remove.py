"""`tm remove`: permanent deletion of a landed file, except for its log items.

The steps run in this order. If the command is interrupted, run it again: each step finds the rest
of its work by itself.

1. Delete all versions and delete markers of the key in the landing bucket. After that, no run can
   read them, because S3 is strongly consistent:
   https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
2. Delete the objects that their runs left in the staging bucket.
3. Delete the rows and the ledger entry in one transaction of the function load. Load keeps them if
   the loaded version is in the bucket: then that version landed after step 1 began.
4. Set `removedAt` in the log items, which stay as a record.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cli import loaded_rows
from cli.errors import CommandError
from cli.items import Item, many, plain
from cli.stack import Stack
from shared.classification import UnknownKey, data_key
from shared.endings import UNDER_WAY, Status
from shared.ingestion import Ingestion, Source, ingested_id
from shared.landing_key import LandingKey
from shared.staging import Staging

_BATCH = 1_000  # maximum number of objects in one DeleteObjects request


@dataclass(frozen=True, slots=True)
class Holding:
    """Everything that exists of a key: IDs of versions and delete markers, rows, log items."""

    key: LandingKey
    versions: tuple[str, ...]
    markers: tuple[str, ...]
    rows: int
    items: tuple[Item, ...]

    @property
    def is_unknown(self) -> bool:
        """Whether no file has ever landed under the key."""
        return not (self.versions or self.markers or self.rows or self.items)

    @property
    def is_removed(self) -> bool:
        """Whether only log items are left and all are marked as removed."""
        left = self.versions or self.markers or self.rows
        return not left and all("removedAt" in item for item in self.items)

    @property
    def under_way(self) -> list[str]:
        """IDs of the ingestions that are queued or running."""
        return [item["ingestedID"] for item in self.items if item["status"] in UNDER_WAY]


@dataclass(frozen=True, slots=True)
class Removed:
    """Numbers of deleted things, and the ID of an ingestion that was loaded during the removal."""

    versions: int
    staged: int
    rows: int
    kept: str | None


def find(stack: Stack, text: str) -> Holding:
    """Return everything that exists of a key, or of its address `s3://…`.

    Raises:
        CommandError: `text` is not a landing key of a table with a valid contract.
    """
    key = data_key(text.removeprefix(f"s3://{stack.landing_bucket}/"), stack.contracts)
    if isinstance(key, UnknownKey):
        raise CommandError(
            f"{text!r} is not a landing key of a table with a valid contract: {key.reason}. If no "
            "table has rows of it and the object exists, delete it in the bucket."
        )
    name = str(key)
    versions, markers = _versions(stack, name)
    items = tuple(_items(stack, key, versions))
    return Holding(key, versions, markers, loaded_rows.count(stack, name), items)


def remove(stack: Stack, held: Holding) -> Removed:
    """Delete everything that was found of a key; a second call completes an interrupted one.

    Raises:
        CommandError: S3 did not delete an object, or the function load failed.
    """
    name = str(held.key)
    _delete(stack, stack.landing_bucket, [(name, each) for each in held.versions + held.markers])
    staged = list(_staged(stack, held))
    _delete(stack, stack.staging_bucket, [(each, None) for each in staged])
    rows, kept = loaded_rows.remove(stack, name)
    there, _ = _versions(stack, name)
    for item in held.items:
        if item["versionId"] not in there and "removedAt" not in item:
            stack.log.removed(item["ingestedID"], item["ingestedTable"])
    if not there:
        stack.log.forget_spelling(held.key)
    return Removed(len(held.versions), len(staged), rows, kept)


def described(held: Holding) -> str:
    """Return a line about everything that exists of a key."""
    if held.is_removed:
        removed = max((item["removedAt"] for item in held.items), default="")
        return f"{held.key} was removed at {removed}: only its log items are left."
    parts = [many(len(held.versions), "version"), many(held.rows, "row")]
    if held.markers:
        parts.insert(1, many(len(held.markers), "delete marker"))
    return f"{held.key}: {', '.join(parts)}"


def summary(removed: Removed) -> str:
    """Return a line about the deleted things."""
    return (
        f"Removed {many(removed.versions, 'version')}, {many(removed.rows, 'row')} and "
        f"{many(removed.staged, 'staged object')}. The log items stay."
    )


def _versions(stack: Stack, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pages = list(
        stack.s3.get_paginator("list_object_versions").paginate(
            Bucket=stack.landing_bucket, Prefix=key
        )
    )

    def ids(kind: str) -> tuple[str, ...]:
        found = itertools.chain.from_iterable(page.get(kind, ()) for page in pages)
        return tuple(each["VersionId"] for each in found if each["Key"] == key)

    return ids("Versions"), ids("DeleteMarkers")


def _items(stack: Stack, key: LandingKey, versions: Iterable[str]) -> Iterator[Item]:
    """Yield the log items of a key, of existing and of deleted versions."""
    sources = (Source(stack.landing_bucket, str(key), version, 0) for version in versions)
    by_id: dict[str, Item] = {ingested_id(each, key): {} for each in sources}
    # If the day is not in the key, each version may have another one.
    logged = (
        stack.log.newest(Status, table=key.table)
        if isinstance(key.date, ZoneInfo)
        else stack.log.of_day(key.date, key.table)
    )
    for item in logged:
        if item["sourceKey"] == str(key):
            by_id[item["ingestedID"]] = item
    for each_id, item in by_id.items():
        # The index may be slightly outdated, but `removedAt` never changes.
        now = item if "removedAt" in item else stack.log.get(each_id, key.table)
        if now is not None:
            yield plain(now)


def _staged(stack: Stack, held: Holding) -> Iterator[str]:
    pages = stack.s3.get_paginator("list_objects_v2").paginate
    for item in held.items:
        if "removedAt" in item:
            continue
        staging = Staging(stack.staging_bucket, Ingestion.from_item(item))
        for uri in staging.prefixes:
            prefix = uri.removeprefix(f"{staging.root}/")
            for page in pages(Bucket=stack.staging_bucket, Prefix=prefix):
                yield from (each["Key"] for each in page.get("Contents", ()))


def _delete(stack: Stack, bucket: str, objects: list[tuple[str, str | None]]) -> None:
    for start in range(0, len(objects), _BATCH):
        batch: list[dict[str, Any]] = [
            {"Key": key} | ({} if version is None else {"VersionId": version})
            for key, version in objects[start : start + _BATCH]
        ]
        answer = stack.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for error in answer.get("Errors", ()):
            cause = (
                "Allow your identity s3:DeleteObject and s3:DeleteObjectVersion (another account "
                "that owns the bucket must allow it too)"
                if error["Code"] == "AccessDenied"
                else "Fix the cause"
            )
            raise CommandError(
                f"S3 did not delete s3://{bucket}/{error['Key']}: {error['Code']}: "
                f"{error['Message']}. {cause}, then run the command again."
            )
