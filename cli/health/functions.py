"""Check of the Lambda functions: existence, state and code."""

import json
from collections.abc import Iterator
from typing import Any

from cli.health.finding import Finding, one_or_all, warning, wrong
from cli.stack import Stack
from local.bundle import bundle
from local.home import CHECKOUT
from shared.telemetry import KEEP_ACTIVE


def functions(stack: Stack) -> list[Finding]:
    """Check that each function exists, is ready and runs the deployed code."""
    names = stack.outputs["function_names"]
    deployed = {function: _deployed(stack, function) for function in sorted(names)}
    found = [
        finding
        for function, answer in deployed.items()
        for finding in _state(stack, function, answer)
    ]
    zipped = bundle(CHECKOUT).hash
    others = [
        name
        for name, each in deployed.items()
        if each and not _as_deployed(stack, name, each, zipped)
    ]
    if others:
        found.append(
            wrong(f"functions that do not run the deployed code: {', '.join(others)}", stack.apply)
        )
    return one_or_all(found, f"all {len(names)} are ready and run the deployed code")


def _deployed(stack: Stack, function: str) -> dict[str, Any] | None:
    client = stack.client("lambda")
    try:
        answer: dict[str, Any] = client.get_function(
            FunctionName=stack.outputs["function_names"][function]
        )
    except client.exceptions.ResourceNotFoundException:
        return None
    return answer


def _state(stack: Stack, function: str, answer: dict[str, Any] | None) -> Iterator[Finding]:
    if answer is None:
        yield wrong(f"the function {function} does not exist", stack.apply)
        return
    configuration = answer["Configuration"]
    name = configuration["FunctionName"]
    if answer.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        yield wrong(
            f"{function} cannot be called because its reserved concurrency is 0",
            f"`aws lambda delete-function-concurrency --function-name {name}`",
        )
    # AWS may omit both fields.
    state = configuration.get("State", "Active")
    update = configuration.get("LastUpdateStatus", "Successful")
    if state == "Failed":
        yield wrong(f"{function} has failed: {configuration.get('StateReason')}", stack.apply)
    elif state == "Inactive":
        yield warning(
            f"{function} is inactive because it was not called for weeks: its next call fails and "
            "activates it, which takes one to two minutes",
            f"`aws lambda invoke --function-name {name} --cli-binary-format raw-in-base64-out "
            f"--payload '{json.dumps(KEEP_ACTIVE)}' /dev/stdout` only activates it; then check "
            f"that the rule {stack.outputs['name']}-keep-active-{function} is enabled",
        )
    elif state == "Pending" or update == "InProgress":
        yield warning(f"{function} is being deployed", "run `tm doctor` again in a minute")
    if update == "Failed":
        reason = configuration.get("LastUpdateStatusReason")
        yield wrong(f"the last update of {function} failed: {reason}", stack.apply)


def _as_deployed(stack: Stack, function: str, answer: dict[str, Any], zipped: str) -> bool:
    images = stack.outputs.get("image_uris")
    if images is not None:
        return bool(answer["Code"].get("ImageUri") == images[function])
    # The laptop cloud runs the code of this checkout. The content of another zip is unknown here.
    return not stack.is_laptop or answer["Configuration"]["CodeSha256"] == zipped
