import botocore.exceptions
import pytest

from shared.errors import DatabaseUnavailable, StagingUnavailable
from shared.s3 import unavailable


def refused(code: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code}}, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        refused("SlowDown"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://s3"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://s3"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://s3"),
        botocore.exceptions.ResponseStreamingError(error="cut"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_temporary_errors_become_staging_unavailable(error: Exception) -> None:
    with pytest.raises(StagingUnavailable, match="s3://b/k"), unavailable("s3://b/k"):
        raise error


def test_temporary_errors_become_given_type() -> None:
    cut = botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2)
    for error in (refused("SlowDown"), cut):
        with (
            pytest.raises(DatabaseUnavailable, match="s3://b/k"),
            unavailable("s3://b/k", DatabaseUnavailable),
        ):
            raise error


def test_other_errors_stay_unchanged() -> None:
    with pytest.raises(botocore.exceptions.ClientError), unavailable("s3://b/k"):
        raise refused("AccessDenied")
