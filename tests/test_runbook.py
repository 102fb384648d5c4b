"""The runbook has a section on each kind of alert and alarm, and its commands are valid."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from cli import doctor
from shared.endings import Kind
from shared.telemetry import KEEP_ACTIVE
from tests.checkout import FUNCTIONS
from tests.commands import in_line, parse_tm
from tests.fixtures.laptop import Laptop

RUNBOOK = Path(__file__).parent.parent.joinpath("docs", "runbook.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", RUNBOOK, flags=re.MULTILINE | re.DOTALL))
TM = in_line(RUNBOOK, "tm")
AWS = in_line(RUNBOOK, "aws")


def sections(kind: str) -> list[str]:
    return [title.removeprefix(f"{kind}: ") for title in SECTIONS if title.startswith(f"{kind}: ")]


def test_runbook_has_one_section_per_kind_of_alert() -> None:
    assert sections("Alert") == list(Kind)


def test_runbook_has_one_section_per_alarm(laptop: Laptop) -> None:
    prefix = f"{laptop.stack.outputs['name']}-"
    paginator = laptop.aws.client("cloudwatch").get_paginator("describe_alarms")
    pages = paginator.paginate(AlarmNamePrefix=prefix, AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    named = {
        alarm["AlarmName"].removeprefix(prefix): alarm["AlarmDescription"]
        for page in pages
        for alarm in page["CompositeAlarms"] + page["MetricAlarms"]
    }
    # A section has the name of its alarm, or the common prefix of several alarms.
    linked = {
        name: description.rpartition("See docs/runbook.md, Alarm: ")[2].removesuffix(".")
        for name, description in named.items()
    }

    assert all(
        name == section or name.startswith(f"{section}-") for name, section in linked.items()
    )
    assert set(linked.values()) == set(sections("Alarm"))


@pytest.mark.parametrize("title", SECTIONS)
def test_runbook_section_has_every_point(title: str) -> None:
    points = re.findall(r"^- \*\*(.+?)\*\*: \S", SECTIONS[title], re.MULTILINE)
    assert points == ["Means", "Left unchanged", "Look at", "Put right", "Escalate"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the files in the commands."""
    monkeypatch.chdir(tmp_path)
    for name in ("FILE", "rejects.csv"):
        (tmp_path / name).touch()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", TM)
def test_runbook_tm_command_is_valid(command: str) -> None:
    parse_tm(shlex.split(command)[1:])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "command", ["tm stats", "tm status --wacht", "tm replay", "tm drop FILE --date today"]
)
def test_invalid_tm_command_is_found(command: str) -> None:
    with pytest.raises(typer.TyperException):
        parse_tm(shlex.split(command)[1:])


@pytest.mark.parametrize("command", AWS)
def test_runbook_aws_command_is_valid(command: str) -> None:
    if wake := re.fullmatch(r"aws lambda invoke --function-name tm-pipeline-(\w+) (.+)", command):
        options = "--cli-binary-format raw-in-base64-out --payload"
        assert wake[1] in FUNCTIONS
        assert wake[2] == f"{options} '{json.dumps(KEEP_ACTIVE)}' /dev/stdout"
        return
    tail = re.fullmatch(r"aws logs tail /aws/lambda/tm-pipeline-(\w+) --since 1h( .*)?", command)
    assert tail is not None
    assert tail[1] in FUNCTIONS
    assert tail[2] in {None, " --filter-pattern ERROR", " --filter-pattern '\"ID\"'"}


def test_runbook_names_existing_lines_of_doctor() -> None:
    named = set()
    for lines in re.findall(r"lines? ((?:`[a-z ]+`(?:, | and )?)+)", " ".join(RUNBOOK.split())):
        named |= set(re.findall(r"`([a-z ]+)`", lines))
    assert named
    assert named <= doctor.CHECKS.keys()
