"""Takes S3's notification with one or more records, or S3's `Object Created` event of EventBridge.
Returns the number of object versions by admission: started, queued, waiting, rejected, ….
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.trigger.created import Created, created
from shared.contract_store import deployed, prefetch
from shared.gate import Gate
from shared.ingestion import NO_VERSION, Source
from shared.intake import Admission, Intake
from shared.landing import newest_version
from shared.settings import TriggerSettings, read
from shared.telemetry import about, logged, logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

prefetch(TriggerSettings)


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Start a run for each landed object version, or enqueue it."""
    settings = read(TriggerSettings)
    s3 = boto3.client("s3")
    intake = Intake(deployed(settings), Gate.of(settings), boto3.client("events"), s3)
    admissions: Counter[str] = Counter()
    # Read all records first: a log line about a missing object must not name another ingestion.
    for source in [_source(s3, settings, each) for each in created(event)]:
        if source is None:
            admissions[Admission.IGNORED] += 1
            continue
        about(*intake.identity(source))
        admission = intake.admit(source)
        logger.info(admission, extra={"sourceKey": source.key, "versionId": source.version_id})
        admissions[admission] += 1
    return dict(admissions)


def _source(s3: "S3Client", settings: TriggerSettings, each: Created) -> Source | None:
    if not settings.has_landed(each.bucket, each.key):
        # A rule sends events of too many objects, or somebody else called this function.
        logger.warning("not landed", extra={"bucket": each.bucket, "sourceKey": each.key})
        return None
    if each.version_id in {None, NO_VERSION}:
        # None if it is deleted, or if S3 does not list it yet. In the latter case watch finds it.
        return newest_version(s3, each.bucket, each.key)
    return Source(each.bucket, each.key, str(each.version_id), each.size)
