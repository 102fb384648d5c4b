"""Landing key: the S3 key of a landed file, which contains its table and its day.

Example: `table=dailycheckins/year=2024/month=3/day=3/dailycheckins.csv`. The day comes from the
key, never from the clock, so that a file that is uploaded late or again keeps its day.

A month and a day may have a leading zero, as Hive and Spark write them: `month=03/day=03`. Both
spellings are one source, but two keys with separate versions in S3. Therefore, a source keeps the
spelling under which it first landed (`shared/intake.py`). `year=24` and `month=003` are invalid.
"""

import datetime as dt
import re
from dataclasses import dataclass

TABLE = r"[a-z][a-z0-9_]{0,47}"
"""Pattern of a table's name."""
_KEY = re.compile(
    rf"table=(?P<table>{TABLE})"
    r"/year=(?P<year>\d{4})/month=(?P<month>\d{1,2})/day=(?P<day>\d{1,2})"
    r"/(?P<filename>[^/\0]+)",  # PostgreSQL's texts cannot contain NUL
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class LandingKey:
    """Parsed landing key."""

    table: str
    date: dt.date
    filename: str
    spelling: str | None = None
    """The original key; None for the canonical spelling of a key that was not parsed."""

    @classmethod
    def parse(cls, key: str) -> "LandingKey | None":
        """Parse a URL-decoded key; return None if it is not a landing key."""
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
        """The key without leading zeros, which is the same for all keys of a source."""
        return f"{partition(self.table, self.date)}/{self.filename}"

    def __str__(self) -> str:
        return self.canonical if self.spelling is None else self.spelling


def partition(table: str, date: dt.date) -> str:
    """Return `table=T/year=Y/month=M/day=D` without leading zeros of month and day."""
    return f"table={table}/year={date.year:04}/month={date.month}/day={date.day}"


def prefixes(table: str, date: dt.date) -> list[str]:
    """Return the prefixes of the keys of a day, one for each accepted spelling."""
    return [
        f"table={table}/year={date.year:04}/month={month}/day={day}/"
        for month in sorted({f"{date.month}", f"{date.month:02}"})
        for day in sorted({f"{date.day}", f"{date.day:02}"})
    ]
