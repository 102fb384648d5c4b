"""Whether the functions are there, ready, and run the code that was deployed."""

import json
from collections.abc import Iterator
from typing import Any

from cli.health.finding import Finding, one_or_all, warning, wrong
from cli.stack import Stack
from local.bundle import bundle
from local.home import CHECKOUT
from shared.telemetry import KEEP_ACTIVE


def functions(stack: Stack) -> list[Finding]:
    """Look at each function's state and code."""
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
        found.append(wrong(f"{', '.join(others)}: other code than was deployed", stack.apply))
    return one_or_all(found, f"{len(names)} are ready and run what was deployed")


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
        yield wrong(f"there is no function {function}", stack.apply)
        return
    configuration = answer["Configuration"]
    name = configuration["FunctionName"]
    if answer.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        yield wrong(
            f"{function} is stopped: nobody may call it (reserved concurrency 0)",
            f"`aws lambda delete-function-concurrency --function-name {name}`",
        )
    # AWS leaves out what it has nothing to say of.
    state = configuration.get("State", "Active")
    update = configuration.get("LastUpdateStatus", "Successful")
    if state == "Failed":
        yield wrong(f"{function} has failed: {configuration.get('StateReason')}", stack.apply)
    elif state == "Inactive":
        yield warning(
            f"{function} is inactive, because nobody has called it for weeks: its next call fails "
            "and wakes it, which takes a minute or two",
            f"`aws lambda invoke --function-name {name} --cli-binary-format raw-in-base64-out "
            f"--payload '{json.dumps(KEEP_ACTIVE)}' /dev/stdout` wakes it and does nothing else; "
            f"then see whether the rule {stack.outputs['name']}-keep-active-{function} is enabled",
        )
    elif state == "Pending" or update == "InProgress":
        yield warning(f"{function} is being deployed", "ask again in a minute")
    if update == "Failed":
        reason = configuration.get("LastUpdateStatusReason")
        yield wrong(f"the last change of {function} failed: {reason}", stack.apply)


def _as_deployed(stack: Stack, function: str, answer: dict[str, Any], zipped: str) -> bool:
    images = stack.outputs.get("image_uris")
    if images is not None:
        return bool(answer["Code"].get("ImageUri") == images[function])
    # The laptop's functions are this checkout's; of another zip nobody here knows what is in it.
    return not stack.is_laptop or answer["Configuration"]["CodeSha256"] == zipped
