"""Where the states leave their work for each other in the staging bucket."""

from dataclasses import dataclass

from shared.ingestion import Ingestion


@dataclass(frozen=True, slots=True)
class Staging:
    """The staged objects of one ingestion, as S3 URIs."""

    bucket: str
    ingestion: Ingestion

    @property
    def clean_prefix(self) -> str:
        """Rows that cast to the contract's types: `part-NNNNN.parquet`, in the file's order."""
        return f"s3://{self.bucket}/{self.ingestion.partition}/"

    @property
    def suspect_prefix(self) -> str:
        """Rows that did not cast: `part-NNNNN.parquet` of reject records."""
        return f"s3://{self.bucket}/state=suspect/{self.ingestion.partition}/"

    @property
    def failed_tests_prefix(self) -> str:
        """What Test found: rejects and the report."""
        return f"s3://{self.bucket}/state=failed_tests/{self.ingestion.partition}/"

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
