"""parliament over every policy that the module can make, with a key of the user's and without."""

import copy
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.policies import documents
from tests.terraform.test_permissions import ACCOUNT, REGION, STACKS, planned

pytestmark = pytest.mark.security

KEY = "kms_key_arn"
LISTED = tomllib.loads(Path(__file__).with_name("policies.toml").read_text())["known"]
# parliament does not look into a statement without a resource. These stand on theirs.
STANDS_ON = {
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role/mock",
    "aws_ecr_repository_policy": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/mock",
    "aws_lambda_permission": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mock",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong with some actions of the policy at an address."""

    issue: str
    policy: str
    actions: frozenset[str]


def lint(policies: Mapping[tuple[str, str], Any], folder: Path) -> set[Finding]:
    """Return what parliament finds in policies, which are by address and stack."""
    names = {folder / f"{number}.json": address for number, (address, _) in enumerate(policies)}
    for path, policy in zip(names, policies.values(), strict=True):
        path.write_text(json.dumps(policy))
    done = subprocess.run(
        [os.environ["TM_TEST_PARLIAMENT"], "--directory", folder, "--json"],
        env=os.environ | {"PYTHONWARNINGS": "ignore"},  # of its own syntax
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (int(bool(found)), "")
    return {
        Finding(
            each["issue"],
            names[Path(each["location"]["filepath"])],
            frozenset(re.findall(r"\b[a-z0-9-]+:[A-Z]\w+", str(each["detail"]))),
        )
        for each in found
    }


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """Every policy of every stack, by its address and the stack's name."""
    key = STACKS["created"][KEY]
    stacks = {
        f"{name}, {KEY} = {chosen}": {**variables, KEY: chosen}
        for name, variables in STACKS.items()
        for chosen in (key, None)
    }
    found = {}
    for stack, plan in planned(stacks, tmp_path_factory.mktemp("checkout")).items():
        for address, document in documents(plan):
            if on := STANDS_ON.get(address.partition(".")[0]):
                for statement in document["Statement"]:
                    statement["Resource"] = on
            found[address, stack] = document
    return found


def test_every_finding_is_listed_and_occurs(
    policies: dict[tuple[str, str], Any], tmp_path: Path
) -> None:
    known = {
        Finding(each["issue"], policy, frozenset(each["actions"]))
        for each in LISTED
        for policy in each["policies"]
    }

    assert all(each["reason"] for each in LISTED)
    assert lint(policies, tmp_path) == known


Plant = Callable[[dict[str, Any]], Any]
ROLE = 'aws_iam_role_policy.function["trigger"]'
TRUST = 'aws_iam_role.function["trigger"]'
BUCKET = 'aws_s3_bucket_policy.this["landing"]'
REPOSITORY = 'aws_ecr_repository_policy.function["trigger"]'
PERMISSION = "aws_lambda_permission.trigger"
ENDPOINT = 'aws_vpc_endpoint.gateway["s3"]'
TOPIC = "aws_sns_topic_policy.alerts"


def first(**changes: Any) -> Plant:
    """Change the first statement."""
    return lambda document: document["Statement"][0].update(changes)


# What is planted where, and what parliament calls it.
FAULTS: dict[str, tuple[str, Plant, str]] = {
    "no version": (ROLE, lambda document: document.pop("Version"), "NO_VERSION"),
    "an old version": (ROLE, lambda document: document.update(Version="2008-10-17"), "OLD_VERSION"),
    "a version that is none": (
        ENDPOINT,
        lambda d: d.update(Version="2012-10-18"),
        "INVALID_VERSION",
    ),
    "an unknown action": (ROLE, first(Action=["dynamodb:GetItems"]), "UNKNOWN_ACTION"),
    "an unknown action in a trust": (TRUST, first(Action="sts:AssumeRoles"), "UNKNOWN_ACTION"),
    "an unknown action of a function": (
        PERMISSION,
        first(Action="lambda:Invoke"),
        "UNKNOWN_ACTION",
    ),
    "an unknown service": (REPOSITORY, first(Action=["ecs-r:BatchGetImage"]), "UNKNOWN_PREFIX"),
    "a resource of another type": (
        ROLE,
        first(Action=["s3:GetObject"], Resource=["arn:aws:s3:::landing"]),
        "RESOURCE_MISMATCH",
    ),
    "an ARN with a part too few": (
        ROLE,
        first(Resource=["arn:aws:dynamodb:table/x"]),
        "INVALID_ARN",
    ),
    "an ARN of no region": (
        ROLE,
        first(Resource=[f"arn:aws:dynamodb:nowhere:{ACCOUNT}:table/x"]),
        "INVALID_ARN",
    ),
    "an account that is none": (
        BUCKET,
        first(Resource=["arn:aws:s3::12345:landing"]),
        "INVALID_ARN",
    ),
    "a condition that the action does not know": (
        ROLE,
        first(Condition={"StringEquals": {"s3:prefix": "x"}}),
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
    "a global key misspelt": (
        TRUST,
        first(Condition={"StringEquals": {"aws:SourceAcount": ACCOUNT}}),
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
    "an operator that is none": (
        TOPIC,
        first(Condition={"ArnIs": {"aws:SourceArn": f"arn:aws:s3:{REGION}:{ACCOUNT}:x"}}),
        "UNKNOWN_OPERATOR",
    ),
    "a value of another type": (
        PERMISSION,
        first(Condition={"ArnLike": {"aws:SourceArn": "landing"}}),
        "MISMATCHED_TYPE",
    ),
    "a name that is none": (TOPIC, first(Sid="TLS only"), "INVALID_SID"),
    "a principal that is none": (
        BUCKET,
        first(Principal={"AWS": "everybody"}),
        "UNKNOWN_PRINCIPAL",
    ),
    "an effect that is none": (ENDPOINT, first(Effect="allow"), "MALFORMED"),
}


@pytest.fixture(scope="module")
def planted(
    policies: dict[tuple[str, str], Any], tmp_path_factory: pytest.TempPathFactory
) -> set[Finding]:
    """What parliament finds where a fault is, each in a policy of its own."""
    bad = {}
    for fault, (address, plant, _) in FAULTS.items():
        policy = next(each for (where, _), each in policies.items() if where == address)
        bad[fault, ""] = copy.deepcopy(policy)
        plant(bad[fault, ""])
    return lint(bad, tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_planted_is_found(fault: str, planted: set[Finding]) -> None:
    """The policies that they are planted in are without findings, as the first test shows."""
    assert FAULTS[fault][2] in {each.issue for each in planted if each.policy == fault}
    assert FAULTS[fault][0] not in {policy for each in LISTED for policy in each["policies"]}
