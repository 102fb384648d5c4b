"""What S3's failures mean, for all who read or write objects."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions

from shared.errors import Retryable, StagingUnavailable

_CUT = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
)


@contextlib.contextmanager
def unavailable(uri: str, error_type: type[Retryable] = StagingUnavailable) -> Iterator[None]:
    """Turn S3's passing failures at `uri` into errors of this type, and let all others be."""
    passing = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "503", "500"}
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in passing:
            raise
        raise error_type(f"S3 refused {uri} for now: {error}") from error
    except _CUT as error:
        raise error_type(
            f"S3 did not answer for {uri}: {error}; if that lasts, see whether the function's "
            "network has a way to S3"
        ) from error
