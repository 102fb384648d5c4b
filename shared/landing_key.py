"""The landing key: which table and which day a landed object belongs to.

`table=dailycheckins/year=2024/month=3/day=3/dailycheckins.csv`, the layout of the system this
replaces. The date is the key's, never the clock's, so a file that is dropped late or again keeps
its day.

Writers that follow Hive or Spark may pad a month and a day: `month=03/day=03`. Both spellings are
taken, but they are two keys for S3, with versions of their own, and one source. So a source keeps
the spelling under which it first landed (`shared/intake.py`). A year has four digits, and a month
and a day have one or two: `year=24` and `month=003` are no landing keys.
"""

import datetime as dt
import re
from dataclasses import dataclass

TABLE = r"[a-z][a-z0-9_]{0,47}"
"""What a table may be called."""
_KEY = re.compile(
    rf"table=(?P<table>{TABLE})"
    r"/year=(?P<year>\d{4})/month=(?P<month>\d{1,2})/day=(?P<day>\d{1,2})"
    r"/(?P<filename>[^/\0]+)",  # PostgreSQL's texts hold no NUL
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class LandingKey:
    """A landed object's key, taken apart."""

    table: str
    date: dt.date
    filename: str
    spelling: str | None = None
    """The key as it was parsed; None for one that is built, which is canonical."""

    @classmethod
    def parse(cls, key: str) -> "LandingKey | None":
        """Return the parts of `key` (already URL-decoded), or None if it is no landing key."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        try:
            date = dt.date(int(match["year"]), int(match["month"]), int(match["day"]))
        except ValueError:
            return None
        return cls(match["table"], date, match["filename"], key)

    @property
    def canonical(self) -> str:
        """The key in the spelling without leading zeros: the same for all keys of a source."""
        return f"{partition(self.table, self.date)}/{self.filename}"

    def __str__(self) -> str:
        return self.canonical if self.spelling is None else self.spelling


def partition(table: str, date: dt.date) -> str:
    """Return `table=T/year=Y/month=M/day=D`, months and days without a leading zero."""
    return f"table={table}/year={date.year:04}/month={date.month}/day={date.day}"


def prefixes(table: str, date: dt.date) -> list[str]:
    """Return how the keys of a day begin, in every spelling that `LandingKey.parse` takes."""
    return [
        f"table={table}/year={date.year:04}/month={month}/day={day}/"
        for month in sorted({f"{date.month}", f"{date.month:02}"})
        for day in sorted({f"{date.day}", f"{date.day:02}"})
    ]
