"""Tests of the state machine's definition that `terraform test` cannot express."""

import json
import re
from pathlib import Path
from typing import Any

import jsonata
import pytest

import shared.errors
from functions.alert.ends import End
from shared import endings
from shared.endings import ENDINGS, Kind, Outcome
from tests.terraform.states_language import PATH, arn, rendered

ENDED = Path(__file__).parents[1] / "events" / "execution_failed.json"
TASKS = {task.title(): task for task in endings.TASKS}
ENDS = {"Loaded", "Superseded", "Refused", "Halted", "UnknownOutcome"}
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
TRANSIENT = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
}
# Errors of Invoke while Lambda activates an inactive function or its network interface:
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. Measured: 40 to 106 seconds
# (issue 801 of aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws).
NOT_READY = {
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.EC2ThrottledException",
}
# Errors of a function that timed out or was killed. AWS does not document Runtime.OutOfMemory, but
# public reports do, e.g. pull request 3628 of nasa-gcn/gcn.nasa.gov. Lambda.Unknown is the former
# name of all of them.
DIED = {"Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory", "Lambda.Unknown"}


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    return rendered()


@pytest.fixture(scope="module")
def states(machine: dict[str, Any]) -> dict[str, Any]:
    return dict(machine["States"])


def successors(state: dict[str, Any]) -> set[str]:
    choices = {choice["Next"] for choice in state.get("Choices", [])}
    return choices | {state[field] for field in ("Next", "Default") if field in state}


def waits(retrier: dict[str, Any]) -> list[float]:
    """Return the seconds before each retry, without jitter."""
    growing = (
        retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt
        for attempt in range(retrier["MaxAttempts"])
    )
    return [min(wait, retrier.get("MaxDelaySeconds", wait)) for wait in growing]


def retryable() -> set[str]:
    return {
        name
        for name, member in vars(shared.errors).items()
        if isinstance(member, type)
        and issubclass(member, shared.errors.Retryable)
        and not member.__subclasses__()
    }


def test_states_are_tasks_verdicts_and_ends(states: dict[str, Any]) -> None:
    assert set(states) == TASKS.keys() | {f"{name}Verdict" for name in TASKS} | ENDS


def test_every_state_is_reachable(machine: dict[str, Any], states: dict[str, Any]) -> None:
    reached: set[str] = set()
    waiting = {machine["StartAt"]}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= successors(states[name]) - reached
    assert reached == set(states)
    assert {name for name in states if not successors(states[name])} == ENDS
    assert machine["QueryLanguage"] == "JSONata"


def test_placeholders_are_functions_and_partition() -> None:
    """The file is valid JSON, so all placeholders are in strings."""
    text = PATH.read_text()
    assert json.loads(text)
    found = set(re.findall(r"\$\{(.*?)\}", text))
    assert found == {"partition"} | {f"{name}_arn" for name in TASKS.values()}


@pytest.mark.parametrize(("name", "function"), TASKS.items())
def test_task_invokes_its_function_and_stores_its_verdict(
    states: dict[str, Any], name: str, function: str
) -> None:
    task = states[name]
    assert task["Resource"] == "arn:aws:states:::lambda:invoke"
    assert task["Arguments"]["FunctionName"] == arn(function)
    verdict = f"{{'{function}': $states.result.Payload}}"
    assert task["Output"] == f"{{% $merge([$states.input, {verdict}]) %}}"
    assert task["Next"] == f"{name}Verdict"


