"""Where the states leave their work for each other: in the staging bucket, or in a local folder."""

from dataclasses import dataclass
from pathlib import Path

from shared.ingestion import Ingestion


@dataclass(frozen=True, slots=True)
class Staging:
    """The staged objects of one ingestion: as S3 URIs in a bucket, as paths in a folder."""

    place: str | Path
    ingestion: Ingestion

    @property
    def root(self) -> str:
        """What all of them begin with, without a slash at the end."""
        return str(self.place) if isinstance(self.place, Path) else f"s3://{self.place}"

    @property
    def clean_prefix(self) -> str:
        """Rows that cast to the contract's types: `part-NNNNN.parquet`, in the file's order."""
        return f"{self.root}/{self.ingestion.partition}/"

    @property
    def suspect_prefix(self) -> str:
        """Rows that did not cast: `part-NNNNN.parquet` of reject records."""
        return f"{self.root}/state=suspect/{self.ingestion.partition}/"

    @property
    def refused_prefix(self) -> str:
        """Rows that PostgreSQL refused: `part-NNNNN.parquet` with `line` and `reason`."""
        return f"{self.root}/state=refused/{self.ingestion.partition}/"

    @property
    def failed_tests_prefix(self) -> str:
        """What Test found: rejects and the report."""
        return f"{self.root}/state=failed_tests/{self.ingestion.partition}/"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """All of the above."""
        return (
            self.clean_prefix,
            self.suspect_prefix,
            self.refused_prefix,
            self.failed_tests_prefix,
        )

    @property
    def rejects(self) -> str:
        """Every failed rule of every row, one JSON object a line; absent if there is none."""
        return f"{self.failed_tests_prefix}rejects.jsonl"

    @property
    def rejects_for_people(self) -> str:
        """The same as CSV, safe to open in a spreadsheet."""
        return f"{self.failed_tests_prefix}rejects.csv"

    @property
    def report(self) -> str:
        """The summary of Test, as JSON."""
        return f"{self.failed_tests_prefix}report.json"


def part_name(number: int) -> str:
    """Return the name of a Parquet part, counted from 0."""
    return f"part-{number:05}.parquet"
