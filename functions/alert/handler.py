"""Takes a run-end event, or a notice of trigger or watch, from EventBridge.
Returns whether this call sent an alert: `{sent: bool}`. No event causes two alerts.
"""

from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.alert.announcement import Announcer
from functions.alert.ends import End
from shared.endings import WITHOUT_RUN
from shared.errors import InvalidEvent
from shared.ingestion_log import IngestionLog
from shared.settings import AlertSettings, read
from shared.telemetry import about, logged, logger


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    """Close the log item if no function did, and send the alert."""
    settings = read(AlertSettings)
    log = IngestionLog.of(settings.log_table)
    announcer = Announcer(
        log,
        boto3.client("s3"),
        boto3.client("sns"),
        settings.staging_bucket,
        settings.topic_arn,
        settings.alert_on,
        context.aws_request_id,
    )
    detail = event["detail"]
    if (notice := event["detail-type"]) in WITHOUT_RUN:
        about(detail["ingestedID"], detail["ingestedTable"])
        item = log.get(detail["ingestedID"], detail["ingestedTable"])
        if item is None:
            raise InvalidEvent(
                f"the notice names an ingestion without a log item: {detail}; only trigger and "
                "watch may send notices"
            )
        sent = announcer.announce(item, notice, WITHOUT_RUN[notice])
    else:
        end = End.from_event(detail)
        about(end.ingestion.id, end.ingestion.table)
        item = end.close(log)
        sent = announcer.announce(item, end.name, end.kind(item))
    logger.info("alert", extra={"sent": sent})
    return {"sent": sent}