@pytest.mark.parametrize("name", TASKS)
def test_task_retries_transient_errors_only(states: dict[str, Any], name: str) -> None:
    not_ready, busy, transient, died = states[name]["Retry"]
    assert set(not_ready["ErrorEquals"]) == NOT_READY
    assert not_ready["JitterStrategy"] == "NONE"
    assert waits(not_ready) == [10, 20, 40, 80, 160]
    assert busy["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    assert sum(waits(busy)) / 2 > 450, "with jitter half of it, longer than a burst of events"
    assert set(transient["ErrorEquals"]) == TRANSIENT | retryable()
    assert transient["MaxAttempts"] == 6
    assert set(died["ErrorEquals"]) == DIED
    assert died["MaxAttempts"] == 2
    assert {each["JitterStrategy"] for each in (busy, transient, died)} == {"FULL"}
    assert "Catch" not in states[name]


@pytest.mark.parametrize("error", sorted(NOT_READY | DIED))
def test_alert_explains_errors_of_lambda(error: str) -> None:
    event = json.loads(ENDED.read_text("utf-8"))
    end = End.from_event(event["detail"] | {"error": error, "cause": "because"})

    if error in NOT_READY:
        expected = Kind.BROKEN, "Lambda did not prepare the function within five minutes"
    elif error == "Sandbox.Timedout":
        expected = Kind.TIMED_OUT, "the function exceeded its timeout"
    else:
        expected = Kind.CRASHED, "the function crashed"
    assert (end.failure, end.reason) == (expected[0], f"{expected[1]} ({error}: because)")


def test_dashboard_query_finds_killed_functions() -> None:
    text = PATH.with_name("dashboard.tf").read_text("utf-8")
    [pattern] = re.findall(r"@message like /(.+?)/", text)

    assert all(re.search(pattern, error) for error in DIED if error.startswith("Runtime."))


def test_sum_of_task_timeouts_is_below_the_machines(machine: dict[str, Any]) -> None:
    time_outs = [machine["States"][name]["TimeoutSeconds"] for name in TASKS]
    assert all(type(seconds) is int for seconds in [*time_outs, machine["TimeoutSeconds"]])
    assert sum(time_outs) < machine["TimeoutSeconds"]


def test_choices_cover_every_outcome(states: dict[str, Any]) -> None:
    known = {}
    for name, function in TASKS.items():
        choice = states[f"{name}Verdict"]
        assert choice["Default"] == "UnknownOutcome"
        for rule in choice["Choices"]:
            match = re.fullmatch(
                rf"{{% \$states\.input\.{function}\.outcome = '(\w+)' %}}", rule["Condition"]
            )
            assert match, rule
            known[function, Outcome(match[1])] = rule["Next"]
    assert known == {
        ("transform", Outcome.OK): "Test",
        ("transform", Outcome.REFUSED): "Refused",
        ("test", Outcome.OK): "Load",
        ("test", Outcome.FAILED_TESTS): "Halted",
        ("load", Outcome.OK): "Loaded",
        ("load", Outcome.ROWS_REFUSED): "Test",
        ("load", Outcome.SUPERSEDED): "Superseded",
    }
    assert {outcome for _, outcome in known} == set(Outcome)
    errors = {end.outcome: end.errors for end in ENDINGS.values() if end.outcome and end.errors}
    failing = {
        outcome: states[end] for (_, outcome), end in known.items() if "Error" in states[end]
    }
    assert errors == {outcome: (state["Error"],) for outcome, state in failing.items()}


def test_failed_end_has_the_reason_of_its_verdict(states: dict[str, Any]) -> None:
    assert states["Refused"]["Cause"] == "{% $states.input.transform.reason %}"
    assert states["Halted"]["Cause"] == "{% $states.input.test.reason %}"


def test_unknown_verdict_is_truncated(states: dict[str, Any]) -> None:
    """A Cause has at most 32,768 characters, and the state may have 262,144 bytes."""
    cause = states["UnknownOutcome"]["Cause"].removeprefix("{%").removesuffix("%}")
    expression = jsonata.Jsonata(cause.replace("$states", "states"))
    verdict = {"outcome": "odd", "reason": "x" * 250_000}

    text = expression.evaluate({"states": {"input": {"transform": verdict}}})

    assert 'an unknown outcome: {"transform":{"outcome":"odd","reason":"xxx' in text
    assert len(text) < 32_768
