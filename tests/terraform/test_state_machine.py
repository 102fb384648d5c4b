"""The state machine as a document: what `terraform test` cannot see in it."""

import json
import re
from collections.abc import Iterator
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
# What Invoke answers while Lambda prepares a function that nobody has called for weeks, or its
# network interface: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. It took 40 to
# 106 seconds where somebody measured it (issue 801 of aws-solutions-library-samples/
# accelerated-intelligent-document-processing-on-aws).
NOT_READY = {
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.EC2ThrottledException",
}
# A function that took too long or was killed. Runtime.OutOfMemory is not in AWS's documentation,
# but in public reports, such as pull request 3628 of nasa-gcn/gcn.nasa.gov; the last is what all
# of them were called before.
DIED = {"Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory", "Lambda.Unknown"}


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    return rendered()


@pytest.fixture(scope="module")
def states(machine: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = machine["States"]
    return found


def successors(state: dict[str, Any]) -> set[str]:
    """Where a state can lead."""
    choices = {choice["Next"] for choice in state.get("Choices", [])}
    return choices | {state[field] for field in ("Next", "Default") if field in state}


def strings(node: object) -> Iterator[str]:
    """Every string value of a document."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from strings(child)


def waits(retrier: dict[str, Any]) -> list[float]:
    """The seconds before each retry, without jitter."""
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


def test_states_are_the_tasks_their_verdicts_and_the_ends(states: dict[str, Any]) -> None:
    assert set(states) == TASKS.keys() | {f"{name}Verdict" for name in TASKS} | ENDS


def test_every_state_can_be_reached_and_leads_to_an_end(
    machine: dict[str, Any], states: dict[str, Any]
) -> None:
    reached: set[str] = set()
    waiting = {machine["StartAt"]}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= successors(states[name]) - reached
    assert reached == set(states)
    assert {name for name in states if not successors(states[name])} == ENDS


def test_it_is_written_in_jsonata(machine: dict[str, Any]) -> None:
    assert machine["QueryLanguage"] == "JSONata"


def test_placeholders_are_the_functions_and_the_partition() -> None:
    """That the file parses as it stands shows that each of them is in quotes."""
    document = json.loads(PATH.read_text())
    found = {name for text in strings(document) for name in re.findall(r"\$\{(.*?)\}", text)}
    assert found == {"partition"} | {f"{name}_arn" for name in TASKS.values()}


@pytest.mark.parametrize(("name", "function"), TASKS.items())
def test_a_task_calls_its_function_and_keeps_its_verdict(
    states: dict[str, Any], name: str, function: str
) -> None:
    task = states[name]
    assert task["Resource"] == "arn:aws:states:::lambda:invoke"
    assert task["Arguments"]["FunctionName"] == arn(function)
    verdict = f"{{'{function}': $states.result.Payload}}"
    assert task["Output"] == f"{{% $merge([$states.input, {verdict}]) %}}"
    assert task["Next"] == f"{name}Verdict"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_retries_what_may_pass_and_hides_nothing(states: dict[str, Any], name: str) -> None:
    preparing, busy, passing, broken = states[name]["Retry"]
    assert set(preparing["ErrorEquals"]) == NOT_READY
    assert preparing["JitterStrategy"] == "NONE"
    assert waits(preparing) == [10, 20, 40, 80, 160]
    assert busy["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    assert sum(waits(busy)) / 2 > 450, "with jitter, half of it: a burst of events is over by then"
    assert set(passing["ErrorEquals"]) == TRANSIENT | retryable()
    assert passing["MaxAttempts"] == 6
    assert set(broken["ErrorEquals"]) == DIED
    assert broken["MaxAttempts"] == 2
    assert busy["JitterStrategy"] == passing["JitterStrategy"] == broken["JitterStrategy"] == "FULL"
    assert "Catch" not in states[name]


@pytest.mark.parametrize("error", sorted(NOT_READY | DIED))
def test_alert_has_words_for_each_of_lambda_s_errors_that_is_tried_again(error: str) -> None:
    event = json.loads(ENDED.read_text("utf-8"))
    end = End.from_event(event["detail"] | {"error": error, "cause": "because"})

    if error in NOT_READY:
        expected = Kind.BROKEN, "Lambda did not prepare the function within five minutes"
    elif error == "Sandbox.Timedout":
        expected = Kind.TIMED_OUT, "the function exceeded its timeout"
    else:
        expected = Kind.CRASHED, "the function crashed"
    assert (end.failure, end.reason) == (expected[0], f"{expected[1]} ({error}: because)")


def test_the_dashboard_s_query_for_failures_finds_a_function_that_died() -> None:
    text = PATH.with_name("dashboard.tf").read_text("utf-8")
    [pattern] = re.findall(r"@message like /(.+?)/", text)

    assert all(re.search(pattern, error) for error in DIED if error.startswith("Runtime."))


def test_time_outs_are_numbers_and_end_before_the_machine(machine: dict[str, Any]) -> None:
    time_outs = [machine["States"][name]["TimeoutSeconds"] for name in TASKS]
    assert all(type(seconds) is int for seconds in [*time_outs, machine["TimeoutSeconds"]])
    assert sum(time_outs) < machine["TimeoutSeconds"]


def test_choices_know_every_outcome(states: dict[str, Any]) -> None:
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


def test_a_bad_end_gives_the_reason_of_its_verdict(states: dict[str, Any]) -> None:
    assert states["Refused"]["Cause"] == "{% $states.input.transform.reason %}"
    assert states["Halted"]["Cause"] == "{% $states.input.test.reason %}"


def test_an_unknown_verdict_is_quoted_in_part(states: dict[str, Any]) -> None:
    """A Cause has at most 32,768 characters, and the state may have 262,144 bytes."""
    cause = states["UnknownOutcome"]["Cause"].removeprefix("{%").removesuffix("%}")
    expression = jsonata.Jsonata(cause.replace("$states", "states"))
    verdict = {"outcome": "odd", "reason": "x" * 250_000}

    said = expression.evaluate({"states": {"input": {"transform": verdict}}})

    assert 'does not know: {"transform":{"outcome":"odd","reason":"xxx' in said
    assert len(said) < 32_768
