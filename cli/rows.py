"""The rows of one landed key in its table, asked of the function load.

No other way leads to the database of every stack: a created one answers in its own network only.
"""

import json
from collections.abc import Mapping
from typing import Any

import botocore.exceptions
import tenacity

from cli.errors import CommandError
from cli.stack import Stack

_PENDING = {
    "CodeArtifactUserPendingException",
    "EC2ThrottledException",
    "ResourceConflictException",
    "ResourceNotReadyException",
}
"""How Lambda refuses a function that it has yet to prepare: an image that was idle for weeks, or
was just deployed. https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-images.html"""
_PATIENCE = 180.0
_PAUSE = 10.0
"""Both in seconds: it was seen to take 40 to 106."""


def count(stack: Stack, key: str) -> int:
    """Return how many rows of a landed key its table holds.

    Raises:
        CommandError: the function failed.
    """
    return int(_ask(stack, "count", key)["rows"])


def remove(stack: Stack, key: str) -> tuple[int, str | None]:
    """Remove the rows of a landed key and its entry in the ledger, unless its version is there.

    Returns:
        How many rows were removed; and the ID of the loaded version, if its rows were kept because
        it is in the landing bucket.

    Raises:
        CommandError: the function failed.
    """
    answer = _ask(stack, "remove", key)
    return int(answer["rows"]), answer["kept"]


def _ask(stack: Stack, operation: str, key: str) -> Mapping[str, Any]:
    request = {"operation": operation, "bucket": stack.landing_bucket, "key": key}
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_pending),
        stop=tenacity.stop_after_delay(_PATIENCE),
        wait=tenacity.wait_fixed(_PAUSE),
        reraise=True,
    )
    answer = retrying(
        stack.functions.invoke,
        FunctionName=stack.outputs["function_names"]["load"],
        Payload=json.dumps(request).encode(),
    )
    payload: dict[str, Any] = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise CommandError(
            f"The function load could not {operation} the rows of {key}: "
            f"{payload.get('errorType')}: {payload.get('errorMessage')}"
        )
    return payload


def _is_pending(error: BaseException) -> bool:
    return (
        isinstance(error, botocore.exceptions.ClientError)
        and error.response["Error"]["Code"] in _PENDING
    )
