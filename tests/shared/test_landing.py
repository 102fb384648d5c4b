import hashlib
import io
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

import botocore.exceptions
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from shared import landing
from shared.content import digest
from shared.errors import SourceUnreadable, StagingUnavailable
from shared.ingestion import Source
from tests.fixtures.aws import KEY, LANDING, create_bucket, land

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_version_is_read_in_chunks(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.content.CHUNK_BYTES", 3)
    source = land(s3, b"abcdefgh").source
    land(s3, b"a newer version")

    content = landing.LandedFile(s3, source)
    assert [*content.chunks()] == [b"abc", b"def", b"gh"]
    assert [*content.chunks(4)] == [b"efg", b"h"]
    assert [*content.chunks(8)] == []
    assert [*content.chunks(1, 6)] == [b"bcd", b"ef"]
    assert [*content.chunks(0, 2)] == [b"ab"]
    assert [*content.chunks(2, 2)] == []
    assert digest(content, "md5") == hashlib.md5(b"abcdefgh", usedforsecurity=False).hexdigest()


def test_whole_answer_to_range_is_read_from_its_begin(s3: "S3Client") -> None:
    """The emulator answers so for a version, unlike moto and AWS."""
    answer = {"Body": StreamingBody(io.BytesIO(b"abcdefgh"), content_length=8)}
    with mock.patch.object(s3, "get_object", return_value=answer):
        content = landing.LandedFile(s3, Source(LANDING, KEY, "v", 8))
        assert [*content.chunks(5, 7)] == [b"fg"]


@pytest.mark.parametrize(
    "answer",
    [
        botocore.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"),
        {"Body": StreamingBody(io.BytesIO(b"half of it"), content_length=20)},
    ],
    ids=["busy", "cut"],
)
def test_temporary_read_error_becomes_staging_unavailable(answer: Any) -> None:
    """Moto neither throttles nor closes connections."""
    client = mock.Mock()
    client.get_object.side_effect = [answer]

    with pytest.raises(StagingUnavailable, match=f"s3://{LANDING}/{KEY}"):
        list(landing.LandedFile(client, Source(LANDING, KEY, "v", 20)).chunks())


def test_key_without_version_is_found(s3: "S3Client") -> None:
    """S3 returns no version ID without versioning, and `null` if versioning is suspended."""
    create_bucket(s3, "never-versioned")
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Suspended"})
    for bucket in ("never-versioned", LANDING):
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"abc")

        found = landing.newest_version(s3, bucket, KEY)

        assert found is not None
        assert (found.bucket, found.key, found.size) == (bucket, KEY, 3)
        assert re.fullmatch(r"null@20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.version_id)
        assert not found.has_version


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidObjectState", "restore it in S3, then replay"),
        ("NoSuchVersion", "if it was deleted, upload the file again"),
    ],
)
def test_unreadable_version_is_reported_with_advice(code: str, advice: str, s3: "S3Client") -> None:
    """Moto reads archived objects."""
    with Stubber(s3) as stubber:
        stubber.add_client_error("get_object", code)
        with pytest.raises(SourceUnreadable, match=f"{code}.*; {advice}$"):
            list(landing.LandedFile(s3, Source(LANDING, KEY, "v", 20)).chunks())


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_missing_or_unreadable_key_is_none(status: int, s3: "S3Client") -> None:
    """Moto always returns 404 for a missing key; AWS does so only with s3:ListBucket."""
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", str(status), http_status_code=status)
        assert landing.newest_version(s3, LANDING, KEY) is None


@pytest.mark.parametrize(
    ("code", "error"), [("503", StagingUnavailable), ("301", botocore.exceptions.ClientError)]
)
def test_other_errors_of_head_object_are_raised(
    code: str, error: type[Exception], s3: "S3Client"
) -> None:
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", code)
        with pytest.raises(error):
            landing.newest_version(s3, LANDING, KEY)
