"""Takes an ingestion and Transform's verdict from the state machine.
Returns the verdict on its rows: `{outcome: ok | failed_tests, reason, rowsRejected, warnings}`.
"""

from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.test.examination import examine
from shared.contract_store import of_run, prefetch
from shared.endings import State
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.landing import LandedFile
from shared.settings import TestSettings, read
from shared.staging import Staging
from shared.telemetry import about, logged, logger

prefetch(TestSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Test the staged rows of one ingestion."""
    settings = read(TestSettings)
    ingestion, run = Ingestion.from_event(event), Run.from_event(event)
    about(ingestion.id, ingestion.table)
    log = IngestionLog.of(settings.log_table)
    log.enter(ingestion, run, State.TEST)
    verdict = examine(
        Staging(settings.staging_bucket, ingestion),
        event["transform"],
        LandedFile(boto3.client("s3"), ingestion.source),
        of_run(settings, run)[ingestion.table],
        hard=settings.hard_testing,
        refused_parts=event.get("load", {}).get("refusedParts", 0),
    )
    log.leave(ingestion, run, State.TEST, verdict)
    logger.info("tested", extra=verdict.as_figures())
    return verdict.as_result()
