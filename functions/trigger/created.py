"""The objects of an event: S3's notification of a bucket, or S3's event from EventBridge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

_CREATED = "Object Created"


@dataclass(frozen=True, slots=True)
class Created:
    """An object that an event names; `size` in bytes.

    For 15 minutes after versioning is enabled, S3 may omit the version ID.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
    """

    bucket: str
    key: str
    version_id: str | None
    size: int


def created(event: Mapping[str, Any]) -> Iterator[Created]:
    """Yield the objects that were created; none for any other event, e.g. S3's test event.

    S3 encodes the keys in its notifications, but not in the events that it sends to EventBridge.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (decision 25)
    """
    for record in event.get("Records", ()):
        bucket, found = record["s3"]["bucket"]["name"], record["s3"]["object"]
        yield Created(bucket, unquote_plus(found["key"]), found.get("versionId"), found["size"])
    if event.get("detail-type") == _CREATED:
        bucket, found = event["detail"]["bucket"]["name"], event["detail"]["object"]
        yield Created(bucket, found["key"], found.get("version-id"), found["size"])
