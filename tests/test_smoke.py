"""Tests of `tm smoke` on the laptop cloud, intact and broken."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from cli import doctor, smoke
from cli.health.finding import Verdict, wrong
from cli.stack import Stack
from shared import odcs
from tests.fixtures.operator import tm
from tests.fixtures.pipeline import Pipeline

PASSED = [
    *("doctor", "drop", "log", "rejects", "table", "API's log", "lookup", "alert", "replay"),
    *("drop", "refused", "refused: alert", "clean-up", "clean-up"),
]


@pytest.fixture(autouse=True)
def without_checks_of_files(operator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the checks of `tm doctor` that other tests of this session may have affected."""
    checks = {name: each for name, each in doctor.CHECKS.items() if name not in smoke._ABOUT_FILES}
    monkeypatch.setattr(doctor, "CHECKS", checks)


@pytest.fixture(autouse=True)
def nothing_is_left(pipeline: Pipeline) -> Iterator[None]:
    yield
    bucket = pipeline.outputs["landing_bucket"]
    versions = pipeline.laptop.aws.client("s3").get_paginator("list_object_versions")
    keys = [v["Key"] for p in versions.paginate(Bucket=bucket) for v in p.get("Versions", ())]
    assert not [key for key in keys if "tm-smoke-" in key]
    assert pipeline.query("SELECT 1 FROM source WHERE source_key LIKE '%tm-smoke-%'") == []


def run(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run `tm smoke`; return its exit status and the steps by name."""
    result = tm("smoke", "--json", *arguments)
    assert not result.stderr
    return result.exit_code, {each["step"]: each for each in json.loads(result.stdout)}


def failed(steps: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, step in steps.items() if step["verdict"] == Verdict.WRONG}


@contextlib.contextmanager
def variable(pipeline: Pipeline, function: str, name: str, value: str) -> Iterator[None]:
    """Set an environment variable of a function during the block."""
    client, deployed = pipeline.laptop.aws.client("lambda"), pipeline.outputs["function_names"]
    configuration = client.get_function_configuration(FunctionName=deployed[function])
    before = configuration["Environment"]["Variables"]

    def put(variables: dict[str, str]) -> None:
        client.update_function_configuration(
            FunctionName=deployed[function], Environment={"Variables": variables}
        )

    put(before | {name: value})
    yield
    put(before)


def test_smoke_passes_on_laptop_cloud(pipeline: Pipeline) -> None:
    result = tm("smoke")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.stdout + result.stderr
    assert {line[0] for line in lines} == {"✓"}
    assert [line[2:24].strip() for line in lines] == PASSED
    assert "load/success: 231 read, 220 loaded, 11 rejected" in lines[2]
    items = [item for item in pipeline.log.of_day(smoke.DAY) if "tm-smoke-" in item["sourceKey"]]
    assert items
    assert all("removedAt" in item for item in items)


def test_smoke_without_lookup_and_tap_passes() -> None:
    """Without a tap, as on AWS, the log is the only source for alerts."""
    steps: list[smoke.Step] = []
    stack = replace(Stack.open(None), tap=None)

    smoke.Smoke(stack, odcs.load_all()["projectbudgets"], steps.append).run()

    found = {step.name: step for step in steps}
    # Without a tap, the database does not look like the laptop cloud's own.
    expected = {"doctor: privileges"}
    assert [step.name for step in steps if step.name not in expected] == PASSED
    assert {s.name for s in steps if s.verdict is not Verdict.OK} == {"lookup", *expected}
    assert found["lookup"].found.startswith("not checked")
    assert found["alert"].found == "sent: Loaded With Rejects"


@pytest.mark.deep
def test_smoke_expects_halt_with_hard_testing(pipeline: Pipeline) -> None:
    with variable(pipeline, "test", "HARD_TESTING", "true"):
        status, steps = run()

    assert not failed(steps)
    assert status == 0
    assert steps["log"]["found"] == "test/fail: 231 read, 11 rejected"
    assert steps["table"]["found"] == "0 rows"
    assert steps["alert"]["found"] == "sent: Failed Tests"


@pytest.mark.deep
def test_smoke_expects_no_suppressed_alert(pipeline: Pipeline) -> None:
    with variable(pipeline, "alert", "ALERT_ON", "failures"):
        status, steps = run()

    assert (status, failed(steps)) == (0, set())
    assert steps["alert"]["found"] == "none, because alert_on excludes this outcome"


@pytest.mark.deep
def test_smoke_reports_lost_alert_and_unreadable_rows(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "_ALERT_WITHIN", 3)
    events, rule = pipeline.laptop.aws.client("events"), "tm-pipeline-execution-ended"
    events.disable_rule(Name=rule)
    pipeline.query("REVOKE SELECT ON daily_checkins FROM reader")
    try:
        status, steps = run()
    finally:
        pipeline.query("GRANT SELECT ON daily_checkins TO reader")
        events.enable_rule(Name=rule)

    assert status == 1
    assert failed(steps) == {"doctor: events", "lookup", "alert", "refused: alert"}
    assert steps["alert"]["expected"] == "sent: Loaded With Rejects"
    assert steps["alert"]["found"] == "none within 3 s"
    assert steps["lookup"]["found"].startswith("The lookup API answered 500")
    assert all(steps[name]["todo"] for name in failed(steps))


@pytest.mark.deep
def test_smoke_names_command_for_file_it_cannot_remove(pipeline: Pipeline) -> None:
    pipeline.query("REVOKE DELETE ON source FROM loader")
    try:
        status, steps = run()
    finally:
        pipeline.query("GRANT DELETE ON source TO loader")

    assert (status, failed(steps)) == (1, {"clean-up"})
    assert "permission denied for table source" in steps["clean-up"]["found"]
    left = [item["sourceKey"] for item in pipeline.log.of_day(smoke.DAY) if "removedAt" not in item]
    assert len(left) == 2
    assert steps["clean-up"]["todo"] in {f"`tm remove {key}`" for key in left}
    for key in left:
        assert tm("remove", key, "--yes").exit_code == 0


def test_smoke_removes_files_when_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke.Smoke, "_rejected", mock.Mock(side_effect=KeyboardInterrupt))
    status, steps = run()

    assert status == 130
    assert list(steps) == ["doctor", "drop", "log", "clean-up"]
    assert not failed(steps)


def test_smoke_uploads_nothing_without_prerequisites(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"credentials": lambda _: [wrong("the token is over", "log in")]}
    monkeypatch.setattr(doctor, "CHECKS", refused)

    status, steps = run()

    assert status == 1
    assert list(steps) == ["doctor: credentials"]
    assert steps["doctor: credentials"]["todo"] == "log in"


def test_smoke_ignores_doctor_findings_about_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smoke test sets off an alarm for an hour, and the next smoke test must pass too."""
    alarm = {"alarms": lambda _: [wrong("executions-failed is on", "see the runbook")]}
    monkeypatch.setattr(doctor, "CHECKS", alarm)
    monkeypatch.setattr(smoke.Smoke, "_test_accepted_file", lambda _: None)
    monkeypatch.setattr(smoke.Smoke, "_test_refused_file", lambda _: None)

    status, steps = run()

    assert status == 0
    assert steps["doctor: alarms"]["verdict"] == Verdict.WARNING
