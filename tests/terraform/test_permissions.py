"""What the module's policies allow: nothing by a wildcard that is not listed with its reason."""

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

ACCOUNT, REGION = "123456789012", "eu-central-1"
LISTED = tomllib.loads(Path(__file__).with_name("permissions.toml").read_text())
# Between them, every policy that the module can make.
STACKS: dict[str, dict[str, Any]] = {
    "created": {"kms_key_arn": KEY_ARN, "database_ca_bundle": CERTIFICATE},
    "given, with iam, in a network": {
        "function_zip": ZIP,
        "kms_key_arn": KEY_ARN,
        "database_ca_bundle": CERTIFICATE,
        "database": IAM | {"vpc": VPC},
    },
    # As the laptop cloud is.
    "given, with secrets": {"function_zip": ZIP, "database": SECRET},
}


def planned(stacks: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    """Return the plan of each stack, on a mocked AWS, made in an empty folder."""
    module = checkout(folder / "checkout") / "terraform"
    tool = terraform.find(folder / "configuration")
    tool.run("init", "-backend=false", folder=module)
    runs = {f"stack_{number}": variables for number, variables in enumerate(stacks.values())}
    said = plans_of(tool, module, runs, "./tests/mocks", "plan")
    assert errors(said) == {}
    found = {line["@testrun"]: line["test_plan"] for line in said if line["type"] == "test_plan"}
    return {stack: found[run] for stack, run in zip(stacks, runs, strict=True)}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Statement]]:
    """The policies of each of STACKS, as its plan has them."""
    found = planned(STACKS, tmp_path_factory.mktemp("checkout"))
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


def test_every_kind_of_policy_is_read(statements: list[Statement]) -> None:
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


def test_nothing_allows_too_much(statements: list[Statement]) -> None:
    found = {each.where: problems for each in statements if (problems := too_much(each, ACCOUNT))}

    assert found == {}


def to(service: str, action: str, **condition: object) -> dict[str, Any]:
    """Return a statement about a service of AWS, without its effect."""
    principal = {"Service": f"{service}.amazonaws.com"}
    return {"Action": action, "Principal": principal, "Condition": condition}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ({"Action": ["s3:GetObject", "s3:Put*"]}, "s3:Put* is no single action"),
        ({"NotAction": "s3:GetObject"}, "it says what it does not hold for"),
        ({"Action": "s3:GetObject", "Principal": "*"}, "everybody may"),
        ({"Action": "s3:GetObject", "Principal": {"AWS": "*"}}, "everybody may"),
        (
            {
                "Action": "s3:GetObject",
                "Principal": "*",
                "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}},
            },
            "everybody may",
        ),
        ({"Action": "s3:GetObject", "Principal": {"Federated": "x"}}, "a Federated may"),
        (
            to("lambda", "sts:AssumeRole", StringEquals={"aws:SourceAccount": "1"}),
            "lambda.amazonaws.com may on anybody's behalf",
        ),
        (
            to("s3", "lambda:InvokeFunction", ArnLike={"aws:SourceArn": "arn:aws:s3:::landing"}),
            "s3.amazonaws.com may on anybody's behalf",
        ),
        (
            to(
                "events",
                "lambda:InvokeFunction",
                ArnLike={"aws:SourceArn": [f"arn:aws:events:x:{ACCOUNT}:rule/y", "arn:*"]},
            ),
            "events.amazonaws.com may on anybody's behalf",
        ),
        (
            to("lambda", "ecr:BatchGetImage", StringEquals={"aws:SourceAccount": ACCOUNT}),
            "lambda.amazonaws.com need not send aws:SourceAccount",
        ),
        (to("lambda", "ecr:BatchGetImage"), "lambda.amazonaws.com may on anybody's behalf"),
    ],
)
def test_what_would_allow_too_much_is_found(statement: dict[str, Any], problem: str) -> None:
    assert too_much(Statement.of("x", {"Effect": "Allow", **statement}), ACCOUNT) == [problem]


def test_wide_resources_are_those_with_a_reason(statements: list[Statement]) -> None:
    found = {
        pair
        for each in statements
        if each.effect == "Allow"
        for pair in product(each.actions, filter(wild, each.resources))
    }

    assert found == set(pairs(LISTED["wide"]))


