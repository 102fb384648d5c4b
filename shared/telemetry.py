"""Logs and metrics, the same in every function: JSON lines, and figures in CloudWatch's EMF.

A line says nothing of a file's content: neither values nor the reasons that quote them. Those stand
in the log table and in the alerts, for people who may see them.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.text import REASON, bounded
from shared.version import VERSION

logger = Logger(version=VERSION)
"""Named by POWERTOOLS_SERVICE_NAME, which Terraform sets to the function's name."""

R = TypeVar("R")

KEEP_ACTIVE = {"keepActive": True}
"""The event of the daily rules in terraform/functions.tf, so that Lambda keeps a function ready."""


def logged(
    handler: Callable[[dict[str, Any], LambdaContext], R], limit: int = REASON
) -> Callable[..., R]:
    """Give each line of a call the request's ID, and an error a line of its own.

    Lambda writes the error down too, with its traceback, but knows no ingestion. KEEP_ACTIVE never
    reaches the handler: it is answered with None, without a line.

    Args:
        handler: the function's.
        limit: how many characters an error's message may have. Lambda reports the message to the
            caller; the state machine takes no more than the default.
    """

    @functools.wraps(handler)
    def call(event: dict[str, Any], context: LambdaContext) -> Any:
        if event == KEEP_ACTIVE:
            return None
        try:
            return handler(event, context)
        except Exception as error:
            # No traceback: it would quote what the error arose from, and that may quote the file.
            reason = bounded(f"{type(error).__name__}: {error}", limit)
            logger.error("broken", extra={"reason": reason})  # noqa: TRY400
            if len(str(error)) > limit:
                error.args = (bounded(str(error), limit),)
            raise

    wrapped: Callable[..., R] = logger.inject_lambda_context(clear_state=True)(call)
    return wrapped


def about(ingested_id: str, table: str) -> None:
    """Name an ingestion in each line from here on, until another is named or the call is over."""
    logger.append_keys(**naming({"ingestedID": ingested_id, "ingestedTable": table}))


def naming(item: Mapping[str, Any]) -> dict[str, str]:
    """Return what names an ingestion, of its log item, for a single line."""
    return {key: item[key] for key in ("ingestedID", "ingestedTable")}


def metrics() -> Metrics:
    """Return a collector of metrics in the namespace POWERTOOLS_METRICS_NAMESPACE.

    The version is metadata: as a dimension it would make another metric of each release.
    """
    collector = Metrics()
    collector.add_metadata("version", VERSION)
    return collector
