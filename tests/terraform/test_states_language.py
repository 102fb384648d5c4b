"""Tests of the state machine's definition with our own checker and with npm's asl-validator."""

import copy
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.rds_data_api import NPM
from tests.programs import run
from tests.terraform.states_language import faults, rendered

States = dict[str, Any]
Plant = Callable[[States], Any]


def retrier(number: int, **changes: Any) -> Plant:
    """Return a change of a retrier of Load."""
    return lambda states: states["Load"]["Retry"][number].update(changes)


def choice(condition: str) -> Plant:
    """Return a change of a condition of LoadVerdict."""
    return lambda states: states["LoadVerdict"]["Choices"][0].update(Condition=condition)


def task(**changes: Any) -> Plant:
    """Return a change of Load."""
    return lambda states: states["Load"].update(changes)


TOO_SHORT = "Load.Retry: MaxDelaySeconds must be an integer greater than IntervalSeconds"
NOT_LAST = "States.ALL must be alone and last, because nothing after it is evaluated"
# Errors that each checker must find; for ours with its message.
OURS: dict[str, tuple[Plant, str]] = {
    "decreasing waits": (retrier(0, BackoffRate=0.5), "Load.Retry: BackoffRate must be at least 1"),
    "maximum wait of 0": (retrier(1, MaxDelaySeconds=0), TOO_SHORT),
    "maximum wait below the first": (retrier(0, MaxDelaySeconds=10), TOO_SHORT),
    "unknown jitter": (
        retrier(1, JitterStrategy="HALF"),
        "Load.Retry: JitterStrategy must be FULL or NONE",
    ),
    "States.ALL before another retrier": (
        retrier(0, ErrorEquals=["States.ALL"]),
        f"Load.Retry: {NOT_LAST}",
    ),
    "States.ALL with another error": (
        retrier(2, ErrorEquals=["States.ALL", "Sandbox.Timedout"]),
        f"Load.Retry: {NOT_LAST}",
    ),
    "States.ALL before another catcher": (
        task(
            Catch=[
                {"ErrorEquals": [f"States.{each}"], "Next": "Halted"} for each in ("ALL", "Timeout")
            ]
        ),
        f"Load.Catch: {NOT_LAST}",
    ),
    "unknown function": (
        task(Output="{% $merges([$states.input, {'load': $states.result.Payload}]) %}"),
        "Load.Output: Step Functions has no JSONata function $merges",
    ),
    "unsupported function": (
        choice("{% $eval('true') %}"),
        "LoadVerdict.Choices: Step Functions has no JSONata function $eval",
    ),
    "result in a choice": (
        choice("{% $states.result.outcome = 'ok' %}"),
        "LoadVerdict.Choices: $states.result does not exist here",
    ),
    "result in arguments": (
        task(Arguments={"FunctionName": "load", "Payload": "{% $states.result %}"}),
        "Load.Arguments: $states.result does not exist here",
    ),
    "error output without catcher": (
        task(Output="{% $states.errorOutput %}"),
        "Load.Output: $states.errorOutput does not exist here",
    ),
    **{
        f"misspelt {what}": (
            task(Resource=resource),
            f"Load.Resource: {resource} is not one of lambda:invoke",
        )
        for what, resource in {
            "resource": "arn:aws:states:::lambda:invok",
            "service": "arn:aws:state:::lambda:invoke",
        }.items()
    },
}
THEIRS: dict[str, Plant] = {
    "unknown next state": task(Next="LoadsVerdict"),
    "field of JSONPath": task(ResultPath="$.load"),
    "negative wait": retrier(0, IntervalSeconds=-1),
    "choice without choices": lambda states: states["LoadVerdict"].pop("Choices"),
    "invalid expression": choice("{% $states.input.load.outcome = %}"),
}


def planted(plant: Plant) -> dict[str, Any]:
    """Return the module's state machine with an error in it."""
    machine = copy.deepcopy(rendered())
    plant(machine["States"])
    return machine


def test_checker_finds_no_error() -> None:
    assert list(faults(rendered())) == []


@pytest.mark.parametrize("fault", OURS)
def test_checker_finds_planted_error(fault: str) -> None:
    plant, words = OURS[fault]

    assert list(faults(planted(plant))) == [words]


@pytest.mark.parametrize(
    "expression",
    [
        "{% $states.context.Execution.Id %}",
        "{% $merge([$states.input, {'load': $states.result}]) %}",
        "{% 'no $function(here), no $states.result2' %}",
        "no {% $expression() %}",
    ],
)
def test_checker_accepts_valid_expression(expression: str) -> None:
    assert list(faults(planted(task(Output=expression)))) == []


def validate(machines: Mapping[str, Any], folder: Path) -> tuple[int, dict[str, bool]]:
    """Return the exit status of asl-validator, and whether each machine is valid.

    The output is checked too, because asl-validator exits with 0 if it only prints its help.
    """
    paths = {name: folder / f"{number}.json" for number, name in enumerate(machines)}
    for name, path in paths.items():
        path.write_text(json.dumps(machines[name]), "utf-8")
    command = Path(os.environ[NPM]) / "node_modules" / ".bin" / "asl-validator"
    arguments = [each for path in paths.values() for each in ("--json-path", path)]
    done = run(command, *arguments)
    output = f"{done.stdout}\n{done.stderr}"
    valid = {
        name: match[1] == "valid"
        for name, path in paths.items()
        for match in re.finditer(rf'definition "{re.escape(str(path))}" is (valid|invalid)', output)
    }
    assert valid.keys() == machines.keys(), output
    return done.returncode, valid


@pytest.mark.npm
def test_asl_validator_finds_no_error(tmp_path: Path) -> None:
    assert validate({"ours": rendered()}, tmp_path) == (0, {"ours": True})


@pytest.mark.npm
def test_asl_validator_finds_planted_errors(tmp_path: Path) -> None:
    found = validate({fault: planted(plant) for fault, plant in THEIRS.items()}, tmp_path)

    assert found == (1, dict.fromkeys(THEIRS, False))


@pytest.mark.npm
def test_asl_validator_misses_errors_of_our_checker(tmp_path: Path) -> None:
    """If a newer release finds one of them, remove it from our checker."""
    found = validate({fault: planted(plant) for fault, (plant, _) in OURS.items()}, tmp_path)

    assert found == (0, dict.fromkeys(OURS, True))
