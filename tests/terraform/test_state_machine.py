"""The state machine as a document: what `terraform test` cannot see in it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonata  # type: ignore[import-untyped]  # the emulator's
import pytest

import shared.errors
from shared.verdict import Outcome

PATH = Path(__file__).parents[2] / "terraform" / "state_machine.asl.json"
TASKS = {"Transform": "transform", "Test": "test", "Load": "load"}
ENDS = {"Loaded", "Superseded", "Refused", "Halted", "UnknownOutcome"}
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
TRANSIENT = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.ClientExecutionTimeoutException",
}


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    """The file as it stands: that it parses shows that every placeholder is in quotes."""
    document: dict[str, Any] = json.loads(PATH.read_text())
    return document


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


def test_placeholders_are_the_functions_and_the_partition(machine: dict[str, Any]) -> None:
    found = {name for text in strings(machine) for name in re.findall(r"\$\{(.*?)\}", text)}
    assert found == {"partition"} | {f"{name}_arn" for name in TASKS.values()}


@pytest.mark.parametrize(("name", "function"), TASKS.items())
def test_a_task_calls_its_function_and_keeps_its_verdict(
    states: dict[str, Any], name: str, function: str
) -> None:
    task = states[name]
    assert task["Resource"] == "arn:${partition}:states:::lambda:invoke"
    assert task["Arguments"]["FunctionName"] == f"${{{function}_arn}}"
    verdict = f"{{'{function}': $states.result.Payload}}"
    assert task["Output"] == f"{{% $merge([$states.input, {verdict}]) %}}"
    assert task["Next"] == f"{name}Verdict"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_retries_what_may_pass_and_hides_nothing(states: dict[str, Any], name: str) -> None:
    passing, broken = states[name]["Retry"]
    assert set(passing["ErrorEquals"]) == TRANSIENT | retryable()
    assert passing["MaxAttempts"] == 6
    # A function that took too long, or was killed, by a lack of memory for one; the last is what
    # both were called before.
    killed = {"Sandbox.Timedout", "Runtime.ExitError", "Lambda.Unknown"}
    assert set(broken["ErrorEquals"]) == killed
    assert broken["MaxAttempts"] == 2
    assert passing["JitterStrategy"] == broken["JitterStrategy"] == "FULL"
    assert "Catch" not in states[name]


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
        ("load", Outcome.SUPERSEDED): "Superseded",
    }
    assert {outcome for _, outcome in known} == set(Outcome)


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
