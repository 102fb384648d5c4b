"""The versions of a landed key, as S3 lists them: the newest first."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.ingestion import Source
from shared.s3 import unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def is_newer(s3: "S3Client", source: Source, than: str) -> bool:
    """Tell whether a landed object version is newer than another of the same key.

    A version that is deleted counts as older than any that is there; of two that are both
    deleted, nobody can tell, and what is loaded stays.

    Args:
        s3: boto3's client.
        source: the version in question.
        than: the ID of the other version.

    Raises:
        StagingUnavailable: S3 did not answer.
    """
    with unavailable(f"s3://{source.bucket}/{source.key}"):
        for version in _newest_first(s3, source):
            if version in {source.version_id, than}:
                return version == source.version_id
    return False


def _newest_first(s3: "S3Client", source: Source) -> Iterator[str]:
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=source.bucket, Prefix=source.key
    )
    for page in pages:
        for version in page.get("Versions", ()):
            # Keys come in order: the exact one before those that merely begin with it.
            if version["Key"] != source.key:
                return
            yield version["VersionId"]
