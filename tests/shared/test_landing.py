import io
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest
from botocore.response import StreamingBody

from shared import landing
from shared.errors import SourceUnreadable, StagingUnavailable
from shared.ingestion import Source
from tests.fixtures.aws import KEY, LANDING, land

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_a_version_in_chunks(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "CHUNK_BYTES", 3)
    source = land(s3, b"abcdefgh").source
    land(s3, b"a newer version")

    assert list(landing.read_version(s3, source)) == [b"abc", b"def", b"gh"]


def test_a_version_that_is_gone(s3: "S3Client") -> None:
    source = land(s3, b"x").source
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=source.version_id)

    with pytest.raises(SourceUnreadable, match="drop the file again"):
        list(landing.read_version(s3, source))


class _Failing:
    """Stands for boto3's client: moto neither throttles nor hangs up."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_object(self, **_: str) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        botocore.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"),
        {"Body": StreamingBody(io.BytesIO(b"half of it"), content_length=20)},
    ],
    ids=["busy", "cut"],
)
def test_a_version_that_cannot_be_had_for_now(answer: Any) -> None:
    client: Any = _Failing(answer)

    with pytest.raises(StagingUnavailable, match=f"s3://{LANDING}/{KEY}"):
        list(landing.read_version(client, Source(LANDING, KEY, "v", 20)))
