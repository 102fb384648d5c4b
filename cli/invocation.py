"""Calls of the stack's Lambda functions by the operator's command."""

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
"""Error codes of Lambda for a function that is still being prepared, because its image was idle for
weeks or was just deployed.
https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-images.html"""
_PATIENCE = 180.0
_PAUSE = 10.0
"""Both in seconds. The preparation took 40 to 106 s in measurements."""


def invoke(stack: Stack, function: str, request: Mapping[str, Any], purpose: str) -> Any:
    """Call a function of a stack, e.g. `load`, and return its answer.

    `purpose` is a verb phrase for the error message.

    Raises:
        CommandError: the function failed.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_pending),
        stop=tenacity.stop_after_delay(_PATIENCE),
        wait=tenacity.wait_fixed(_PAUSE),
        reraise=True,
    )
    answer = retrying(
        stack.functions.invoke,
        FunctionName=stack.outputs["function_names"][function],
        Payload=json.dumps(request).encode(),
    )
    payload = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise CommandError(
            f"The function {function} failed to {purpose}: "
            f"{payload.get('errorType')}: {payload.get('errorMessage')}"
        )
    return payload


def _is_pending(error: BaseException) -> bool:
    return (
        isinstance(error, botocore.exceptions.ClientError)
        and error.response["Error"]["Code"] in _PENDING
    )
