"""Tests of the module's policies: permissions.toml lists every wildcard with its reason."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import Any

import pytest
from ministack.core import iam_evaluator as iam

from local import terraform
from tests.terraform.emulation import checkout
from tests.terraform.policies import Statement, of_plan, too_much, wild
from tests.terraform.test_module import (
    CERTIFICATE,
    IAM,
    KEY_ARN,
    SECRET,
    VPC,
    ZIP,
    errors,
    plans_of,
)

pytestmark = pytest.mark.programs

ACCOUNT, REGION, OTHER = "123456789012", "eu-central-1", "210987654321"
BUCKET = {"name": "landing", "prefixes": ["in/"]}
LISTED = tomllib.loads(Path(__file__).with_name("permissions.toml").read_text())
# Together these plan every policy of the module.
STACKS: dict[str, dict[str, Any]] = {
    "created": {"kms_key_arn": KEY_ARN, "database_ca_bundle": CERTIFICATE},
    "given, with iam, in a network": {
        "function_zip": ZIP,
        "kms_key_arn": KEY_ARN,
        "database_ca_bundle": CERTIFICATE,
        "database": IAM | {"vpc": VPC},
    },
    # The laptop cloud.
    "given, with secrets": {"function_zip": ZIP, "database": SECRET},
    "with a bucket": {"function_zip": ZIP, "database": SECRET, "landing_bucket": BUCKET},
    "with a bucket of another account": {
        "function_zip": ZIP,
        "database": SECRET,
        "landing_bucket": BUCKET | {"account_id": OTHER},
    },
}


def planned(
    stacks: Mapping[str, Mapping[str, Any]], folder: Path, tool: terraform.Terraform
) -> dict[str, Any]:
    """Return the plan of each stack with mocked AWS resources; `folder` must be empty."""
    module = checkout(folder / "checkout") / "terraform"
    tool.run("init", "-backend=false", folder=module)
    runs = {f"stack_{number}": variables for number, variables in enumerate(stacks.values())}
    output = plans_of(tool, module, runs, "./tests/mocks", "plan")
    assert errors(output) == {}
    found = {line["@testrun"]: line["test_plan"] for line in output if line["type"] == "test_plan"}
    return {stack: found[run] for stack, run in zip(stacks, runs, strict=True)}


@pytest.fixture(scope="module")
def plans(
    planner: terraform.Terraform, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Statement]]:
    found = planned(STACKS, tmp_path_factory.mktemp("checkout"), planner)
    return {stack: of_plan(plan) for stack, plan in found.items()}


@pytest.fixture(scope="module")
def statements(plans: dict[str, list[Statement]]) -> list[Statement]:
    return [statement for plan in plans.values() for statement in plan]


def pairs(entries: Iterable[dict[str, list[str]]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        assert entry["reason"]
        yield from product(entry["actions"], entry["resources"])


def of_roles(statements: Iterable[Statement]) -> Iterator[Statement]:
    return (each for each in statements if each.where.startswith("aws_iam_role_policy."))


def test_statements_cover_every_policy(statements: list[Statement]) -> None:
    assert {each.where.partition("[")[0] for each in statements} == {
        "aws_ecr_repository_policy.function",
        "aws_iam_role.function",
        "aws_iam_role.state_machine",
        "aws_iam_role_policy.function",
        "aws_iam_role_policy.state_machine",
        "aws_lambda_permission.alert",
        "aws_lambda_permission.api",
        "aws_lambda_permission.keep_active",
        "aws_lambda_permission.next",
        "aws_lambda_permission.trigger",
        "aws_lambda_permission.watch",
        "aws_s3_bucket_policy.this",
        "aws_sns_topic_policy.alerts",
        "aws_vpc_endpoint.gateway",
    }


def test_statements_are_restrictive(statements: list[Statement]) -> None:
    found = {each.where: problems for each in statements if (problems := too_much(each, ACCOUNT))}

    assert found == {}


def to(service: str, action: str, **condition: object) -> dict[str, Any]:
    """Return a statement with a service principal, without its effect."""
    principal = {"Service": f"{service}.amazonaws.com"}
    return {"Action": action, "Principal": principal, "Condition": condition}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ({"Action": ["s3:GetObject", "s3:Put*"]}, "s3:Put* is a wildcard"),
        ({"NotAction": "s3:GetObject"}, "it has a Not element"),
        *(
            ({"Action": "s3:GetObject"} | more, "it allows everybody")
            for more in (
                {"Principal": "*"},
                {"Principal": {"AWS": "*"}},
                {"Principal": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:*"}}},
            )
        ),
        (
            {"Action": "s3:GetObject", "Principal": {"Federated": "x"}},
            "it allows a Federated principal",
        ),
        (
            to("lambda", "sts:AssumeRole", StringEquals={"aws:SourceAccount": "1"}),
            "lambda.amazonaws.com may act for any account",
        ),
        *(
            (
                to(service, "lambda:InvokeFunction", ArnLike={"aws:SourceArn": sources}),
                f"{service}.amazonaws.com may act for any account",
            )
            for service, sources in {
                "s3": ["arn:aws:s3:::landing"],
                "events": [f"arn:aws:events:x:{ACCOUNT}:rule/y", "arn:*"],
            }.items()
        ),
        (
            to("lambda", "ecr:BatchGetImage", StringEquals={"aws:SourceAccount": ACCOUNT}),
            "lambda.amazonaws.com may not send aws:SourceAccount",
        ),
        (to("lambda", "ecr:BatchGetImage"), "lambda.amazonaws.com may act for any account"),
    ],
)
def test_permissive_statement_is_found(statement: dict[str, Any], problem: str) -> None:
    assert too_much(Statement.of("x", {"Effect": "Allow", **statement}), ACCOUNT) == [problem]


def test_wildcard_resources_are_listed(statements: list[Statement]) -> None:
    found = {
        pair
        for each in statements
        if each.effect == "Allow"
        for pair in product(each.actions, filter(wild, each.resources))
    }

    assert found == set(pairs(LISTED["wide"]))


def test_roles_trust_one_service_for_this_account(statements: list[Statement]) -> None:
    for each in statements:
        if each.where.startswith("aws_iam_role."):
            service = "states" if each.where == "aws_iam_role.state_machine" else "lambda"
            assert each.actions == {"sts:AssumeRole"}
            assert each.principal == {"Service": {f"{service}.amazonaws.com"}}
            assert each.conditions == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_image_is_pulled_only_for_its_function(plans: dict[str, list[Statement]]) -> None:
    allowed = {
        each.where: each.condition("ArnLike", "aws:SourceArn")
        for each in plans["created"]
        if each.where.startswith("aws_ecr_repository_policy.")
    }

    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tm-pipeline-load"
    assert len(allowed) == 8
    assert allowed['aws_ecr_repository_policy.function["load"]'] == [arn, f"{arn}:*"]


def test_buckets_and_topic_require_tls(plans: dict[str, list[Statement]]) -> None:
    for statements in plans.values():
        expected = {
            address: ("s3:*", {f"arn:aws:s3:::{name}"})
            for name in ("config", "landing", "staging")
            if (address := f'aws_s3_bucket_policy.this["{name}"]') in {s.where for s in statements}
        } | {
            "aws_sns_topic_policy.alerts": ("sns:Publish", {f"arn:aws:sns:{REGION}:{ACCOUNT}:mock"})
        }
        denied = {
            each.where: each
            for each in statements
            if each.effect == "Deny" and each.condition("Bool", "aws:SecureTransport") == "false"
        }
        assert denied.keys() == expected.keys()
        for where, (action, [arn]) in expected.items():
            objects = {f"{arn}/*"} if action == "s3:*" else set()
            assert denied[where].actions == {action}
            assert denied[where].resources == {arn} | objects
            assert denied[where].principal == {"AWS": {"*"}}
            assert len(denied[where].conditions) == 1


ALERT = f"arn:aws:sts::{ACCOUNT}:assumed-role/tm-pipeline-alert-{REGION}/alert"
LOAD = ALERT.replace("alert", "load")
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:tm-pipeline-health"


@pytest.mark.parametrize(
    ("who", "keys", "expected"),
    [
        # The topic's policy does not mention alert, whose role allows it to publish.
        (ALERT, {}, "ImplicitDeny"),
        (ALERT, {"secure_transport": False}, "Deny"),
        (LOAD, {}, "Deny"),
        (f"arn:aws:iam::{ACCOUNT}:root", {}, "Deny"),
        ("cloudwatch.amazonaws.com", {}, "Allow"),
        ("cloudwatch.amazonaws.com", {"secure_transport": False}, "Deny"),
        ("cloudwatch.amazonaws.com", {"arn": ALARM.replace("tm-pipeline", "x")}, "ImplicitDeny"),
        ("cloudwatch.amazonaws.com", {"arn": ALARM.replace(REGION, "x")}, "ImplicitDeny"),
        ("cloudwatch.amazonaws.com", {"account": "210987654321"}, "ImplicitDeny"),
        ("events.amazonaws.com", {}, "ImplicitDeny"),
    ],
)
def test_topic_accepts_only_alert_and_alarms_of_the_stack(
    who: str, keys: dict[str, Any], expected: str, plans: dict[str, list[Statement]]
) -> None:
    """The emulator's alarms publish without checking the topic's policy."""
    service = who if who.endswith(".amazonaws.com") else None
    context = {"aws:sourcearn": keys.get("arn", ALARM)}
    context["aws:sourceaccount"] = keys.get("account", ACCOUNT)
    context["aws:principalisawsservice"] = str(service is not None).lower()
    request = iam.EvalContext(
        who,
        "AssumedRole",
        ACCOUNT,
        "sns:Publish",
        f"arn:aws:sns:{REGION}:{ACCOUNT}:mock",
        REGION,
        secure_transport=keys.get("secure_transport", True),
        service_context=context,
    )
    for statements in plans.values():
        document = [
            {
                "Effect": each.effect,
                "Principal": {kind: sorted(names) for kind, names in each.principal.items()},
                "Action": sorted(each.actions),
                "Resource": sorted(each.resources),
                "Condition": each.conditions,
            }
            for each in statements
            if each.where == "aws_sns_topic_policy.alerts"
        ]
        answer = iam.evaluate_resource_policy({"Statement": document}, request, service)
        assert answer.decision == expected


def decision(statements: list[Statement], action: str, **keys: str) -> str:
    """Return the decision of the emulator's IAM on a request with these condition keys."""
    policy = [
        iam.ParsedStatement(
            "",
            each.effect,
            actions=list(each.actions),
            resources=list(each.resources),
            conditions=dict(each.conditions),
        )
        for each in statements
    ]
    interface = f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/eni-1"
    role = f"arn:aws:sts::{ACCOUNT}:assumed-role/load/load"
    request = iam.EvalContext(
        role, "AssumedRole", ACCOUNT, action, interface, REGION, service_context=keys
    )
    return str(iam.evaluate(request, [policy]).decision)


