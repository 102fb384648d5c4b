"""What the states note of the ranges of a large file: JSON objects in staging.

The state machine passes only numbers of ranges, because its state is limited to 256 KiB:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

import json
from dataclasses import dataclass
from typing import Any

from shared import parquet
from shared.parallel import in_parallel
from shared.ranges import ByteRange
from shared.staging import Staging


@dataclass(frozen=True, slots=True)
class RangeNotes:
    """The notes on one file. Each is written by one function, and may be written again by a retry.

    Every method raises StagingUnavailable if S3 does not answer, and reading a note that does not
    exist raises StagingIncomplete.
    """

    staging: Staging

    def write(self, name: str, value: Any, number: int | None = None) -> None:
        """Write a note about the file, or about the range or stretch with a number."""
        parquet.put(json.dumps(value).encode(), self._uri(name, number))

    def read(self, name: str, number: int | None = None) -> Any:
        """Return a note."""
        return json.loads(b"".join(parquet.lines(self._uri(name, number))))

    def read_all(self, name: str, count: int) -> list[Any]:
        """Return the notes on all ranges or stretches, in order."""
        return [*in_parallel(lambda _, number: self.read(name, number), range(count))]

    @property
    def ranges(self) -> list[ByteRange]:
        """The ranges of the file."""
        return [ByteRange(*each) for each in self.read("ranges")]

    def _uri(self, name: str, number: int | None) -> str:
        suffix = "" if number is None else f"-{number:03}"
        return f"{self.staging.ranges_prefix}{name}{suffix}.json"
