"""Takes an ingestion from the state machine: `{ingestedID, ingestedTable, dataDate, source, …}`.
Returns the verdict on its file: `{outcome: ok | refused, reason, rowsRead, rowsClean, …}`.
"""

from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.transform.transformation import transform
from shared.contract_store import of_run, prefetch
from shared.endings import State
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.landing import LandedFile, manifest_of
from shared.settings import TransformSettings, read
from shared.staging import Staging
from shared.telemetry import about, logged, logger

prefetch(TransformSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Cast one landed file, and write the rows to the staging bucket."""
    settings = read(TransformSettings)
    ingestion, run = Ingestion.from_event(event), Run.from_event(event)
    about(ingestion.id, ingestion.table)
    log = IngestionLog.of(settings.log_table)
    log.enter(ingestion, run, State.TRANSFORM)
    s3 = boto3.client("s3")
    verdict = transform(
        LandedFile(s3, ingestion.source),
        of_run(settings, run)[ingestion.table],
        Staging(settings.staging_bucket, ingestion),
        manifest_of(s3, ingestion),
    )
    log.leave(ingestion, run, State.TRANSFORM, verdict)
    logger.info("transformed", extra=verdict.as_figures())
    return verdict.as_result()
