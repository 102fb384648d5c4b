"""Takes the schedule's event, and looks as of its `time`, or without one as of now; or a run's end.
Returns how many runs were stuck, ends unannounced, objects lost, files missing, runs started, etc.
"""

import datetime as dt
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.watch.backlog import Backlog
from functions.watch.landed import Landed, Sweep
from functions.watch.reconciliation import Reconciliation
from functions.watch.silence import Silence
from shared.contract_store import deployed, prefetch
from shared.gate import Gate
from shared.intake import Intake
from shared.metrics import measure_freshness
from shared.settings import WatchSettings, read
from shared.telemetry import logged, logger

END = "Step Functions Execution Status Change"
backlog = Backlog()
prefetch(WatchSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Put right what a lost event left behind, and say which files never came.

    An invalid contract fails the look at its end, because nobody knows what it promises.
    """
    settings = read(WatchSettings)
    gate, events = Gate.of(settings), boto3.client("events")
    if event.get("detail-type") == END:
        return {"started": backlog.end(gate, event["detail"]["executionArn"])}
    contracts = deployed(settings)
    intake = Intake(contracts, gate, events, "watch")
    now = dt.datetime.fromisoformat(event.get("time") or dt.datetime.now(dt.UTC).isoformat())
    look = Reconciliation(intake, now)
    # The gate first: the others need EventBridge, and where that fails, ends were lost too.
    result = look.gate() | {"stuck": look.stuck(), "unannounced": look.unannounced()}
    landed = Landed(boto3.client("s3"), settings.landing_bucket, now)
    lost, sweep = [], Sweep(gate.log, landed)
    # The sweep comes first: it stops by itself, and goes on even if the recent days take too long.
    for page in sweep.step():
        lost += look.lost(page)
    lost += look.lost(landed.recent(contracts))
    silence = Silence(gate.log, contracts, events, now)
    missing = silence.missing(lost)
    measure_freshness(silence.hours_late())
    backlog.measure(gate.log)
    result |= {"lost": len(lost), "missing": missing}
    result |= {"sweptPages": sweep.pages, "sweepFinished": sweep.finished}
    logger.info("watched", extra=result)
    look.raise_failure()
    contracts.all_valid()
    return result
