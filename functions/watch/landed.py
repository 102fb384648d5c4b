"""Lists landed files: those of recent days in each call, and all files once a day.

Cost: S3 bills a list of up to 1,000 versions like a PUT, 1,000 lists for 0.005 USD in
us-east-1 (https://aws.amazon.com/s3/pricing/, price of mid-2025, not verified since). With a call
every 15 minutes:

- Recent days: 4 to 16 lists for each table and call, because a date has up to four spellings. That
  is 0.06 to 0.23 USD a month for each table, and more if a day has more than 1,000 versions.
- Patterns: up to 5 lists for each literal prefix and call, 0.07 USD a month.
- Everything: 0.15 USD a month for each million versions. Listing everything in each call would
  cost 14 USD, and would exceed the function's timeout.
"""

import datetime as dt
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from functions.watch import reconciliation
from shared.contract import Contract
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog
from shared.landing_key import disjoint, prefixes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVERY = dt.timedelta(days=1)
"""Minimum time between the starts of two sweeps, which never overlap."""
PATTERN_PAGES = 5
"""Lists of each prefix of patterns in a call. S3 cannot select keys by their time."""
PAGES = 100
"""Lists after which a step of a sweep ends."""
SWEEP = "sweep"
"""Name of its progress in the log table."""
SECONDS = 60.0
"""Seconds after which a step ends. Its last page may take another minute."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The landing bucket in one call of watch at the time `now`."""

    s3: "S3Client"
    bucket: str
    now: dt.datetime
    prefixes: tuple[str, ...] = ("",)
    """Sorted; no key begins with two of them."""

    def recent(self, contracts: Mapping[str, Contract]) -> Iterator[Source]:
        """Yield files that landed within `LOOKBACK`.

        Of keys `table=…`, yield those of the days from `LOOKBACK` ago to tomorrow. Of the keys of
        patterns, yield those in the first `PATTERN_PAGES` lists of each literal prefix: the sweep
        finds the others.
        """
        since = self.now - reconciliation.LOOKBACK
        days = [
            since.date() + dt.timedelta(days=n) for n in range(reconciliation.LOOKBACK.days + 2)
        ]
        for table in contracts:
            for day in days:
                for prefix in prefixes(table, day):
                    if prefix.startswith(self.prefixes):
                        for page in self.pages(Prefix=prefix):
                            yield from self.sources(page, since)
        patterns = [pattern for each in contracts.values() for pattern in each.keys]
        for prefix in disjoint(pattern.prefix for pattern in patterns):
            for part in self.prefixes:
                # Nothing landed with keys that have only one of the two prefixes.
                if prefix.startswith(part) or part.startswith(prefix):
                    pages = self.pages(Prefix=max(prefix, part, key=len))
                    for page in itertools.islice(pages, PATTERN_PAGES):
                        yield from self.sources(page, since)

    def after(self, key: str) -> Iterator[Mapping[str, Any]]:
        """Yield S3's lists of all versions after a key; only the last list is not truncated."""
        # If the prefixes have changed since the last step, an empty list may end the sweep.
        left = [each for each in self.prefixes if each > key or key.startswith(each)]
        for prefix in left or self.prefixes[-1:]:
            marker = {"KeyMarker": key} if key > prefix else {}
            for page in self.pages(Prefix=prefix, **marker):
                yield {**page, "IsTruncated": page["IsTruncated"] or prefix != self.prefixes[-1]}

    def pages(self, **request: str) -> Iterator[Mapping[str, Any]]:
        """Yield S3's lists of versions, sorted by key."""
        paginator: Any = self.s3.get_paginator("list_object_versions")
        yield from paginator.paginate(Bucket=self.bucket, **request)

    def sources(self, page: Mapping[str, Any], since: dt.datetime) -> list[Source]:
        """Return the versions of a page that landed since `since` and at least `GRACE` ago."""
        return [
            Source.stored(
                self.bucket, each["Key"], each["VersionId"], each["Size"], each["LastModified"]
            )
            for each in page.get("Versions", ())
            if since <= each["LastModified"] <= self.now - reconciliation.GRACE
        ]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a sweep."""

    started: dt.datetime
    since: dt.datetime
    """Versions that landed earlier are skipped."""
    behind: str = ""
    """The last key with all versions listed. The next step continues after it."""
    finished: bool = False

    @classmethod
    def begin(cls, now: dt.datetime, last: Self | None) -> Self:
        """Return the progress of a new sweep; `last` is that of the last sweep, if any.

        The last sweep may have missed files uploaded after it started. S3 dates a multipart upload
        by its start, so the new sweep reaches back another `LOOKBACK`.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        return cls(now, (now if last is None else last.started) - reconciliation.LOOKBACK)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """Parse the item of the log table."""
        started, since = (dt.datetime.fromisoformat(item[name]) for name in ("started", "since"))
        return cls(started, since, item["behind"], item["finished"])

    def as_item(self) -> dict[str, Any]:
        """Return the item of the log table."""
        started, since = self.started.isoformat(), self.since.isoformat()
        return asdict(self) | {"started": started, "since": since}

    def after(self, page: Mapping[str, Any]) -> Self:
        """Return the progress after a page."""
        entries = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        keys = {each["Key"] for each in entries}
        # The last key may have more versions on the next page, so the next step continues after the
        # key before it. S3's own marker includes a version, and AWS does not document the result if
        # that version is deleted before the next step.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
        complete = {self.behind, *keys} - {max(keys, default="")}
        behind = max(complete, default=self.behind)
        return replace(self, behind=behind, finished=not page["IsTruncated"])


class Sweep:
    """Lists all landed versions in steps. Its progress is an item of the log table.

    If two steps run at the same time, some keys may be listed twice, but none is skipped.
    """

    def __init__(self, log: IngestionLog, landed: Landed) -> None:
        self._log = log
        self._landed = landed
        self.pages = 0
        """Lists of this step."""
        self.finished = True
        """Whether no sweep is in progress."""

    def step(self) -> Iterator[list[Source]]:
        """Yield pages of files that landed since the last sweep; nothing if no sweep is due.

        The progress is saved when the caller requests the next page.
        """
        progress = self._due()
        if progress is None:
            return
        begun, until = progress.behind, time.monotonic() + SECONDS
        self.finished = False
        for page in self._landed.after(begun):
            yield self._landed.sources(page, progress.since)
            progress = progress.after(page)
            self._log.save_progress(SWEEP, progress.as_item())
            self.pages, self.finished = self.pages + 1, progress.finished
            # A step continues until it passes a key; otherwise the next step would repeat it.
            if progress.behind != begun and (self.pages >= PAGES or time.monotonic() >= until):
                return

    def _due(self) -> Progress | None:
        now, saved = dt.datetime.now(dt.UTC), self._log.progress(SWEEP)
        last = None if saved is None else Progress.from_item(saved)
        if last is not None and not last.finished:
            return last
        return Progress.begin(now, last) if last is None or now - last.started >= EVERY else None
