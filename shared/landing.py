"""Reader of the landing bucket: the newest version of a key, and any version as content."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from shared import content
from shared.errors import SourceUnreadable
from shared.ingestion import Ingestion, Source
from shared.manifest import FoundManifest
from shared.s3 import unavailable
from shared.telemetry import logger

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef


_DELETED = "if it was deleted, upload the file again"
_NOT_THERE = {
    "400",  # encrypted with a key of the client (SSE-C), or no version has such an ID
    "403",  # missing or unreadable: without s3:ListBucket, S3 does not tell which
    "404",
    "405",  # a delete marker
}
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """An object version as content."""

    s3: "S3Client"
    source: Source

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.source.size

    def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from the offset `begin` to `end` in chunks of `CHUNK_BYTES`.

        This is one request, which s3:GetObjectVersion allows with and without a range:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

        Raises:
            SourceUnreadable: the version was deleted or archived, or the function may not read it.
            StagingUnavailable: S3 did not return it completely.
        """
        if begin >= (self.size if end is None else end) and (begin, end) != (0, None):
            return  # S3 refuses a range without bytes
        uri, version_id = f"s3://{self.source.bucket}/{self.source.key}", self.source.version_id
        request: GetObjectRequestTypeDef = {
            "Bucket": self.source.bucket,
            "Key": self.source.key,
            "VersionId": version_id,
        }
        if (begin, end) != (0, None):
            request["Range"] = f"bytes={begin}-{'' if end is None else end - 1}"
        try:
            with unavailable(uri):
                answer = self.s3.get_object(**request)
                with contextlib.closing(answer["Body"]) as body:
                    if begin and not answer.get("ContentRange"):
                        # A server may ignore a range, as the emulator does for a version.
                        # https://www.rfc-editor.org/rfc/rfc9110#name-range
                        _skip(body, begin)
                    left = math.inf if end is None else end - begin
                    while chunk := body.read(int(min(left, content.CHUNK_BYTES))):
                        left -= len(chunk)
                        yield chunk
        except botocore.exceptions.ClientError as error:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            is_archived = error.response["Error"]["Code"] == "InvalidObjectState"
            advice = "restore it in S3, then replay" if is_archived else _DELETED
            raise SourceUnreadable(
                f"cannot read version {version_id} of {uri}: {error}; {advice}"
            ) from error


def _skip(body: "StreamingBody", size: int) -> None:
    while size and (chunk := body.read(min(size, content.CHUNK_BYTES))):
        size -= len(chunk)


def manifest_of(s3: "S3Client", ingestion: Ingestion) -> FoundManifest | None:
    """Return the manifest that a run verifies; None without one."""
    found = ingestion.manifest
    if found is None:
        return None
    return FoundManifest(found.key.rpartition("/")[2], LandedFile(s3, found))


def dated(s3: "S3Client", source: Source) -> Source | None:
    """Return a version with the time when it landed; None if it is missing or unreadable.

    Lists show that time too, unlike S3's event: for a multipart upload, it is the upload's start,
    and for a replica, that of the original.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-and-other-bucket-configs.html
    """
    found = _head(s3, source.bucket, source.key, VersionId=source.version_id)
    return None if found is None else replace(source, landed=found["LastModified"])


def newest_version(s3: "S3Client", bucket: str, key: str) -> Source | None:
    """Return the newest version of a key; None if it is missing or unreadable."""
    found = _head(s3, bucket, key)
    if found is None:
        return None
    return Source.stored(
        bucket, key, found.get("VersionId"), found["ContentLength"], found["LastModified"]
    )


def _head(s3: "S3Client", bucket: str, key: str, **version: Any) -> Any:
    """Return S3's answer about an object; None if it is missing or unreadable."""
    try:
        with unavailable(f"s3://{bucket}/{key}"):
            return s3.head_object(Bucket=bucket, Key=key, **version)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _NOT_THERE:
            raise
        logger.info("not there", extra={"sourceKey": key, "reason": str(error)})
        return None
