"""Test of the example `complete`, with its network and Aurora database."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.version import VERSION
from tests.fixtures.sandbox import Sandbox
from tests.terraform.emulation import AURORA_DRIFTS, DRIFTS, FIRST_TAGS, check_settings, without_key
from tests.terraform.example import AT, Example
from tests.terraform.leftovers import leftovers

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]


NOT_THERE = {
    "API key",  # callers sign their requests
    "API usage plan",
    "database snapshot",
    "log backup",
    "network interface",  # the emulator makes none
    "resource",
    "secret",  # the emulator's RDS does not tag it
}
"""Kinds of leftovers that a running stack does not have."""


def test_complete(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox.make_database()
    example = Example("complete", tmp_path, sandbox)

    stack = example.apply({"manage_lifecycle_rules": True}, alert_emails=["data-team@example.com"])

    # The emulator requires no confirmation.
    assert stack["alert_subscriptions_pending"] == []
    example.check_inventory()
    check_zones(sandbox, stack["name"])
    check_functions(sandbox, stack, monkeypatch)
    halted = example.drop(f"ned,{AT},1.5,wall", f",{AT},2,wall")
    assert halted.returncode == 1
    assert "user is missing" in halted.stdout
    assert sandbox.query("SELECT count(*) FROM daily_checkins") == [[0]]
    example.check_at_work(stack)
    check_doctor(example)
    check_smoke(example)
    assert example.root.drifts() == DRIFTS | AURORA_DRIFTS
    check_a_new_version(example)

    check_what_is_left(example, stack["name"], capsys, monkeypatch)


def check_doctor(example: Example) -> None:
    """Check that docs/policies/operate.json allows all checks of the doctor."""
    done = example.tm("doctor", "--json")
    found = json.loads(done.stdout)

    assert len(found) > 5, done.stderr
    assert [each for each in found if "let your identity" in (each["todo"] or "")] == []


def check_smoke(example: Example) -> None:
    """Check that docs/policies/operate.json allows all steps of the smoke test."""
    done = example.tm("smoke", "--json")

    found = {each["step"]: each["verdict"] for each in json.loads(done.stdout)}
    assert {"log", "rejects", "table", "alert", "replay", "refused", "clean-up"} <= found.keys()
    # The emulator's API does not have the URL of the module's output.
    unreachable = {"lookup", "API's log"}
    assert {
        step
        for step, verdict in found.items()
        if verdict == "wrong" and not step.startswith("doctor:")
    } == unreachable, done.stdout


def check_a_new_version(example: Example) -> None:
    """Check that a new version updates tags in place, and replaces only resources of the images.

    docs/policies must allow the deploying user to do so.
    """
    file = example.checkout / "shared" / "version.py"
    file.write_text(file.read_text().replace(f'VERSION = "{VERSION}"', 'VERSION = "99.0.0"'))

    changes = example.root.changes()

    emulated = {
        address
        for address, found in (DRIFTS | AURORA_DRIFTS).items()
        if found & {"create", "delete"}
    }
    replaced = {without_key(each) for each in changes if each["change"]["actions"] != ["update"]}
    assert replaced - emulated == {
        "aws_ecr_lifecycle_policy.function",  # it contains the tag of the deployed image
        "aws_lambda_invocation.migrate",
        "terraform_data.image",
        "terraform_data.prerequisites",
    }
    tags = [after["tags"] for each in changes if "tags" in (after := each["change"]["after"])]
    assert len(tags) > 50
    assert {each["Version"] for each in tags} == {"99.0.0"}

    example.root.apply()
    drifts = example.root.drifts()
    assert {address for address, found in drifts.items() if "tags" in found} == FIRST_TAGS


def check_what_is_left(
    example: Example, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that leftovers.py finds a running stack, and only the key of a destroyed one."""
    kinds = {kind: find for kind, find in leftovers.KINDS.items() if kind != "database backup"}
    monkeypatch.setattr(leftovers, "KINDS", kinds)  # not supported by the emulator

    there = leftovers.look(example.auditor, name)
    assert {kind for kind, _ in leftovers.unexpected(there, name)} == kinds.keys() - NOT_THERE

    example.take_down()

    assert leftovers.tell(leftovers.look(example.auditor, name), name) == 0
    assert re.match(r"expected   key \S+ PendingDeletion: the example's", capsys.readouterr().out)


def check_zones(sandbox: Sandbox, name: str) -> None:
    """Check that every zone has a subnet, except the one that network.tf excludes."""
    ec2 = sandbox.aws.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]

    assert {
        each["AvailabilityZone"] for each in ec2.describe_subnets(Filters=inside)["Subnets"]
    } == {each["ZoneName"] for each in zones if each["ZoneId"] != "use1-az3"}


def check_functions(
    sandbox: Sandbox, stack: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sandbox.aws.client("lambda")
    found = {
        function: client.get_function_configuration(FunctionName=name)
        for function, name in stack["function_names"].items()
    }

    networked = {name for name, each in found.items() if each.get("VpcConfig", {}).get("SubnetIds")}
    assert networked == {"api", "load"}
    check_settings(
        {name: each["Environment"]["Variables"] for name, each in found.items()}, monkeypatch
    )
