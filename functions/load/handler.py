"""Takes an ingestion and the verdicts of Transform and Test from the state machine.
Returns the verdict on loading it: `{outcome: ok | superseded, reason, rowsLoaded, rowsRejected}`.
"""

from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.load.loading import load
from functions.load.rows import StagedRows
from functions.load.versions import is_newer
from shared.database import connect, patiently
from shared.ingestion import Ingestion, Run
from shared.metrics import count_rows
from shared.odcs import load_all
from shared.progress import Log, State
from shared.settings import LoadSettings, read
from shared.staging import Staging
from shared.telemetry import about, logged, logger
from shared.verdict import Outcome, Verdict


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Load the staged rows of one ingestion."""
    settings = read(LoadSettings)
    ingestion, run = Ingestion.from_event(event), Run.from_event(event)
    about(ingestion.id, ingestion.table)
    log = Log.of(settings.log_table)
    log.enter(ingestion, run, State.LOAD)
    contract = load_all()[ingestion.table]
    s3 = boto3.client("s3")
    staging = Staging(settings.staging_bucket, ingestion)
    rows = StagedRows(staging, contract, event["transform"], event["test"])

    def work() -> Verdict:
        with connect(settings) as connection:
            return load(
                connection,
                ingestion,
                contract,
                rows,
                lambda version: is_newer(s3, ingestion.source, than=version),
            )

    verdict = patiently(work)
    if verdict.outcome is Outcome.OK:
        count_rows(ingestion, verdict.counts)
    log.leave(ingestion, run, State.LOAD, verdict)
    logger.info("loaded", extra=verdict.as_figures())
    return verdict.as_result()
