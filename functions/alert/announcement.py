"""Sends one alert for each run-end event or notice."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from functions.alert.message import compose, is_wanted, publish
from shared.endings import Kind
from shared.ingestion import Ingestion
from shared.ingestion_log import IngestionLog
from shared.settings import AlertOn
from shared.staging import Staging
from shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient


@dataclass(frozen=True, slots=True)
class Announcer:
    """Publishes each alert once.

    `request_id` is Lambda's request ID, which a retry keeps.
    """

    log: IngestionLog
    s3: "S3Client"
    sns: "SNSClient"
    staging_bucket: str
    topic_arn: str
    alert_on: AlertOn
    request_id: str

    def announce(self, item: Mapping[str, Any], end: str, kind: Kind) -> bool:
        """Publish how an ingestion ended; return whether this call published it.

        `end` is the name of the run-end event or notice, unique within the ingestion. The log item
        is closed.
        """
        key = item["ingestedID"], item["ingestedTable"]
        if not is_wanted(kind, item, self.alert_on):
            self.log.suppress_alert(*key, end)
            return False
        if not self.log.claim_alert(*key, end, self.request_id):
            return False
        alert = compose(item, self._report(item), kind)
        publish(self.sns, self.topic_arn, alert)
        self.log.alert_sent(*key, end, self.request_id)
        return True

    def _report(self, item: Mapping[str, Any]) -> Any:
        if not item.get("rowsRejected"):
            return None
        ingestion = Ingestion.from_item(item)
        bucket, _, key = Staging(self.staging_bucket, ingestion).report[5:].partition("/")
        try:
            return json.load(self.s3.get_object(Bucket=bucket, Key=key)["Body"])
        except botocore.exceptions.ClientError as error:
            # The report has expired or was deleted. Send the alert without its top rejects.
            logger.warning("alert sent without its report", extra={"reason": str(error)})
            return None
