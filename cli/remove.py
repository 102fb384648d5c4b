"""`tm remove`: a landed key as if it had never been there, but for the log.

In this order, so that the command may break off anywhere and be run again:

1. The versions of the key in the landing bucket are deleted, delete markers too. From now on no run
   can read or load them, whether by a late event, by a replay or already under way: S3 shows a
   deletion to every later request
   (https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel).
2. What their runs left in the staging bucket is deleted.
3. The rows and the ledger's entry are removed, by the function load in one transaction. It keeps
   them if the loaded version is in the bucket, which is then one that landed after step 1 began.
4. The log's items stay, for they say what was ingested, and get the time as `removedAt`.

Each step finds what is left of it by itself: versions and staged objects by listing them, rows by
the ledger, items by the day and the key.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cli import rows as table
from cli.errors import CommandError
from cli.items import Item, many, plain
from cli.stack import Stack
from shared.endings import UNDER_WAY
from shared.ingestion import Ingestion, Source
from shared.landing_key import LandingKey
from shared.staging import Staging

_AT_A_TIME = 1_000
"""Objects that S3 deletes in one request at most."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What there is of a key: versions by ID (`markers` are delete markers), rows, log items."""

    key: LandingKey
    versions: tuple[str, ...]
    markers: tuple[str, ...]
    rows: int
    items: tuple[Item, ...]

    @property
    def is_unknown(self) -> bool:
        """Whether nothing has ever landed under the key."""
        return not (self.versions or self.markers or self.rows or self.items)

    @property
    def is_removed(self) -> bool:
        """Whether nothing but the log's items is left, and these say so."""
        left = self.versions or self.markers or self.rows
        return not left and all("removedAt" in item for item in self.items)

    @property
    def under_way(self) -> list[str]:
        """The IDs of the ingestions whose run has not ended."""
        return [item["ingestedID"] for item in self.items if item["status"] in UNDER_WAY]


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted; `kept` is the ID of a version that has landed and was loaded meanwhile."""

    versions: int
    staged: int
    rows: int
    kept: str | None


def find(stack: Stack, text: str) -> Holding:
    """Return what there is of a key.

    Args:
        stack: where it landed.
        text: the key, or its address `s3://…` as `tm drop` prints it.

    Raises:
        CommandError: it is no landing key.
    """
    key = LandingKey.parse(text.removeprefix(f"s3://{stack.landing_bucket}/"))
    try:
        stack.contracts[key.table if key else ""]
    except KeyError:
        key = None
    if key is None:
        raise CommandError(
            f"{text!r} is no landing key (table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>) of a "
            "table that has a contract, so no table holds anything of it: if there is such an "
            "object, delete it in the bucket."
        )
    name = str(key)
    versions, markers = _versions(stack, name)
    items = tuple(_items(stack, key, versions))
    return Holding(key, versions, markers, table.count(stack, name), items)


def remove(stack: Stack, held: Holding) -> Removed:
    """Delete all that was found of a key; running it again finishes what broke off.

    Raises:
        CommandError: S3 kept an object, or the function load failed; what is left is found by the
            next call.
    """
    name = str(held.key)
    _delete(stack, stack.landing_bucket, [(name, each) for each in held.versions + held.markers])
    staged = list(_staged(stack, held))
    _delete(stack, stack.staging_bucket, [(each, None) for each in staged])
    rows, kept = table.remove(stack, name)
    there, _ = _versions(stack, name)
    for item in held.items:
        if item["versionId"] not in there and "removedAt" not in item:
            stack.log.removed(item["ingestedID"], item["ingestedTable"])
    if not there:
        stack.log.forget_spelling(held.key)
    return Removed(len(held.versions), len(staged), rows, kept)


def described(held: Holding) -> str:
    """Say what there is of a key."""
    if held.is_removed:
        removed = max((item["removedAt"] for item in held.items), default="")
        return f"{held.key} was removed at {removed}: nothing but the log's items is left of it."
    parts = [many(len(held.versions), "version"), many(held.rows, "row")]
    if held.markers:
        parts.insert(1, many(len(held.markers), "delete marker"))
    return f"{held.key}: {', '.join(parts)}"


def told(removed: Removed) -> str:
    """Say what was removed."""
    return (
        f"Removed {many(removed.versions, 'version')}, {many(removed.rows, 'row')} and "
        f"{many(removed.staged, 'staged object')}. The log keeps what was ingested."
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
    """Yield the log's items of a key: of the versions that are there, and of those that were."""
    sources = (Source(stack.landing_bucket, str(key), version, 0) for version in versions)
    by_id: dict[str, Item] = {Ingestion.of(each, key).id: {} for each in sources}
    for item in stack.log.of_day(key.date, key.table):
        if item["sourceKey"] == str(key):
            by_id[item["ingestedID"]] = item
    for ingested_id, item in by_id.items():
        # The index may be a moment behind; that something was removed stays true.
        now = item if "removedAt" in item else stack.log.get(ingested_id, key.table)
        if now is not None:
            yield plain(now)


def _staged(stack: Stack, held: Holding) -> Iterator[str]:
    """Yield the keys of what the runs of a key left in the staging bucket."""
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
    for start in range(0, len(objects), _AT_A_TIME):
        batch: list[dict[str, Any]] = [
            {"Key": key} | ({} if version is None else {"VersionId": version})
            for key, version in objects[start : start + _AT_A_TIME]
        ]
        answer = stack.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for error in answer.get("Errors", ()):
            raise CommandError(
                f"S3 did not delete s3://{bucket}/{error['Key']}: {error['Code']}: "
                f"{error['Message']}. Run the command again once that is mended."
            )
