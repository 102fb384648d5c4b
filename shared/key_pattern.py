"""Pattern of a contract for the S3 keys of its files, if they do not have the form `table=…`."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from shared import regex
from shared.landing_key import HIVE, IGNORED_NAMES, LandingKey, is_file_key, is_ignored
from shared.manifest import NAME, STEM
from shared.model import Model, Problems
from shared.text import quoted

KEY = 300
"""Maximum characters of a key in a reason; a key has up to 1,024 bytes."""
_PARTS = ("year", "month", "day")
_DATE = re.compile(
    r"(?P<year>\d{4})(?P<separator>[-_./ ]?)(?P<month>\d\d)(?P=separator)(?P<day>\d\d)", re.ASCII
)
_SPELLED = re.compile(r"\d{4}-\d{1,2}-\d{1,2}", re.ASCII)


class KeyPattern(Model):
    """Pattern of the whole key, and where the file's day comes from.

    The day is in the group `date`, or in the groups `year`, `month` and `day`. With `date: landed`
    it is the day on which the object version landed. `examples` are keys that the pattern matches.
    """

    pattern: Annotated[str, Field(max_length=1_000), AfterValidator(regex.checked)]
    examples: tuple[str, ...] = Field(min_length=1, max_length=100)
    date: Literal["landed"] | None = None

    @property
    def groups(self) -> frozenset[str]:
        """The names of its groups."""
        return frozenset(regex.groups(self.pattern))

    @property
    def prefix(self) -> str:
        """The text with which every matching key begins; it may be empty."""
        return regex.literal_prefix(self.pattern)

    def read(self, key: str, table: str, zone: ZoneInfo) -> LandingKey | str | None:
        """Return the parsed key of a file of `table`, or the reason why it has no possible day.

        Return None if the pattern does not match the key. `zone` is the table's time zone.
        """
        groups = regex.captured(self.pattern, key)
        if groups is None:
            return None
        found = {name: text for name, text in groups.items() if text is not None}
        day = zone if self.date == "landed" else _day(found)
        if isinstance(day, str):
            return day
        return LandingKey(table, day, key.rpartition("/")[2], key, found)

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        Problems.check(self._problems())
        return self

    def _problems(self) -> Iterator[str]:
        names = self.groups
        parts = [name for name in _PARTS if name in names]
        if "date" in names and parts:
            yield f"the pattern has the group date and {', '.join(parts)}: keep one form of the day"
        elif parts and len(parts) < len(_PARTS):
            yield (
                f"of the groups year, month and day, the pattern has only {', '.join(parts)}: add "
                "the others, or rename the group"
            )
        elif ("date" in names or parts) and self.date is not None:
            yield "date: landed has no effect, because the day is in the pattern: remove one"
        elif not ("date" in names or parts or self.date):
            yield (
                "the pattern has no day: add a group (?P<date>…), or date: landed for the day on "
                "which a file lands"
            )
        if taken := sorted(names & {NAME, STEM}):
            yield (
                f"the groups {taken} have names that mean the file's name in a manifest's name: "
                "rename them"
            )
        if self.prefix.startswith(HIVE):
            yield f"keys that begin with {HIVE} need no pattern: remove it"
        for example in self.examples:
            if problem := self._problem(example):
                yield f"the example {quoted(example, KEY)} {problem}"

    def _problem(self, example: str) -> str | None:
        """Return why a file with this key would not land in the table, or None."""
        if not is_file_key(example):
            return (
                "is not the key of a file: use 1 to 1,024 bytes of UTF-8 without NUL, and no / at "
                "the end"
            )
        if example.startswith(HIVE):
            return f"begins with {HIVE}, so that no pattern is used: remove it"
        if is_ignored(example):
            return f"would be ignored, like {IGNORED_NAMES}: remove it"
        match self.read(example, "", ZoneInfo("Etc/UTC")):
            case None:
                return "does not match the pattern: correct one of them"
            case str(reason):
                return f"{reason}: correct it"
            case LandingKey():
                return None


def _day(groups: Mapping[str, str]) -> dt.date | str:
    """Return the day in the groups of a pattern, or the reason why there is none."""
    parts: Mapping[str, str] = groups
    if "date" in groups:
        if (match := _DATE.fullmatch(groups["date"])) is None:
            return (
                f"has the date {quoted(groups['date'])}, which must be 8 digits, or year, month "
                "and day with one separator"
            )
        parts = match.groupdict()
    if absent := [name for name in _PARTS if not parts.get(name)]:
        return f"has no {', '.join(absent)}"
    shown = "-".join(parts[name] for name in _PARTS)
    if not _SPELLED.fullmatch(shown):
        return (
            f"has the date {quoted(shown)}, which must have 4 digits of the year, and up to 2 of "
            "month and day"
        )
    try:
        return dt.date(*(int(parts[name]) for name in _PARTS))
    except ValueError:
        return f"has the date {quoted(shown)}, which does not exist"
