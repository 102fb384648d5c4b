"""The state machine as Amazon's language has it: by a checker of our own, and by npm's."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.rds_data_api import NPM
from tests.terraform.states_language import faults, rendered

States = dict[str, Any]
Plant = Callable[[States], Any]


def retrier(number: int, **changes: Any) -> Plant:
    """Change a retrier of Load."""
    return lambda states: states["Load"]["Retry"][number].update(changes)


def choice(condition: str) -> Plant:
    """Change a condition of Load's verdict."""
    return lambda states: states["LoadVerdict"]["Choices"][0].update(Condition=condition)


def task(**changes: Any) -> Plant:
    """Change Load."""
    return lambda states: states["Load"].update(changes)


# What the two have to find, by what it is; ours is held to its words.
OURS: dict[str, tuple[Plant, str]] = {
    "waits that shrink": (
        retrier(0, BackoffRate=0.5),
        "Load.Retry: BackoffRate must be at least 1",
    ),
    "no longest wait": (
        retrier(1, MaxDelaySeconds=0),
        "Load.Retry: MaxDelaySeconds must be an integer greater than IntervalSeconds",
    ),
    "a longest wait below the first": (
        retrier(0, MaxDelaySeconds=10),
        "Load.Retry: MaxDelaySeconds must be an integer greater than IntervalSeconds",
    ),
    "another jitter": (
        retrier(1, JitterStrategy="HALF"),
        "Load.Retry: JitterStrategy must be FULL or NONE",
    ),
    "everything before something": (
        retrier(0, ErrorEquals=["States.ALL"]),
        "Load.Retry: States.ALL must be alone and last: nothing behind it is ever reached",
    ),
    "everything and something": (
        retrier(2, ErrorEquals=["States.ALL", "Sandbox.Timedout"]),
        "Load.Retry: States.ALL must be alone and last: nothing behind it is ever reached",
    ),
    "everything caught before something": (
        task(
            Catch=[
                {"ErrorEquals": ["States.ALL"], "Next": "Refused"},
                {"ErrorEquals": ["States.Timeout"], "Next": "Halted"},
            ]
        ),
        "Load.Catch: States.ALL must be alone and last: nothing behind it is ever reached",
    ),
    "an unknown function": (
        task(Output="{% $merges([$states.input, {'load': $states.result.Payload}]) %}"),
        "Load.Output: Step Functions has no JSONata function $merges",
    ),
    "a function that Step Functions leaves out": (
        choice("{% $eval('true') %}"),
        "LoadVerdict.Choices: Step Functions has no JSONata function $eval",
    ),
    "a result where there is none": (
        choice("{% $states.result.outcome = 'ok' %}"),
        "LoadVerdict.Choices: $states.result does not exist here",
    ),
    "a result before it is there": (
        task(Arguments={"FunctionName": "load", "Payload": "{% $states.result %}"}),
        "Load.Arguments: $states.result does not exist here",
    ),
    "an error where none was caught": (
        task(Output="{% $states.errorOutput %}"),
        "Load.Output: $states.errorOutput does not exist here",
    ),
    "a misspelt resource": (
        task(Resource="arn:aws:states:::lambda:invok"),
        "Load.Resource: arn:aws:states:::lambda:invok is none of lambda:invoke",
    ),
    "a resource of another service": (
        task(Resource="arn:aws:state:::lambda:invoke"),
        "Load.Resource: arn:aws:state:::lambda:invoke is none of lambda:invoke",
    ),
}
THEIRS: dict[str, Plant] = {
    "a type that is none": task(Type="Tasks"),
    "no such state to go to": task(Next="LoadsVerdict"),
    "nowhere to go": lambda states: states["Load"].pop("Next"),
    "a field of the other query language": task(ResultPath="$.load"),
    "a field that is none": task(TimeoutSecond=840),
    "a time-out that is no number": task(TimeoutSeconds="soon"),
    "no resource": lambda states: states["Load"].pop("Resource"),
    "a negative wait": retrier(0, IntervalSeconds=-1),
    "a retrier of nothing": lambda states: states["Load"]["Retry"][0].pop("ErrorEquals"),
    "a choice without choices": lambda states: states["LoadVerdict"].pop("Choices"),
    "a broken expression": choice("{% $states.input.load.outcome = %}"),
}


def planted(plant: Plant) -> dict[str, Any]:
    """Return the module's state machine with a fault in it."""
    machine = copy.deepcopy(rendered())
    plant(machine["States"])
    return machine


def test_the_state_machine_has_none_of_the_faults() -> None:
    assert list(faults(rendered())) == []


@pytest.mark.parametrize("fault", OURS)
def test_a_fault_that_is_planted_is_found(fault: str) -> None:
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
def test_what_is_allowed_is_no_fault(expression: str) -> None:
    assert list(faults(planted(task(Output=expression)))) == []


def validate(machines: Mapping[str, Any], folder: Path) -> tuple[int, dict[str, bool]]:
    """Return asl-validator's exit status, and of each machine whether it is valid.

    Without --json-path it prints its help and exits with 0, so what it says counts too.
    """
    paths = {name: folder / f"{number}.json" for number, name in enumerate(machines)}
    for name, path in paths.items():
        path.write_text(json.dumps(machines[name]), "utf-8")
    command = Path(os.environ[NPM]) / "node_modules" / ".bin" / "asl-validator"
    arguments = [each for path in paths.values() for each in ("--json-path", path)]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    said = f"{done.stdout}\n{done.stderr}"
    valid = {
        name: match[1] == "valid"
        for name, path in paths.items()
        for match in re.finditer(rf'definition "{re.escape(str(path))}" is (valid|invalid)', said)
    }
    assert valid.keys() == machines.keys(), said
    return done.returncode, valid


@pytest.mark.npm
def test_npm_s_validator_finds_nothing(tmp_path: Path) -> None:
    assert validate({"ours": rendered()}, tmp_path) == (0, {"ours": True})


@pytest.mark.npm
def test_npm_s_validator_finds_what_is_planted(tmp_path: Path) -> None:
    found = validate({fault: planted(plant) for fault, plant in THEIRS.items()}, tmp_path)

    assert found == (1, dict.fromkeys(THEIRS, False))


@pytest.mark.npm
def test_what_npm_s_validator_misses_is_ours_to_find(tmp_path: Path) -> None:
    """When a newer release finds one of them, ours may go."""
    found = validate({fault: planted(plant) for fault, (plant, _) in OURS.items()}, tmp_path)

    assert found == (0, dict.fromkeys(OURS, True))
