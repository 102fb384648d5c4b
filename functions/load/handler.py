"""Takes an ingestion with two verdicts from the state machine, or an operator's `removal.Request`.
Returns the verdict: `{outcome: ok | rows_refused | superseded, …}`; or the answer to the request.
"""

from functools import partial
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.load.loading import Loading
from functions.load.refusals import find, stage
from functions.load.removal import Request
from functions.load.rows import StagedRows
from functions.load.session import connected, connector
from functions.load.versions import is_there, may_replace
from shared.contract_store import deployed, of_run, prefetch
from shared.endings import Outcome, State
from shared.errors import StatementFailed
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.metrics import count_rows
from shared.settings import LoadSettings, read
from shared.staging import Staging
from shared.telemetry import about, logged, logger

prefetch(LoadSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Load the staged rows of one ingestion, or count or remove the rows of one landing key."""
    settings = read(LoadSettings)
    s3 = boto3.client("s3")
    if "operation" in event:
        request = Request.from_event(event, deployed(settings))
        landed = partial(is_there, s3, request.bucket, request.key)
        return connected(settings, lambda connection: request.answer(connection, landed))
    ingestion, run = Ingestion.from_event(event), Run.from_event(event)
    about(ingestion.id, ingestion.table)
    log = IngestionLog.of(settings.log_table)
    log.enter(ingestion, run, State.LOAD)
    contract = of_run(settings, run)[ingestion.table]
    staging = Staging(settings.staging_bucket, ingestion)
    rows = StagedRows(staging, contract, event["transform"], event["test"])
    loading = Loading(ingestion, contract, rows, partial(may_replace, s3, ingestion.source))
    try:
        verdict = connected(settings, lambda c: loading.run(c, connector(settings)))
    except StatementFailed as failed:
        refused = connected(settings, partial(find, failed, ingestion, contract, rows))
        verdict = stage(refused, staging, event.get("load", {}).get("refusedParts", 0))
    if verdict.outcome is Outcome.OK:
        count_rows(ingestion, verdict.counts)
    log.leave(ingestion, run, State.LOAD, verdict)
    logger.info("loaded", extra=verdict.as_figures())
    return verdict.as_result()
