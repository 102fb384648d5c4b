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
def test_temporary_errors_become_given_type(error: Exception) -> None:
    uri = "s3://b/k"
    with pytest.raises(StagingUnavailable, match=uri), unavailable(uri):
        raise error
    with pytest.raises(DatabaseUnavailable, match=uri), unavailable(uri, DatabaseUnavailable):
        raise error


def test_other_errors_stay_unchanged() -> None:
    with pytest.raises(botocore.exceptions.ClientError), unavailable("s3://b/k"):
        raise refused("AccessDenied")
