"""Checker for errors in a state machine that npm's asl-validator does not find.

https://states-language.net/spec.html#retrying-after-error
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.endings import TASKS

PATH = Path(__file__).parents[2] / "terraform" / "state_machine.asl.json"

# Functions of JSONata 2.0.6 (https://docs.jsonata.org) without $eval, which Step Functions lacks.
# The last line lists the functions that Step Functions adds.
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
        string length substring substringBefore substringAfter uppercase lowercase trim pad
        contains split join match replace base64encode base64decode encodeUrlComponent encodeUrl
        decodeUrlComponent decodeUrl number abs floor ceil round power sqrt random formatNumber
        formatBase formatInteger parseInteger sum max min average boolean not exists count append
        sort reverse shuffle distinct zip keys lookup spread merge sift each error assert type now
        millis fromMillis toMillis map filter single reduce
        partition range hash uuid parse
        """,
    )
)
RESOURCES = ("lambda:invoke",)
"""The service integrations that this project uses."""


def arn(function: str) -> str:
    return f"arn:aws:lambda:eu-central-1:123456789012:function:{function}"


def rendered() -> dict[str, Any]:
    """Return the definition as `terraform/state_machine.tf` renders it, with sample ARNs."""
    names = {"partition": "aws"} | {f"{name}_arn": arn(name) for name in TASKS}
    text = re.sub(r"\$\{(\w+)\}", lambda match: names[match[1]], PATH.read_text("utf-8"))
    text = re.sub(r'"([\w.]+\.json)"', lambda match: PATH.with_name(match[1]).read_text(), text)
    return dict(json.loads(text))


def faults(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors in a rendered state machine in JSONata, with state and field."""
    for name, state in machine["States"].items():
        for field in ("Retry", "Catch"):
            for fault in _order(state.get(field, [])):
                yield f"{name}.{field}: {fault}"
        for retrier in state.get("Retry", []):
            for fault in _retrier(retrier):
                yield f"{name}.Retry: {fault}"
        if state["Type"] == "Task" and not re.fullmatch(
            rf"arn:aws(-cn|-us-gov)?:states:::({'|'.join(RESOURCES)})", state["Resource"]
        ):
            yield f"{name}.Resource: {state['Resource']} is not one of {', '.join(RESOURCES)}"
        for field, value in state.items():
            for expression in _expressions(value):
                for fault in _expression(expression, state["Type"], field):
                    yield f"{name}.{field}: {fault}"


def _order(policies: list[dict[str, Any]]) -> Iterator[str]:
    for policy in policies:
        errors = policy["ErrorEquals"]
        if "States.ALL" in errors and (len(errors) > 1 or policy is not policies[-1]):
            yield "States.ALL must be alone and last, because nothing after it is evaluated"


def _retrier(retrier: Mapping[str, Any]) -> Iterator[str]:
    if retrier.get("BackoffRate", 2) < 1:
        yield "BackoffRate must be at least 1"
    interval = retrier.get("IntervalSeconds", 1)
    longest = retrier.get("MaxDelaySeconds", interval + 1)
    # The specification requires only a positive integer, but one below the first wait is a mistake.
    if not isinstance(longest, int) or longest <= interval:
        yield "MaxDelaySeconds must be an integer greater than IntervalSeconds"
    if retrier.get("JitterStrategy", "NONE") not in {"FULL", "NONE"}:
        yield "JitterStrategy must be FULL or NONE"


def _expressions(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if match := re.fullmatch(r"\{%(.*)%\}", value, re.DOTALL):
            yield re.sub(r"'[^']*'|\"[^\"]*\"", "''", match[1])
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _expressions(child)


def _expression(expression: str, kind: str, field: str) -> Iterator[str]:
    for function in re.findall(r"\$(\w+)\s*\(", expression):
        if function not in FUNCTIONS:
            yield f"Step Functions has no JSONata function ${function}"
    known = {"context", "input"}
    if kind in {"Map", "Parallel", "Task"} and field in {"Assign", "Output"}:
        known.add("result")
    if field == "Catch":
        known.add("errorOutput")
    for member in re.findall(r"\$states\.(\w+)", expression):
        if member not in known:
            yield f"$states.{member} does not exist here"
