"""Check for files that landed twice, under two spellings of one key."""

import itertools
import shlex
from collections.abc import Iterable, Iterator

from cli.health.finding import Finding, one_or_all, wrong
from cli.stack import Stack
from shared.landing_key import LandingKey
from shared.text import quoted

_SHOWN = 20
_KEY = 300


def spellings(stack: Stack) -> list[Finding]:
    """Check for pairs such as `month=3/day=3/f.csv` and `month=03/day=03/f.csv`.

    Trigger accepts only the first of a pair, but earlier versions accepted both. The check lists
    folders first, and files only for days with more than one folder.
    """
    found = [
        wrong(
            f"{quoted(one, _KEY)} and {quoted(other, _KEY)} are the same file of the same day: its "
            "rows may be in the table twice",
            f"`tm remove {shlex.quote(other)}`, or remove the other one",
        )
        for table in sorted(stack.contracts)
        for one, other in itertools.islice(_pairs(stack, table), _SHOWN)
    ]
    return one_or_all(found, "no file has landed under two spellings of its key")


def _pairs(stack: Stack, table: str) -> Iterator[tuple[str, str]]:
    days: dict[str, list[str]] = {}
    for year in _folders(stack, f"table={table}/"):
        for month in _folders(stack, year):
            for day in _folders(stack, month):
                if (key := LandingKey.parse(f"{day}f")) is not None:
                    days.setdefault(key.canonical, []).append(day)
    for folders in days.values():
        if len(folders) > 1:
            yield from _repeated(key for folder in folders for key in _keys(stack, folder))


def _repeated(keys: Iterable[LandingKey]) -> Iterator[tuple[str, str]]:
    first: dict[str, str] = {}
    for key in keys:
        if (earlier := first.setdefault(key.canonical, str(key))) != str(key):
            yield earlier, str(key)


def _folders(stack: Stack, prefix: str) -> list[str]:
    pages = stack.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.landing_bucket, Prefix=prefix, Delimiter="/"
    )
    return [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ())]


def _keys(stack: Stack, folder: str) -> Iterator[LandingKey]:
    pages = stack.s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack.landing_bucket, Prefix=folder
    )
    for page in pages:
        for each in page.get("Contents", ()):
            if (key := LandingKey.parse(each["Key"])) is not None:
                yield key
