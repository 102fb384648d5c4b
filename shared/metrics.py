"""The figures of the pipeline in CloudWatch: their names, and how they get there."""

from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import MetricUnit

from shared.telemetry import metrics


class MetricName(StrEnum):
    """The names of our metrics; the dashboard draws them, with the dimensions service and table."""

    ROWS_READ = "RowsRead"
    ROWS_LOADED = "RowsLoaded"
    ROWS_REJECTED = "RowsRejected"


def count_rows(table: str, counts: Mapping[str, int]) -> None:
    """Publish a verdict's `rowsRead`, `rowsLoaded` and `rowsRejected` of one table."""
    collector = metrics()
    collector.add_dimension("table", table)
    collector.add_metric(MetricName.ROWS_READ, MetricUnit.Count, counts["rowsRead"])
    collector.add_metric(MetricName.ROWS_LOADED, MetricUnit.Count, counts["rowsLoaded"])
    collector.add_metric(MetricName.ROWS_REJECTED, MetricUnit.Count, counts["rowsRejected"])
    collector.flush_metrics()


DEFECTS = "Defects"
"""Errors that a function answers instead of failing: its own `Errors` do not count them."""


def count_defect() -> None:
    """Publish that something is broken which no caller can mend."""
    collector = metrics()
    collector.add_metric(DEFECTS, MetricUnit.Count, 1)
    collector.flush_metrics()
