"""docs/runbook.md has a section for each alert and alarm, and its commands exist."""

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


def test_runbook_has_one_section_per_alert_kind() -> None:
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
    sections_of = {
        name: description.rpartition("See docs/runbook.md, Alarm: ")[2].removesuffix(".")
        for name, description in named.items()
    }

    assert all(name == section or name.startswith(f"{section}-") for name, section in sections_of.items())
    assert set(sections_of.values()) == set(sections("Alarm"))


@pytest.mark.parametrize("title", SECTIONS)
def test_section_has_five_points(title: str) -> None:
    points = re.findall(r"^- \*\*(.+?)\*\*: \S", SECTIONS[title], re.MULTILINE)
    assert points == ["Meaning", "Data", "Check", "Fix", "Escalate"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the files that the commands name."""
    monkeypatch.chdir(tmp_path)
    for name in ("FILE", "rejects.csv"):
        (tmp_path / name).touch()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", TM)
def test_tm_command_parses(command: str) -> None:
    parse_tm(shlex.split(command)[1:])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "command", ["tm stats", "tm status --wacht", "tm replay", "tm drop FILE --date today"]
)
def test_invalid_tm_command_is_detected(command: str) -> None:
    with pytest.raises(typer.TyperException):
        parse_tm(shlex.split(command)[1:])


@pytest.mark.parametrize("command", AWS)
def test_aws_command_reads_a_log_or_invokes_a_function(command: str) -> None:
    if wake := re.fullmatch(r"aws lambda invoke --function-name tm-pipeline-(\w+) (.+)", command):
        options = "--cli-binary-format raw-in-base64-out --payload"
        assert wake[1] in FUNCTIONS
        assert wake[2] == f"{options} '{json.dumps(KEEP_ACTIVE)}' /dev/stdout"
        return
    tail = re.fullmatch(r"aws logs tail /aws/lambda/tm-pipeline-(\w+) --since 1h( .*)?", command)
    assert tail is not None
    assert tail[1] in FUNCTIONS
    assert tail[2] in {None, " --filter-pattern ERROR", " --filter-pattern '\"ID\"'"}


def test_doctor_lines_exist() -> None:
    named = set()
    for lines in re.findall(r"lines? ((?:`[a-z ]+`(?:, | and )?)+)", " ".join(RUNBOOK.split())):
        named |= set(re.findall(r"`([a-z ]+)`", lines))
    assert named
    assert named <= doctor.CHECKS.keys()
