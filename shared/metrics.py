"""CloudWatch metrics of the pipeline.

The namespace is the name of the stack. The dimensions are `service` (the function) and, for metrics
of a table, `table`. The dashboard and the alarms in Terraform use the same names.
"""

from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import MetricUnit

from shared.ingestion import Ingestion
from shared.telemetry import metrics


class MetricName(StrEnum):
    """The names of the metrics; each is on the dashboard."""

    ROWS_READ = "RowsRead"
    ROWS_LOADED = "RowsLoaded"
    ROWS_REJECTED = "RowsRejected"
    """Three counts for a loaded file, by load."""
    REJECTED_PERCENT = "RejectedPercent"
    """Percentage of the rows read, by load; without `table`, so one alarm covers all tables."""
    HOURS_LATE = "HoursLate"
    """Hours since the newest rows became too old, by watch, for tables with a promise."""
    FILES_QUEUED = "FilesQueued"
    FILES_WAITING = "FilesWaitingForManifest"
    """Two counts, by watch: on its schedule, and at the end of a run at most once a minute."""
    DEFECTS = "Defects"
    """Count of unexpected errors that api answers with a 5xx; Lambda's `Errors` misses them."""


def count_rows(ingestion: Ingestion, counts: Mapping[str, int]) -> None:
    """Publish the row counts of a verdict, and the percentage of rejected rows."""
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
    """Publish how many hours each table is behind the promise of its contract, 0 if on time."""
    for table, hours in hours_late.items():
        # CloudWatch has no unit for hours.
        _publish({MetricName.HOURS_LATE: hours}, MetricUnit.NoUnit, table)


def measure_backlog(queued: int, waiting: int) -> None:
    """Publish the numbers of files that wait for a run, and for their manifest."""
    values = {MetricName.FILES_QUEUED: queued, MetricName.FILES_WAITING: waiting}
    _publish(values, MetricUnit.Count)


def count_defect() -> None:
    """Publish an error that the caller of the API cannot fix."""
    _publish({MetricName.DEFECTS: 1}, MetricUnit.Count)


def _publish(
    values: Mapping[MetricName, float], unit: MetricUnit, table: str | None = None, **metadata: str
) -> None:
    collector = metrics()
    if table is not None:
        collector.add_dimension("table", table)
    for name, value in values.items():
        collector.add_metric(name, unit, value)
    # Only in the log line: a dimension would create another metric, which costs money.
    for key, text in metadata.items():
        collector.add_metadata(key, text)
    collector.flush_metrics()