def test_network_permissions_are_denied_to_code(plans: dict[str, list[Statement]]) -> None:
    networked = {
        "created": ["api", "load"],
        "given, with iam, in a network": ["api", "load", "migrate"],
    }
    code = {"lambda:sourcefunctionarn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:any"}
    for stack, plan in plans.items():
        roles = {
            where: list(statements)
            for where, statements in groupby(of_roles(plan), key=lambda each: each.where)
        }
        for where, statements in roles.items():
            for action in sorted({a for each in statements for a in each.actions}):
                if action.startswith("ec2:"):
                    assert decision(statements, action) == "Allow", (where, action)
                    assert decision(statements, action, **code) == "Deny", (where, action)
        with_network = [
            where
            for where, statements in roles.items()
            if any("ec2:CreateNetworkInterface" in each.actions for each in statements)
        ]
        assert with_network == [
            f'aws_iam_role_policy.function["{name}"]' for name in networked.get(stack, ())
        ]


# The API calls for which AWS uses the key with the caller's permissions (sources in iam.tf).
DECRYPTED = re.compile(
    r"dynamodb:(?!Describe|List)|s3:(Get|Put)Object|secretsmanager:GetSecretValue|sns:Publish"
)
ENCRYPTED = re.compile(r"s3:PutObject|sns:Publish|secretsmanager:(Create|Put|Update)Secret")


