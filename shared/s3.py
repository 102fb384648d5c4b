"""What S3's failures mean, for all who read or write objects."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions

from shared.errors import StagingUnavailable

_CUT = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
)


@contextlib.contextmanager
def unavailable(uri: str) -> Iterator[None]:
    """Turn S3's passing failures at `uri` into `StagingUnavailable`, and let all others be."""
    passing = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "503", "500"}
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in passing:
            raise
        raise StagingUnavailable(f"S3 refused {uri} for now: {error}") from error
    except _CUT as error:
        raise StagingUnavailable(f"S3 did not answer for {uri}: {error}") from error
