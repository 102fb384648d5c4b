"""How the operator's command calls a function of the stack."""

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


def ask(stack: Stack, function: str, request: Mapping[str, Any], purpose: str) -> Any:
    """Return what a function answers.

    Args:
        stack: whose function.
        function: `load`, for example.
        request: its event.
        purpose: what could not be done if it fails, to follow "could not".

    Raises:
        CommandError: it failed.
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
            f"The function {function} could not {purpose}: "
            f"{payload.get('errorType')}: {payload.get('errorMessage')}"
        )
    return payload


def _is_pending(error: BaseException) -> bool:
    return (
        isinstance(error, botocore.exceptions.ClientError)
        and error.response["Error"]["Code"] in _PENDING
    )
