"""Takes S3's `ObjectCreated` event with one or more records; ignores S3's test event.
Returns the number of object versions by admission: started, waiting, known, rejected, ignored.
"""

from collections import Counter
from typing import Any
from urllib.parse import unquote_plus

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.contract_store import deployed, prefetch
from shared.gate import Gate
from shared.ingestion import NO_VERSION, Source
from shared.intake import Admission, Intake
from shared.landing import newest_version
from shared.settings import TriggerSettings, read
from shared.telemetry import about, logged, logger

prefetch(TriggerSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Start a run for each landed object version, or enqueue it."""
    settings = read(TriggerSettings)
    intake = Intake(deployed(settings), Gate.of(settings), boto3.client("events"))
    admissions: Counter[str] = Counter()
    # Read all records first: a log line about a missing object must not name another ingestion.
    for source in [_source(record["s3"]) for record in event.get("Records", ())]:
        if source is None:
            # The object is deleted, or S3 does not list it yet. In the latter case watch finds it.
            admissions[Admission.IGNORED] += 1
            continue
        about(*intake.identity(source))
        admission = intake.admit(source)
        logger.info(admission, extra={"sourceKey": source.key, "versionId": source.version_id})
        admissions[admission] += 1
    return dict(admissions)


def _source(record: dict[str, Any]) -> Source | None:
    bucket, landed = record["bucket"]["name"], record["object"]
    key, version_id = unquote_plus(landed["key"]), landed.get("versionId")
    if version_id in {None, NO_VERSION}:
        # For 15 minutes after versioning is enabled, S3 may omit the version ID.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
        return newest_version(boto3.client("s3"), bucket, key)
    return Source(bucket, key, str(version_id), landed["size"])
