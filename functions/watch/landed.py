"""Lists what has landed: the files of recent days at each look, and everything once a day.

What it costs: S3 bills a list of up to 1,000 versions like a PUT, 1,000 lists for 0.005 USD in
us-east-1 (https://aws.amazon.com/s3/pricing/, price of mid-2025, not verified since). With a look
every 15 minutes:

- Recent days: 4 to 16 lists for each table and look, because a date has up to four spellings. That
  is 0.06 to 0.23 USD a month for each table, and more if a day has more than 1,000 versions.
- Everything: 0.15 USD a month for each million versions. Listing everything at each look would
  cost 14 USD, and would not end within the function's time.
"""

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from functions.watch import reconciliation
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog
from shared.landing_key import prefixes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVERY = dt.timedelta(days=1)
"""A sweep starts when the last one is finished and started this long ago."""
PAGES = 100
"""The number of lists after which a step of a sweep ends."""
SECONDS = 60.0
"""The time after which a step ends. Its last page may take another minute; watch has five."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The landing bucket, as one look at the time `now` sees it."""

    s3: "S3Client"
    bucket: str
    now: dt.datetime

    def recent(self, tables: Iterable[str]) -> Iterator[Source]:
        """Yield what landed within `LOOKBACK` under the days from `LOOKBACK` ago to tomorrow."""
        since = self.now - reconciliation.LOOKBACK
        days = [
            since.date() + dt.timedelta(days=n) for n in range(reconciliation.LOOKBACK.days + 2)
        ]
        for table in tables:
            for day in days:
                for prefix in prefixes(table, day):
                    for page in self.pages(Prefix=prefix):
                        yield from self.sources(page, since)

    def pages(self, **request: str) -> Iterator[Mapping[str, Any]]:
        """Yield S3's lists of versions, in the order of their keys."""
        paginator: Any = self.s3.get_paginator("list_object_versions")
        yield from paginator.paginate(Bucket=self.bucket, **request)

    def sources(self, page: Mapping[str, Any], since: dt.datetime) -> list[Source]:
        """Return the versions on a page that landed at `since` or later, but `GRACE` ago."""
        return [
            Source.stored(
                self.bucket, each["Key"], each["VersionId"], each["Size"], each["LastModified"]
            )
            for each in page.get("Versions", ())
            if since <= each["LastModified"] <= self.now - reconciliation.GRACE
        ]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep has come."""

    started: dt.datetime
    since: dt.datetime
    """Versions that landed before are not looked at."""
    behind: str = ""
    """The last key whose versions were all listed. The next step continues behind it."""
    finished: bool = False

    @classmethod
    def begin(cls, now: dt.datetime, last: Self | None) -> Self:
        """Return a new sweep; `last` is the one before it, if there was one.

        The last sweep may have missed what was uploaded after it started. S3 dates a multipart
        upload from when it was initiated, so the new sweep looks `LOOKBACK` further back.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        return cls(now, (now if last is None else last.started) - reconciliation.LOOKBACK)

    @classmethod
    def from_memory(cls, memory: Mapping[str, Any]) -> Self:
        """Take the progress out of the log's item."""
        started, since = (dt.datetime.fromisoformat(memory[name]) for name in ("started", "since"))
        return cls(started, since, memory["behind"], memory["finished"])

    def as_memory(self) -> dict[str, Any]:
        """Return what the log's item holds."""
        started, since = self.started.isoformat(), self.since.isoformat()
        return asdict(self) | {"started": started, "since": since}

    def after(self, page: Mapping[str, Any]) -> Self:
        """Return the progress when a page was dealt with."""
        entries = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        keys = {each["Key"] for each in entries}
        # The last key may have more versions on the next page, so the next step continues behind
        # the key before it. S3's own marker names a version too, and AWS does not document what
        # happens if that version is deleted before the next step.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
        complete = {self.behind, *keys} - {max(keys, default="")}
        behind = max(complete, default=self.behind)
        return replace(self, behind=behind, finished=not page["IsTruncated"])


class Sweep:
    """Lists every version that has landed, in steps. Its progress is an item of the log table.

    Two steps may run at the same time: each writes a progress that is true by itself, so that at
    worst some keys are listed twice.
    """

    def __init__(self, log: IngestionLog, landed: Landed) -> None:
        """Prepare a step without asking anything."""
        self._log = log
        self._landed = landed
        self.pages = 0
        """The number of lists that this step has made."""
        self.finished = True
        """Whether no sweep is under way."""

    def step(self) -> Iterator[list[Source]]:
        """Yield, page by page, what landed since the last sweep; nothing if no sweep is due.

        The progress is written when the caller asks for the next page.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        progress = self._due()
        if progress is None:
            return
        begun, until = progress.behind, time.monotonic() + SECONDS
        self.finished = False
        for page in self._landed.pages(**({"KeyMarker": begun} if begun else {})):
            yield self._landed.sources(page, progress.since)
            progress = progress.after(page)
            self._log.remember_sweep(progress.as_memory())
            self.pages, self.finished = self.pages + 1, progress.finished
            # If one key fills a whole step, the step goes on, or the next would start at it again.
            if progress.behind != begun and (self.pages >= PAGES or time.monotonic() >= until):
                return

    def _due(self) -> Progress | None:
        now, memory = dt.datetime.now(dt.UTC), self._log.sweep()
        last = None if memory is None else Progress.from_memory(memory)
        if last is not None and not last.finished:
            return last
        return Progress.begin(now, last) if last is None or now - last.started >= EVERY else None
