"""Tests of the calls of the function load by the operator's command."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.exceptions
import pytest

from cli import invocation, loaded_rows
from cli.errors import CommandError
from cli.stack import Stack
from tests.fixtures.aws import KEY, LANDING

MODULE = Path(__file__).parents[2] / "terraform" / "main.tf"


def answered(stack: Stack, *answers: Any) -> tuple[Stack, mock.Mock]:
    """Return a stack whose functions give these answers to successive calls, and its client."""
    client = mock.Mock()
    client.invoke.side_effect = answers
    return replace(stack, client=lambda service, **_: client), client


def payload(**fields: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps(fields).encode())}


def refusal(code: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "no"}}, "Invoke")


def test_rows_calls_load_with_key(aws_stack: Stack) -> None:
    stack, client = answered(aws_stack, payload(rows=3, kept=None), payload(rows=3, kept="v2"))

    assert loaded_rows.count(stack, KEY) == 3
    assert loaded_rows.remove(stack, KEY) == (3, "v2")

    requests = [json.loads(call.kwargs["Payload"]) for call in client.invoke.call_args_list]
    place = {"bucket": LANDING, "key": KEY}
    assert requests == [{"operation": "count", **place}, {"operation": "remove", **place}]
    assert {call.kwargs["FunctionName"] for call in client.invoke.call_args_list} == {"tm-load"}


@pytest.mark.parametrize("code", sorted(invocation._PENDING))
def test_invoke_retries_while_function_is_pending(
    code: str, aws_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invocation, "_PAUSE", 0)
    stack, client = answered(aws_stack, refusal(code), refusal(code), payload(rows=3, kept=None))

    assert loaded_rows.count(stack, KEY) == 3
    assert client.invoke.call_count == 3


def test_invoke_does_not_retry_other_errors(aws_stack: Stack) -> None:
    stack, client = answered(aws_stack, refusal("AccessDeniedException"))
    with pytest.raises(botocore.exceptions.ClientError):
        loaded_rows.count(stack, KEY)
    assert client.invoke.call_count == 1


def test_invoke_reports_function_error(aws_stack: Stack) -> None:
    failed = payload(errorType="DatabaseUnavailable", errorMessage="it is away")
    stack, _ = answered(aws_stack, failed | {"FunctionError": "Unhandled"})
    with pytest.raises(CommandError, match="DatabaseUnavailable: it is away"):
        loaded_rows.remove(stack, KEY)


def test_invoke_timeout_covers_load(aws_stack: Stack) -> None:
    timeout = re.search(r"\n    load = \{\n.*?timeout = (\d+)", MODULE.read_text(), re.DOTALL)
    assert timeout is not None

    config = aws_stack.functions.meta.config

    assert config.read_timeout > int(timeout[1])
    assert config.retries["total_max_attempts"] == 1
