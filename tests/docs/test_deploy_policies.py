"""The IAM policies for deploying and operating contain every needed action, and only real ones."""

import fnmatch
import json
import re
from itertools import chain
from typing import Any

import pytest

from docs import deploy_policies
from docs.deploy_policies import TABLE

POLICIES = {path.name: path.read_text("utf-8") for path in deploy_policies.FOLDER.glob("*.json")}
STATEMENTS: list[dict[str, Any]] = [
    statement for text in POLICIES.values() for statement in json.loads(text)["Statement"]
]

# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html
# and list_awsidentityandaccessmanagementiam.html, column "Condition keys".
CONDITION_KEYS = {
    "iam:AWSServiceName": {"iam:CreateServiceLinkedRole"},
    "iam:PassedToService": {"iam:PassRole"},
    "kms:GrantIsForAWSResource": {"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"},
    "kms:ViaService": {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:RetireGrant"},
}
"""The actions in the policies that support each condition key."""


def test_policies_are_current() -> None:
    assert deploy_policies.policies() == POLICIES, "run `make docs`"


def test_every_resource_type_has_actions() -> None:
    folders = [deploy_policies.MODULE, *(deploy_policies.MODULE / "examples").iterdir()]
    types = set().union(*map(deploy_policies.types, folders))

    assert len(types) > 50
    assert deploy_policies.actions_of(types)


def test_policies_in_the_page_are_valid() -> None:
    text = (deploy_policies.ROOT / "docs" / "deploy.md").read_text("utf-8")
    blocks = re.findall(r"^ *```json\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    found = [each for block in blocks for each in json.loads(block)["Statement"]]
    actions = set(re.findall(r'"(\w+:[A-Z]\w+)"', "".join(blocks)))

    assert len(found) == 4
    assert actions >= {"s3:PutObject", "sts:AssumeRoleWithWebIdentity"}
    assert {each for each in actions if not deploy_policies.exists(each)} == set()


def test_resource_type_without_an_entry_is_an_error() -> None:
    with pytest.raises(ValueError, match="no schema for aws_sqs_queue"):
        deploy_policies.actions_of({"aws_vpc", "aws_sqs_queue"})


def test_every_action_exists_in_iam() -> None:
    written = {action for each in STATEMENTS for action in each["Action"]}
    tables = chain(TABLE["provider"], TABLE["special"], TABLE["others"])
    listed = {action for each in tables for action in each["actions"]}

    assert {each for each in written | listed if not deploy_policies.exists(each)} == set()
    assert not deploy_policies.exists("s3:PutBucketReplication")


def test_every_exclusion_matches_an_action_and_has_a_reason() -> None:
    # A pattern that matches nothing may be misspelt.
    named = set().union(*map(deploy_policies._handled, TABLE["schemas"].values()))
    patterns = [pattern for each in TABLE["unused"] for pattern in each["actions"]]

    assert [each for each in patterns if not fnmatch.filter(named, each)] == []
    assert all(each["reason"] for kind in ("provider", "unused", "special") for each in TABLE[kind])


@pytest.mark.parametrize("name", POLICIES)
def test_policy_fits_a_managed_policy(name: str) -> None:
    size = deploy_policies.size(json.loads(POLICIES[name])["Statement"])
    assert size <= deploy_policies.MANAGED_POLICY_CHARACTERS


def test_named_resources_are_limited_to_the_stack() -> None:
    nameless = {"apigateway", "ec2", "events", "execute-api", "iam", "kms", "rds", "secretsmanager"}
    wide = {
        (arn.split(":")[2], arn)
        for each in STATEMENTS
        for arn in each["Resource"]
        if arn != "*" and TABLE["name"] not in arn
    }

    assert {service for service, _ in wide} <= nameless
    assert ("rds", "arn:aws:rds:*:*:*:default*") in wide


def test_only_unscopable_actions_are_allowed_on_all_resources() -> None:
    found = {action for each in STATEMENTS if "*" in each["Resource"] for action in each["Action"]}
    writes = {each for each in found if not re.match(r"[\w-]+:(Describe|Get|List|Test)", each)}

    assert {each for each in writes if not each.startswith(("ec2:", "wafv2:"))} == {
        "cloudwatch:PutCompositeAlarm",
        "kms:CreateKey",
        "states:ValidateStateMachineDefinition",
    }


def test_every_action_supports_the_condition_keys_of_its_statement() -> None:
    """A statement with an unsupported condition key never allows the action."""
    found = {
        (key, action)
        for each in STATEMENTS
        for keys in each.get("Condition", {}).values()
        for key in keys
        for action in each["Action"]
    }

    assert {key for key, _ in found} == CONDITION_KEYS.keys()
    assert {(key, each) for key, each in found if each not in CONDITION_KEYS[key]} == set()


def test_roles_are_passed_only_to_functions_and_state_machine() -> None:
    [passing] = [each for each in STATEMENTS if "iam:PassRole" in each["Action"]]

    assert passing["Resource"] == ["arn:aws:iam::*:role/tm-pipeline*"]
    assert passing["Condition"]["StringEquals"] == {
        "iam:PassedToService": ["lambda.amazonaws.com", "states.amazonaws.com"]
    }
