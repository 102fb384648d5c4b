"""Logging and metrics of all functions: JSON lines, and CloudWatch's embedded metric format.

Log lines never contain values of a file, or reasons that quote them. Reasons are in the log table
and in alerts, which have their own access control.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.text import REASON, bounded
from shared.version import VERSION

logger = Logger(version=VERSION)
"""Its name is POWERTOOLS_SERVICE_NAME, which Terraform sets to the name of the function."""

R = TypeVar("R")

KEEP_ACTIVE = {"keepActive": True}
"""The daily event (terraform/functions.tf) that prevents Lambda from deactivating a function."""


def logged(
    handler: Callable[[dict[str, Any], LambdaContext], R], limit: int = REASON
) -> Callable[..., R]:
    """Return the handler with the request ID in each log line, and a log line for each error.

    Lambda also logs the error, but without the ingestion. KEEP_ACTIVE is answered with None,
    without calling the handler or logging a line. `limit` is the maximum characters of an error
    message, which Lambda returns to the caller. The state machine accepts no more than the default.
    """

    @functools.wraps(handler)
    def call(event: dict[str, Any], context: LambdaContext) -> Any:
        if event == KEEP_ACTIVE:
            return None
        try:
            return handler(event, context)
        except Exception as error:
            # No traceback: it contains the causes of the error, which may quote the file.
            reason = bounded(f"{type(error).__name__}: {error}", limit)
            logger.error("broken", extra={"reason": reason})  # noqa: TRY400
            if len(str(error)) > limit:
                error.args = (bounded(str(error), limit),)
            raise

    wrapped: Callable[..., R] = logger.inject_lambda_context(clear_state=True)(call)
    return wrapped


def about(ingested_id: str, table: str) -> None:
    """Add an ingestion to all later log lines of this call, in place of an earlier one."""
    logger.append_keys(**naming({"ingestedID": ingested_id, "ingestedTable": table}))


def naming(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a log item that identify it in a log line."""
    return {key: item[key] for key in ("ingestedID", "ingestedTable")}


def metrics() -> Metrics:
    """Return a metrics collector for the namespace POWERTOOLS_METRICS_NAMESPACE.

    The version is metadata: as a dimension it would create a new metric with each release.
    """
    collector = Metrics()
    collector.add_metadata("version", VERSION)
    return collector
