"""Tests of every policy of the module with parliament, with and without a KMS key."""

import copy
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from tests.programs import run
from tests.terraform.policies import documents
from tests.terraform.test_permissions import ACCOUNT, REGION, STACKS, planned

pytestmark = pytest.mark.security

KEY = "kms_key_arn"
LISTED = tomllib.loads(Path(__file__).with_name("policies.toml").read_text())["known"]
# parliament ignores statements without a resource. These policies get the ARN of their resource.
RESOURCE_ARNS = {
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role/mock",
    "aws_ecr_repository_policy": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/mock",
    "aws_lambda_permission": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mock",
}


@dataclass(frozen=True)
class Finding:
    """A problem with some actions of a policy, given by its address."""

    issue: str
    policy: str
    actions: frozenset[str]


def lint(policies: Mapping[tuple[str, str], Any], folder: Path) -> set[Finding]:
    """Return parliament's findings in policies, given by address and stack."""
    names = {folder / f"{number}.json": address for number, (address, _) in enumerate(policies)}
    for path, policy in zip(names, policies.values(), strict=True):
        path.write_text(json.dumps(policy))
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}  # warnings about parliament's own code
    done = run(os.environ["TM_TEST_PARLIAMENT"], "--directory", folder, "--json", env=quiet)
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
def policies(
    planner: terraform.Terraform, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Any]:
    """Return every policy by address and stack."""
    key = STACKS["created"][KEY]
    stacks = {
        f"{name}, {KEY} = {chosen}": {**variables, KEY: chosen}
        for name, variables in STACKS.items()
        for chosen in (key, None)
    }
    found = {}
    plans = planned(stacks, tmp_path_factory.mktemp("checkout"), planner)
    for stack, plan in plans.items():
        for address, document in documents(plan):
            if arn := RESOURCE_ARNS.get(address.partition(".")[0]):
                for statement in document["Statement"]:
                    statement["Resource"] = arn
            found[address, stack] = document
    return found


def test_findings_equal_the_listed_ones(
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
    """Return a change of the first statement."""
    return lambda document: document["Statement"][0].update(changes)


# For each kind of policy, a planted error, and parliament's name of it.
ERRORS: dict[str, tuple[Plant, str]] = {
    ROLE: (first(Resource=["arn:aws:dynamodb:table/x"]), "INVALID_ARN"),
    TRUST: (first(Action="sts:AssumeRoles"), "UNKNOWN_ACTION"),
    BUCKET: (first(Principal={"AWS": "everybody"}), "UNKNOWN_PRINCIPAL"),
    REPOSITORY: (first(Action=["ecs-r:BatchGetImage"]), "UNKNOWN_PREFIX"),
    PERMISSION: (first(Condition={"ArnLike": {"aws:SourceArn": "landing"}}), "MISMATCHED_TYPE"),
    ENDPOINT: (lambda document: document.update(Version="2012-10-18"), "INVALID_VERSION"),
    TOPIC: (first(Sid="TLS only"), "INVALID_SID"),
}


@pytest.fixture(scope="module")
def planted(
    policies: dict[tuple[str, str], Any], tmp_path_factory: pytest.TempPathFactory
) -> set[Finding]:
    """Return parliament's findings in copies of policies with one planted error each."""
    bad = {}
    for address, (plant, _) in ERRORS.items():
        policy = next(each for (where, _), each in policies.items() if where == address)
        bad[address, ""] = copy.deepcopy(policy)
        plant(bad[address, ""])
    return lint(bad, tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("address", ERRORS)
def test_parliament_finds_planted_error(address: str, planted: set[Finding]) -> None:
    """The unchanged policies have no findings (see the test above)."""
    assert ERRORS[address][1] in {each.issue for each in planted if each.policy == address}
    assert address not in {policy for each in LISTED for policy in each["policies"]}
