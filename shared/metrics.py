"""The figures of the pipeline in CloudWatch: their names, and how they get there.

The namespace is the stack's name; the dimensions are `service`, the function, and, of what is
counted by table, `table`. The dashboard and the alarms in Terraform name the same.
"""

from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import MetricUnit

from shared.ingestion import Ingestion
from shared.telemetry import metrics


class MetricName(StrEnum):
    """The names of our metrics; each is on the dashboard."""

    ROWS_READ = "RowsRead"
    """By load, once it has loaded a file; a count."""
    ROWS_LOADED = "RowsLoaded"
    """Likewise."""
    ROWS_REJECTED = "RowsRejected"
    """Likewise."""
    REJECTED_PERCENT = "RejectedPercent"
    """Likewise, of the rows read; of any table, so that one alarm does for all."""
    HOURS_LATE = "HoursLate"
    """By watch, of tables that promise files: how long the newest rows have been too old; hours."""
    FILES_WAITING = "FilesWaiting"
    """By watch, at each look and, at most once a minute, at the end of a run; a count."""
    DEFECTS = "Defects"
    """By api, errors that it answers instead of failing: its `Errors` do not count them."""


def count_rows(ingestion: Ingestion, counts: Mapping[str, int]) -> None:
    """Publish a verdict's `rowsRead`, `rowsLoaded` and `rowsRejected`, and the share rejected."""
    read, rejected = counts["rowsRead"], counts["rowsRejected"]
    _publish(
        {
            MetricName.ROWS_READ: read,
            MetricName.ROWS_LOADED: counts["rowsLoaded"],
            MetricName.ROWS_REJECTED: rejected,
        },
        MetricUnit.Count,
        ingestion.table,
        ingestedID=ingestion.id,
    )
    _publish(
        {MetricName.REJECTED_PERCENT: 100 * rejected / read if read else 0},
        MetricUnit.Percent,
        ingestedID=ingestion.id,
    )


def measure_freshness(hours_late: Mapping[str, float]) -> None:
    """Publish how many hours each table is behind its contract's promise, 0 if it is not."""
    for table, hours in hours_late.items():
        # CloudWatch has no unit of hours.
        _publish({MetricName.HOURS_LATE: hours}, MetricUnit.NoUnit, table)


def measure_backlog(waiting: int) -> None:
    """Publish how many files wait until a run may start."""
    _publish({MetricName.FILES_WAITING: waiting}, MetricUnit.Count)


def count_defect() -> None:
    """Publish that something is broken which no caller can mend."""
    _publish({MetricName.DEFECTS: 1}, MetricUnit.Count)


def _publish(
    values: Mapping[MetricName, float],
    unit: MetricUnit,
    table: str | None = None,
    **metadata: str,
) -> None:
    collector = metrics()
    if table is not None:
        collector.add_dimension("table", table)
    for name, value in values.items():
        collector.add_metric(name, unit, value)
    # They stand in the log line alone: a dimension would make a metric of its own, with its price.
    for key, text in metadata.items():
        collector.add_metadata(key, text)
    collector.flush_metrics()
