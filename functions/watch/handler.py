"""Takes the schedule's event, whatever it holds.
Returns what was put right: runs stuck, ends unannounced, landed objects whose event was lost.
"""

import datetime as dt
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.watch.reconciliation import Reconciliation
from shared.intake import Intake
from shared.odcs import load_all
from shared.progress import Log
from shared.settings import WatchSettings, read
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Put right what a lost event left behind."""
    settings = read(WatchSettings)
    log = Log.of(settings.log_table)
    stepfunctions, events = boto3.client("stepfunctions"), boto3.client("events")
    intake = Intake(load_all(), log, stepfunctions, events, settings.state_machine_arn)
    look = Reconciliation(
        log, intake, boto3.client("s3"), stepfunctions, events, dt.datetime.now(dt.UTC)
    )
    result = {
        "stuck": look.stuck(),
        "unannounced": look.unannounced(),
        "lost": look.lost(settings.landing_bucket),
    }
    logger.info("watched", extra=result)
    return result
