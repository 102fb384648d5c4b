"""Locations of staged objects, in the staging bucket or in a local folder."""

from dataclasses import dataclass, replace
from pathlib import Path

from shared.ingestion import Ingestion


@dataclass(frozen=True, slots=True)
class Staging:
    """Locations of one ingestion: S3 URIs if `place` is a bucket, paths if it is a folder.

    `within` is the number of a range of the file; None for the whole file.
    """

    place: str | Path
    ingestion: Ingestion
    within: int | None = None

    @property
    def root(self) -> str:
        """The common prefix of all locations, without a trailing slash."""
        return str(self.place) if isinstance(self.place, Path) else f"s3://{self.place}"

    @property
    def partition(self) -> str:
        """The folder of the ingestion under each prefix, or that of the range in it."""
        folder = self.ingestion.partition
        return folder if self.within is None else f"{folder}/range={self.within:03}"

    @property
    def clean_prefix(self) -> str:
        """Clean rows, cast to the contract's types: `part-NNNNN.parquet`, in file order."""
        return f"{self.root}/{self.partition}/"

    @property
    def suspect_prefix(self) -> str:
        """Suspect rows, which could not be cast: `part-NNNNN.parquet` of reject records."""
        return f"{self.root}/state=suspect/{self.partition}/"

    @property
    def refused_prefix(self) -> str:
        """Rows that PostgreSQL refused: `part-NNNNN.parquet` with `line` and `reason`."""
        return f"{self.root}/state=refused/{self.partition}/"

    @property
    def failed_tests_prefix(self) -> str:
        """Results of Test: rejected rows and the report."""
        return f"{self.root}/state=failed_tests/{self.partition}/"

    @property
    def ranges_prefix(self) -> str:
        """What the states note of the ranges of a large file."""
        return f"{self.root}/state=ranges/{self.partition}/"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """All prefixes of the ingestion."""
        return (
            self.clean_prefix,
            self.suspect_prefix,
            self.refused_prefix,
            self.failed_tests_prefix,
            self.ranges_prefix,
        )

    def of_range(self, number: int) -> "Staging":
        """Return the locations of a range of the file."""
        return replace(self, within=number)

    @property
    def rejects(self) -> str:
        """All failed rules of all rows, one JSON object per line; missing if no rule failed."""
        return f"{self.failed_tests_prefix}rejects.jsonl"

    @property
    def rejects_csv(self) -> str:
        """The content of `rejects` as CSV that is safe to open in a spreadsheet."""
        return f"{self.failed_tests_prefix}rejects.csv"

    @property
    def report(self) -> str:
        """The summary of Test, as JSON."""
        return f"{self.failed_tests_prefix}report.json"


def part_name(number: int) -> str:
    """Return the name of a Parquet part, counted from 0."""
    return f"part-{number:05}.parquet"
