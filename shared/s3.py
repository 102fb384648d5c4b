"""Distinction between temporary and permanent errors of S3."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions

from shared.errors import Retryable, StagingUnavailable

_CONNECTION_ERRORS = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
)


@contextlib.contextmanager
def unavailable(uri: str, error_type: type[Retryable] = StagingUnavailable) -> Iterator[None]:
    """Convert temporary errors of S3 into `error_type`; other errors propagate unchanged."""
    temporary = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "503", "500"}
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in temporary:
            raise
        raise error_type(f"S3 temporarily refused {uri}: {error}") from error
    except _CONNECTION_ERRORS as error:
        raise error_type(
            f"S3 did not answer for {uri}: {error}; if this persists, check the network route from "
            "the function to S3"
        ) from error
