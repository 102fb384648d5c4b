"""Landing key: the S3 key of a landed file, from which the pipeline knows its table and its day.

A key has one of two forms:

- `table=dailycheckins/year=2024/month=3/day=3/dailycheckins.csv`, for every table. The day comes
  from the key, never from the clock, so that a file that is uploaded late or again keeps its day.
- Any other key that a pattern of a contract matches (`shared/key_pattern.py`). Its day is in the
  key too, or it is the day on which the object version landed.

In the first form, a month and a day may have a leading zero, as Hive and Spark write them:
`month=03/day=03`. Both spellings are one source, but two keys with separate versions in S3.
Therefore, a source keeps the spelling under which it first landed (`shared/intake.py`). `year=24`
and `month=003` are invalid. A key of another form keeps the table for which it first landed, even
if the patterns change: otherwise, its rows could be in two tables.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from shared.text import is_storable

HIVE = "table="
"""The beginning of the keys that have the first form, and of no other keys."""
TABLE = r"[a-z][a-z0-9_]{0,47}"
"""Pattern of a table's name."""
_KEY = re.compile(
    rf"{HIVE}(?P<table>{TABLE})"
    r"/year=(?P<year>\d{4})/month=(?P<month>\d{1,2})/day=(?P<day>\d{1,2})"
    r"/(?P<filename>[^/\0]+)",  # PostgreSQL's texts cannot contain NUL
    re.ASCII,
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_MAX_BYTES = 1_024
_IGNORED = re.compile(r"_SUCCESS|\..*|.*\.filepart|.*\.tmp", re.DOTALL)
IGNORED_NAMES = "_SUCCESS, names that begin with a dot, *.filepart and *.tmp"


@dataclass(frozen=True, slots=True)
class LandingKey:
    """Key of a file of a table."""

    table: str
    date: dt.date | ZoneInfo
    """The file's day; a time zone if it is the day there on which a version landed."""
    filename: str
    spelling: str | None = None
    """The original key; None for the canonical spelling of a key that was not parsed."""
    groups: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The named groups of the pattern that matches the key."""

    @classmethod
    def parse(cls, key: str) -> "LandingKey | None":
        """Parse a URL-decoded key of the form `table=…`; return None if it has another form."""
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
        """The key that is the same for all keys of a source: without leading zeros."""
        if isinstance(self.date, ZoneInfo) or not self._is_hive:
            return str(self.spelling)
        return f"{partition(self.table, self.date)}/{self.filename}"

    @property
    def claim(self) -> str:
        """What the first file of a source decides for all later ones: spelling, or else table."""
        return str(self) if self._is_hive else self.table

    @property
    def _is_hive(self) -> bool:
        return self.spelling is None or self.spelling.startswith(HIVE)

    def __str__(self) -> str:
        return self.canonical if self.spelling is None else self.spelling


def is_file_key(key: str) -> bool:
    """Return whether a key is that of a file: 1 to 1,024 bytes of UTF-8, no NUL, not a folder."""
    return is_storable(key) and not key.endswith("/") and 0 < len(key.encode()) <= _MAX_BYTES


def is_ignored(key: str) -> bool:
    """Return whether a file is not data by its name, such as a marker or an unfinished upload."""
    return _IGNORED.fullmatch(key.rpartition("/")[2]) is not None


def partition(table: str, date: dt.date) -> str:
    """Return `table=T/year=Y/month=M/day=D` without leading zeros of month and day."""
    return f"{HIVE}{table}/year={date.year:04}/month={date.month}/day={date.day}"


def disjoint(prefixes: Iterable[str]) -> list[str]:
    """Return the prefixes that begin with no other one, sorted: each matching key has one."""
    kept: list[str] = []
    for each in sorted(prefixes):
        if not kept or not each.startswith(kept[-1]):
            kept.append(each)
    return kept


def prefixes(table: str, date: dt.date) -> list[str]:
    """Return the prefixes of the keys of a day, one for each accepted spelling."""
    return [
        f"{HIVE}{table}/year={date.year:04}/month={month}/day={day}/"
        for month in sorted({f"{date.month}", f"{date.month:02}"})
        for day in sorted({f"{date.day}", f"{date.day:02}"})
    ]