@pytest.mark.parametrize("stack", [name for name, each in STACKS.items() if "kms_key_arn" in each])
@pytest.mark.parametrize(
    ("action", "calls"),
    [
        pytest.param("kms:Decrypt", DECRYPTED, id="Decrypt"),
        pytest.param("kms:GenerateDataKey", ENCRYPTED, id="GenerateDataKey"),
    ],
)
def test_roles_may_use_the_key_only_if_their_calls_need_it(
    action: str, calls: re.Pattern[str], stack: str, plans: dict[str, list[Statement]]
) -> None:
    roles = [each for each in of_roles(plans[stack]) if each.effect == "Allow"]
    needed = {each.where for each in roles if any(map(calls.match, each.actions))}
    allowed = [each for each in roles if action in each.actions]

    assert needed
    assert {each.where for each in allowed} == needed
    assert all(each.resources == {KEY_ARN} for each in allowed)


def test_every_permission_is_tested_or_listed(plans: dict[str, list[Statement]]) -> None:
    """test_spare_permissions.py tests the permissions of the laptop cloud's roles."""
    actions = {
        stack: {action for each in of_roles(plan) for action in each.actions}
        for stack, plan in plans.items()
    }
    unshown = {action for entry in LISTED["unshown"] for action in entry["actions"]}
    local = actions["given, with secrets"]

    assert set.union(*actions.values()) - local <= unshown
    assert unshown <= set.union(*actions.values())
    assert all(entry["reason"] for entry in LISTED["unshown"])
