"""Ranges of a large file: whole records, which are read without the rest of the file."""

from dataclasses import dataclass

MAX_WHOLE = 4 * 1024**3
"""Bytes of a file without compression that one function can process in its time."""
MAX_RANGES = 400
"""Each range is an iteration of five Maps with eight events each, of the 25,000 that Step Functions
allows in an execution.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""
MAX_LINE = 2**31 - 1
"""The number of the last line that the column `source_line` can have, an integer."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range of a file, from the byte `begin` to before the byte `end`, between records.

    Attributes:
        number: its place among the ranges of the file, from 0.
        line: the number of the physical line with which it begins.
        is_last: whether the file ends with it.
    """

    number: int
    begin: int
    end: int
    line: int
    is_last: bool