def test_roles_are_for_one_service_on_this_account_s_behalf(statements: list[Statement]) -> None:
    for each in statements:
        if each.where.startswith("aws_iam_role."):
            service = "states" if each.where == "aws_iam_role.state_machine" else "lambda"
            assert each.actions == {"sts:AssumeRole"}
            assert each.principal == {"Service": {f"{service}.amazonaws.com"}}
            assert each.conditions == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_a_function_s_image_is_for_that_function(plans: dict[str, list[Statement]]) -> None:
    allowed = {
        each.where: each.says("ArnLike", "aws:SourceArn")
        for each in plans["created"]
        if each.where.startswith("aws_ecr_repository_policy.")
    }

    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:tm-pipeline-load"
    assert len(allowed) == 8
    assert allowed['aws_ecr_repository_policy.function["load"]'] == [arn, f"{arn}:*"]


def test_buckets_and_topic_answer_over_tls_alone(plans: dict[str, list[Statement]]) -> None:
    for statements in plans.values():
        wanted = {
            f'aws_s3_bucket_policy.this["{name}"]': ("s3:*", {f"arn:aws:s3:::{name}"})
            for name in ("config", "landing", "staging")
        } | {
            "aws_sns_topic_policy.alerts": (
                "sns:Publish",
                {f"arn:aws:sns:{REGION}:{ACCOUNT}:mock"},
            ),
        }
        refused = {
            each.where: each
            for each in statements
            if each.effect == "Deny" and each.says("Bool", "aws:SecureTransport") == "false"
        }
        assert refused.keys() == wanted.keys()
        for where, (action, [arn]) in wanted.items():
            objects = {f"{arn}/*"} if action == "s3:*" else set()
            assert refused[where].actions == {action}
            assert refused[where].resources == {arn} | objects
            assert refused[where].principal == {"AWS": {"*"}}
            assert len(refused[where].conditions) == 1


ALERT = f"arn:aws:sts::{ACCOUNT}:assumed-role/tm-pipeline-alert-{REGION}/alert"
LOAD = ALERT.replace("alert", "load")
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:tm-pipeline-health"


@pytest.mark.parametrize(
    ("who", "keys", "expected"),
    [
        # Of alert it says nothing: its role allows it.
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
def test_the_topic_hears_alert_and_the_stack_s_own_alarms(
    who: str, keys: dict[str, Any], expected: str, plans: dict[str, list[Statement]]
) -> None:
    """The emulator's alarms publish without asking the topic."""
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
    """Return what IAM, as the emulator has it, says to a request with these keys."""
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


def test_network_interfaces_are_lambda_s_and_not_the_code_s(
    plans: dict[str, list[Statement]],
) -> None:
    networked = {
        "created": ["api", "load"],
        "given, with iam, in a network": ["api", "load", "migrate"],
        "given, with secrets": [],
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
            f'aws_iam_role_policy.function["{name}"]' for name in networked[stack]
        ]


# The calls for which AWS uses the key with the permissions of the caller; iam.tf names the pages of
# its documentation. To delete or list something, or to describe a table, nobody needs the key.
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
def test_the_key_is_for_the_roles_whose_calls_need_it(
    action: str, calls: re.Pattern[str], stack: str, plans: dict[str, list[Statement]]
) -> None:
    roles = [each for each in of_roles(plans[stack]) if each.effect == "Allow"]
    needed = {each.where for each in roles if any(map(calls.match, each.actions))}
    allowed = [each for each in roles if action in each.actions]

    assert needed
    assert {each.where for each in allowed} == needed
    assert all(each.resources == {KEY_ARN} for each in allowed)


def test_every_permission_is_shown_on_the_local_cloud_or_listed(
    plans: dict[str, list[Statement]],
) -> None:
    """What the local cloud's roles allow is shown by test_spare_permissions.py."""
    actions = {
        stack: {action for each in of_roles(plan) for action in each.actions}
        for stack, plan in plans.items()
    }
    unshown = {action for entry in LISTED["unshown"] for action in entry["actions"]}
    local = actions["given, with secrets"]

    assert set.union(*actions.values()) - local <= unshown
    assert unshown <= set.union(*actions.values())
    assert all(entry["reason"] for entry in LISTED["unshown"])
