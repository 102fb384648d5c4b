"""What has landed, as S3 lists it: at each look what is of recent days, and once a day everything.

S3 bills a list of up to 1,000 versions like a PUT: 0.005 USD for 1,000 lists in us-east-1
(https://aws.amazon.com/s3/pricing/ as it was in the middle of 2025). At 96 looks a day:

- The recent days are 4 to 16 lists a look and table, by how many spellings of their dates there
  are: 0.06 to 0.23 USD a month and table, and more where a day has more than 1,000 versions.
- The sweep is 0.15 USD a month for each million versions. To list them at each look would be
  14 USD, and take longer than a function may.
"""

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from functions.watch import reconciliation
from shared.ingestion import Source
from shared.landing_key import prefixes
from shared.progress import Log

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVERY = dt.timedelta(days=1)
"""How long after the begin of a sweep the next one begins, if it is finished by then."""
PAGES = 100
"""How many lists a step of a sweep makes."""
SECONDS = 60.0
"""When a step ends in any case: what one list brings may take a minute more, of watch's five."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The landing bucket, as one look at the time `now` sees it."""

    s3: "S3Client"
    bucket: str
    now: dt.datetime

    def recent(self, tables: Iterable[str]) -> Iterator[Source]:
        """Yield what has landed of late under the days from `LOOKBACK` ago until tomorrow."""
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
        """Yield the lists of the versions that are asked for, in the order of their keys."""
        paginator: Any = self.s3.get_paginator("list_object_versions")
        yield from paginator.paginate(Bucket=self.bucket, **request)

    def sources(self, page: Mapping[str, Any], since: dt.datetime) -> list[Source]:
        """Return the versions on a page that landed `since`, and not just now."""
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
    """What landed before is no business of this sweep."""
    behind: str = ""
    """The last key of which every version is listed: the next step goes on behind it."""
    finished: bool = False

    @classmethod
    def begin(cls, now: dt.datetime, last: Self | None) -> Self:
        """Return the begin of a sweep, and of the last one if there was any.

        What the last sweep cannot have listed was complete after that began. But S3 dates an object
        from the begin of its upload, so those are looked at that began up to `LOOKBACK` earlier.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        """
        return cls(now, (now if last is None else last.started) - reconciliation.LOOKBACK)

    @classmethod
    def from_memory(cls, memory: Mapping[str, Any]) -> Self:
        """Take it out of what the log remembers."""
        started, since = (dt.datetime.fromisoformat(memory[name]) for name in ("started", "since"))
        return cls(started, since, memory["behind"], memory["finished"])

    def as_memory(self) -> dict[str, Any]:
        """Return what the log is to remember."""
        started, since = self.started.isoformat(), self.since.isoformat()
        return asdict(self) | {"started": started, "since": since}

    def after(self, page: Mapping[str, Any]) -> Self:
        """Return how far it is when a page has been dealt with."""
        entries = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        keys = {each["Key"] for each in entries}
        # The last key may have more versions on the next page. S3's own marker would name one
        # of them, and AWS does not say what a marker means once its version is deleted:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html
        # A complete key may be deleted, and it does no harm if S3 lists it once more.
        complete = {self.behind, *keys} - {max(keys, default="")}
        behind = max(complete, default=self.behind)
        return replace(self, behind=behind, finished=not page["IsTruncated"])


class Sweep:
    """A look at every version that has landed, in steps; the log remembers how far it has come.

    Two steps at the same time do no harm: what each remembers is true by itself, so that at worst
    some keys are listed twice.
    """

    def __init__(self, log: Log, landed: Landed) -> None:
        """Prepare a step; nothing is asked yet."""
        self._log = log
        self._landed = landed
        self.pages = 0
        """How many lists this step has made."""
        self.finished = True
        """Whether no sweep is under way."""

    def step(self) -> Iterator[list[Source]]:
        """Yield, a page at a time, what landed since the last sweep, if a sweep is due.

        A page is remembered as dealt with when the next one is asked for.

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
            # Not before a key is complete: else each step would begin at the same one.
            if progress.behind != begun and (self.pages >= PAGES or time.monotonic() >= until):
                return

    def _due(self) -> Progress | None:
        now, memory = dt.datetime.now(dt.UTC), self._log.sweep()
        last = None if memory is None else Progress.from_memory(memory)
        if last is not None and not last.finished:
            return last
        return Progress.begin(now, last) if last is None or now - last.started >= EVERY else None
