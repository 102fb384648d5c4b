"""The versions of a landed key, as S3 lists them: the newest first."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.ingestion import Source
from shared.s3 import unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def may_replace(s3: "S3Client", source: Source, loaded: str) -> bool:
    """Tell whether a landed object version is to take the place of the loaded one.

    It is if it is still there, and newer than the loaded version or that version itself. A version
    that is deleted counts as older than any that is there; of two that are both deleted, nobody can
    tell, and what is loaded stays.

    Args:
        s3: boto3's client.
        source: the version in question.
        loaded: the ID of the version of the same key that is loaded.

    Raises:
        StagingUnavailable: S3 did not answer.
    """
    for version in _newest_first(s3, source.bucket, source.key):
        if version in {source.version_id, loaded}:
            return version == source.version_id
    return False


def is_there(s3: "S3Client", bucket: str, key: str, version: str) -> bool:
    """Tell whether a version of a landed key is still in the bucket.

    Raises:
        StagingUnavailable: S3 did not answer.
    """
    return version in _newest_first(s3, bucket, key)


def _newest_first(s3: "S3Client", bucket: str, key: str) -> Iterator[str]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    with unavailable(f"s3://{bucket}/{key}"):
        for page in pages:
            for version in page.get("Versions", ()):
                # Keys come in order: the exact one before those that merely begin with it.
                if version["Key"] != key:
                    return
                yield version["VersionId"]
