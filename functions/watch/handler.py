"""Takes a run-end event, or the schedule's event with an optional `time` (the default is now).
Returns counts, e.g. of stuck runs, unannounced outcomes, lost S3 events, missing files, new runs.
"""

import datetime as dt
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.watch.backlog import Backlog
from functions.watch.deadlines import Deadlines
from functions.watch.landed import Landed, Sweep
from functions.watch.reconciliation import Reconciliation
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
    """Recover from lost events, and report missing files.

    An invalid contract raises an error at the end, because its deadline is unknown.
    """
    settings = read(WatchSettings)
    gate, events, s3 = Gate.of(settings), boto3.client("events"), boto3.client("s3")
    if event.get("detail-type") == END:
        return {"started": backlog.end(gate, event["detail"]["executionArn"])}
    contracts = deployed(settings)
    intake = Intake(contracts, gate, events, s3, "watch")
    now = dt.datetime.fromisoformat(event.get("time") or dt.datetime.now(dt.UTC).isoformat())
    checks = Reconciliation(intake, now)
    # The gate comes first, because the other steps need EventBridge. If EventBridge fails, lost
    # run-end events keep slots occupied.
    result = checks.gate() | {"stuck": checks.stuck(), "unannounced": checks.unannounced()}
    landed = Landed(s3, settings.landing_bucket, now, settings.landing_prefixes)
    lost, sweep = [], Sweep(gate.log, landed)
    # The sweep comes before the recent days: it ends in time, and progresses even if they do not.
    for page in sweep.step():
        lost += checks.lost(page)
    lost += checks.lost(landed.recent(contracts))
    deadlines = Deadlines(gate.log, contracts, events, now)
    missing = deadlines.missing(lost)
    measure_freshness(deadlines.hours_late())
    backlog.measure(gate.log)
    result |= {"lost": len(lost), "missing": missing} | checks.manifests()
    result |= {"sweptPages": sweep.pages, "sweepFinished": sweep.finished}
    logger.info("watched", extra=result)
    checks.raise_failure()
    contracts.all_valid()
    return result
