"""The versions of a landing key, in S3's order: the newest first.

Each function raises StagingUnavailable if S3 does not answer.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.ingestion import Source
from shared.s3 import unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def may_replace(s3: "S3Client", source: Source, loaded: str) -> bool:
    """Return whether an object version may replace the one with the ID `loaded`.

    It may if it still exists, and is the loaded version or newer. A deleted version counts as older
    than any existing one. If both are deleted, the loaded version stays.
    """
    for version in _newest_first(s3, source.bucket, source.key):
        if version in {source.version_id, loaded}:
            return version == source.version_id
    return False


def is_there(s3: "S3Client", bucket: str, key: str, version: str) -> bool:
    """Return whether a version of a landing key is still in the bucket."""
    return version in _newest_first(s3, bucket, key)


def _newest_first(s3: "S3Client", bucket: str, key: str) -> Iterator[str]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    with unavailable(f"s3://{bucket}/{key}"):
        for page in pages:
            for version in page.get("Versions", ()):
                # S3 sorts the keys: an exact match precedes the longer keys with this prefix.
                if version["Key"] != key:
                    return
                yield version["VersionId"]
