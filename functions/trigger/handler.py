"""Takes S3's `ObjectCreated` notification, one or more records; ignores S3's test event.
Returns how many object versions were started, known, rejected and ignored.
"""

from collections import Counter
from typing import Any
from urllib.parse import unquote_plus

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.ingestion import Source
from shared.intake import Intake
from shared.odcs import load_all
from shared.progress import Log
from shared.settings import TriggerSettings, read
from shared.telemetry import about, logged, logger


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Start one run for each object version that has landed."""
    settings = read(TriggerSettings)
    intake = Intake(
        load_all(),
        Log.of(settings.log_table),
        boto3.client("stepfunctions"),
        boto3.client("events"),
        settings.state_machine_arn,
    )
    admissions: Counter[str] = Counter()
    for record in event.get("Records", ()):
        source = _source(record["s3"])
        about(*intake.identity(source))
        admission = intake.admit(source)
        logger.info(admission, extra={"sourceKey": source.key, "versionId": source.version_id})
        admissions[admission] += 1
    return dict(admissions)


def _source(s3: dict[str, Any]) -> Source:
    landed = s3["object"]
    return Source(
        bucket=s3["bucket"]["name"],
        key=unquote_plus(landed["key"]),
        version_id=landed["versionId"],
        size=landed["size"],
    )
