"""Control totals: what a trailer or a manifest says of a file, and what the file has."""

from collections.abc import Iterable, Iterator

from shared import regex
from shared.text import listed, quoted

ROWS = "rows"
SUM = "sum_"
"""Before the physical name of a column: its sum."""


def group_problems(pattern: str, fields: Iterable[str], summed: Iterable[str]) -> Iterator[str]:
    """Yield which named groups of a pattern are neither one of `fields` nor a sum.

    `summed` are the physical names of the columns that have a sum.
    """
    known = [*fields, *(f"{SUM}{name}" for name in summed)]
    for name in regex.groups(pattern):
        if name not in known:
            yield (
                f"has the group {quoted(name)}, but only {listed(known)} are known (sums are of "
                "columns of the types integer and number): correct the group's name"
            )
