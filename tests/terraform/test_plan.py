"""Tests of the planned resources: tags, names, retention of images, and hourly costs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from local import terraform
from shared.version import VERSION
from tests.checkout import FUNCTIONS
from tests.terraform.emulation import checkout
from tests.terraform.lifecycle import kept
from tests.terraform.test_module import (
    CERTIFICATE,
    KEY_ARN,
    QUEUE_ARN,
    SECRET,
    TOPIC_ARN,
    ZIP,
    plans_of,
)

pytestmark = pytest.mark.programs

NAME = "the-longest-name-allowed-x"
REGION = "eu-central-1"
OWN_TAGS = {"Application": NAME, "ManagedBy": "Terraform", "Version": VERSION}
TAGS = OWN_TAGS | {"Team": "data"}
# Together these plan every resource of the module.
STACKS: dict[str, dict[str, Any]] = {
    "default": {},
    "created": {
        "alarm_topic_arn": TOPIC_ARN,
        "alert_emails": ["data-team@example.com"],
        "alert_endpoints": ["https://example.com/alerts"],
        "alert_queue_arns": [QUEUE_ARN],
        "api_access_logs": True,
        "api_web_acl": {"arn": "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/guard/1"},
        "database_ca_bundle": CERTIFICATE,
        "kms_key_arn": KEY_ARN,
        "staging_retention_days": 30,
    },
    "given": {
        "api_auth": "key",
        "database": SECRET,
        "function_zip": ZIP,
        "landing_bucket": {"name": "files"},
    },
}

# Maximum lengths of names, from the API references. AWS does not document some of them:
# an API and a usage plan have that of an API key here (docs.aws.amazon.com/apigateway/latest/
# developerguide/api-gateway-api-usage-plans.html), and a cluster parameter group that of a DB
# parameter group.
LIMITS = {
    "aws_api_gateway_api_key.name": 1024,
    "aws_api_gateway_rest_api.name": 1024,
    "aws_api_gateway_usage_plan.name": 1024,
    "aws_cloudwatch_composite_alarm.alarm_name": 255,
    "aws_cloudwatch_dashboard.dashboard_name": 255,
    "aws_cloudwatch_event_rule.name": 64,
    "aws_cloudwatch_log_group.name": 512,
    "aws_cloudwatch_metric_alarm.alarm_name": 255,
    "aws_db_subnet_group.name": 255,
    "aws_dynamodb_table.name": 255,
    "aws_ecr_repository.name": 256,
    "aws_iam_role.name": 64,
    "aws_lambda_function.function_name": 64,
    "aws_rds_cluster.cluster_identifier": 63,
    "aws_rds_cluster.final_snapshot_identifier": 63,
    "aws_rds_cluster_instance.identifier": 63,
    "aws_rds_cluster_parameter_group.name": 255,
    "aws_s3_bucket.bucket": 63,
    "aws_security_group.name": 255,
    "aws_sfn_state_machine.name": 80,
    "aws_sns_topic.name": 256,
}
# The provider's attributes with names that are unique per region, account or globally.
NAMES = {key.partition(".")[2] for key in LIMITS}
# Types whose name belongs to, or is unique only within, another resource.
WITHIN = (
    "aws_iam_role_policy",
    "aws_lambda_invocation",
    "aws_lambda_permission",
    "aws_s3_bucket_",
    "aws_s3_object",
)


@dataclass(frozen=True)
class Resource:
    type: str
    address: str
    values: dict[str, Any]
    taggable: bool = False

    def names(self) -> dict[str, str]:
        """Return its names by key of LIMITS."""
        if self.type.startswith(WITHIN):
            return {}
        return {f"{self.type}.{key}": self.values[key] for key in NAMES & self.values.keys()}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("checkout")) / "terraform"


def planned(
    tool: terraform.Terraform, folder: Path, mocks: str, stacks: dict[str, dict[str, Any]]
) -> list[Resource]:
    """Return every resource of these stacks, with the longest name and a tag."""
    assert tool.run("init", "-backend=false", folder=folder).returncode == 0
    common = {"name": NAME, "tags": {"Team": "data"}}
    runs = {stack: common | more for stack, more in stacks.items()}
    output = plans_of(tool, folder, runs, mocks)
    found = [line["test_plan"] for line in output if line["type"] == "test_plan"]
    assert len(found) == len(stacks), output
    return [resource for plan in found for resource in resources_of(plan)]


@pytest.fixture(scope="module")
def resources(module: Path, planner: terraform.Terraform) -> list[Resource]:
    return planned(planner, module, "./tests/mocks", STACKS)


def resources_of(plan: dict[str, Any]) -> list[Resource]:
    schemas = {
        kind: schema["block"].get("attributes", {})
        for provider in plan["provider_schemas"].values()
        for kind, schema in provider.get("resource_schemas", {}).items()
    }
    return [
        Resource(
            each["type"],
            each["address"],
            each["change"]["after"],
            "tags" in schemas.get(each["type"], {}),
        )
        for each in plan["resource_changes"]
        if each["mode"] == "managed"
    ]


def without_a_tag(resources: list[Resource]) -> list[str]:
    """Return the addresses of taggable resources without all tags of the stack."""
    # S3 allows 10 tags per object, but var.tags may contain more. Only an example has a KMS key.
    expected = {"aws_s3_object": OWN_TAGS, "aws_kms_key": {"Version": VERSION, "Team": "data"}}
    return [
        each.address
        for each in resources
        if each.taggable
        and not (each.values.get("tags") or {}).items() >= expected.get(each.type, TAGS).items()
    ]


def test_every_taggable_resource_has_the_tags(resources: list[Resource]) -> None:
    taggable = [each for each in resources if each.taggable]

    assert len(taggable) > 100
    assert {"aws_dynamodb_table", "aws_rds_cluster", "aws_s3_object"} <= {
        each.type for each in taggable
    }
    assert without_a_tag(resources) == []
    objects = [each.values["tags"] for each in resources if each.type == "aws_s3_object"]
    assert all(tags == OWN_TAGS for tags in objects)
    bare = [replace(each, values={}) for each in taggable]
    assert without_a_tag(bare) == [each.address for each in taggable]


def test_every_taggable_resource_of_the_complete_example_has_the_tags(
    module: Path, planner: terraform.Terraform
) -> None:
    example = module / "examples" / "complete"
    resources = planned(planner, example, "../../tests/mocks", {"complete": {}})

    assert len([each for each in resources if each.taggable]) > 50
    assert without_a_tag(resources) == []


def test_sftp_example_has_a_server_only_if_it_is_enabled(
    module: Path, planner: terraform.Terraform
) -> None:
    enabled = {"enable_sftp": True, "suppliers": {"acme": "ssh-ed25519 AAAA"}}
    stacks = {"default": {}, "enabled": enabled}
    resources = planned(planner, module / "examples" / "sftp", "../../tests/mocks", stacks)

    assert [each.address for each in resources if each.type.startswith("aws_transfer")] == [
        "aws_transfer_server.sftp[0]",
        'aws_transfer_ssh_key.supplier["acme"]',
        'aws_transfer_user.supplier["acme"]',
    ]
    [server] = [each.values for each in resources if each.type == "aws_transfer_server"]
    # Otherwise AWS reads a supplier's folder, for which the policy below has no permission.
    assert server["s3_storage_options"] == [{"directory_listing_optimization": "ENABLED"}]
    bucket = f"arn:aws:s3:::{NAME}-landing-123456789012-{REGION}"
    [policy] = [
        json.loads(each.values["policy"])
        for each in resources
        if each.address == 'aws_iam_role_policy.supplier["acme"]'
    ]
    assert [(each["Action"], each["Resource"]) for each in policy["Statement"]] == [
        ("s3:PutObject", f"{bucket}/sftp/acme/*"),
        ("s3:ListBucket", bucket),
    ]


def test_every_name_contains_the_name_of_the_stack(resources: list[Resource]) -> None:
    names = {(each.address, key): name for each in resources for key, name in each.names().items()}

    assert len(names) > 50
    assert {at: name for at, name in names.items() if NAME not in name} == {}
    # Bucket names are globally unique, role names per account.
    assert {name for (_, key), name in names.items() if key == "aws_s3_bucket.bucket"} == {
        f"{NAME}-{bucket}-123456789012-{REGION}" for bucket in ("config", "landing", "staging")
    }
    roles = {name for (_, key), name in names.items() if key == "aws_iam_role.name"}
    assert len(roles) == len(FUNCTIONS) + 1
    assert all(name.endswith(f"-{REGION}") for name in roles)


def test_names_are_within_limits_in_every_region(resources: list[Resource]) -> None:
    session = botocore.session.Session()
    regions = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("s3", partition)
    ]
    names = {
        (key, name.replace(REGION, max(regions, key=len)))
        for each in resources
        for key, name in each.names().items()
    }

    assert len(NAME) == 26
    assert {key for key, _ in names} == LIMITS.keys()
    assert {(key, name) for key, name in names if len(name) > LIMITS[key]} == set()


@pytest.mark.parametrize(
    ("deployed", "expected"),
    [
        ("newest", ["third", "second", "newest"]),
        ("second", ["third", "second", "newest"]),
        ("third", ["third", "second", "newest"]),
        # The deployed image is older than the newest three, which are kept too.
        ("fourth", ["fourth", "third", "second", "newest"]),
        ("fifth", ["fifth", "third", "second", "newest"]),
    ],
)
def test_repository_keeps_deployed_image_and_two_others(
    deployed: str, expected: list[str], resources: list[Resource]
) -> None:
    after = {each.address: each.values for each in resources}
    policy = json.loads(after['aws_ecr_lifecycle_policy.function["load"]']["policy"])
    tag = after['terraform_data.image["load"]']["input"]
    pushed = ["fifth", "fourth", "third", "second", "newest"]
    tags = {name: tag if name == deployed else name for name in pushed}

    assert kept(policy, list(tags.values())) == [tags[name] for name in expected]


# Types that AWS does not bill by the hour (docs/cost.md).
NEVER_BY_THE_HOUR = {
    *("aws_api_gateway_api_key", "aws_api_gateway_deployment", "aws_api_gateway_gateway_response"),
    *("aws_api_gateway_integration", "aws_api_gateway_method", "aws_api_gateway_method_settings"),
    *("aws_api_gateway_resource", "aws_api_gateway_rest_api", "aws_api_gateway_usage_plan"),
    *("aws_api_gateway_usage_plan_key", "aws_cloudwatch_composite_alarm"),
    *("aws_cloudwatch_dashboard", "aws_cloudwatch_event_rule", "aws_cloudwatch_event_target"),
    *("aws_cloudwatch_log_group", "aws_cloudwatch_metric_alarm", "aws_db_subnet_group"),
    *("aws_default_security_group", "aws_ecr_lifecycle_policy", "aws_ecr_repository"),
    *("aws_ecr_repository_policy", "aws_iam_role", "aws_iam_role_policy", "aws_lambda_invocation"),
    *("aws_lambda_permission", "aws_rds_cluster_parameter_group", "aws_route_table"),
    *("aws_route_table_association", "aws_s3_bucket", "aws_s3_bucket_lifecycle_configuration"),
    *("aws_s3_bucket_notification", "aws_s3_bucket_ownership_controls", "aws_s3_bucket_policy"),
    *("aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration"),
    *("aws_s3_bucket_versioning", "aws_s3_object", "aws_security_group", "aws_sfn_state_machine"),
    *("aws_sns_topic", "aws_sns_topic_policy", "aws_sns_topic_subscription", "aws_vpc"),
    *("aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule"),
    *("aws_wafv2_web_acl_association", "terraform_data"),
}
# Types that AWS bills by the hour unless this condition is true.
UNLESS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "aws_api_gateway_stage": lambda stage: not stage["cache_cluster_enabled"],
    "aws_dynamodb_table": lambda table: table["billing_mode"] == "PAY_PER_REQUEST",
    "aws_lambda_function": lambda function: not function["snap_start"],
    "aws_rds_cluster": lambda cluster: (
        cluster["serverlessv2_scaling_configuration"][0]["min_capacity"] == 0
    ),
    "aws_rds_cluster_instance": lambda instance: instance["instance_class"] == "db.serverless",
    "aws_subnet": lambda subnet: not subnet["map_public_ip_on_launch"],
    "aws_vpc_endpoint": lambda endpoint: endpoint["vpc_endpoint_type"] == "Gateway",
}


def billed_by_the_hour(resources: list[Resource]) -> list[str]:
    """Return the addresses of resources that are, or may be, billed by the hour."""
    return [
        each.address
        for each in resources
        if each.type not in NEVER_BY_THE_HOUR
        and not (each.type in UNLESS and UNLESS[each.type](each.values))
    ]


def test_no_resource_is_billed_by_the_hour(resources: list[Resource]) -> None:
    assert {each.type for each in resources} == NEVER_BY_THE_HOUR | UNLESS.keys()
    assert billed_by_the_hour(resources) == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("aws_nat_gateway", {}),
        ("aws_lambda_provisioned_concurrency_config", {}),
        ("aws_api_gateway_stage", {"cache_cluster_enabled": True}),
        ("aws_dynamodb_table", {"billing_mode": "PROVISIONED"}),
        ("aws_lambda_function", {"snap_start": [{"apply_on": "PublishedVersions"}]}),
        ("aws_rds_cluster", {"serverlessv2_scaling_configuration": [{"min_capacity": 0.5}]}),
        ("aws_rds_cluster_instance", {"instance_class": "db.r6g.large"}),
        ("aws_subnet", {"map_public_ip_on_launch": True}),
        ("aws_vpc_endpoint", {"vpc_endpoint_type": "Interface"}),
    ],
)
def test_resource_billed_by_the_hour_is_found(kind: str, values: dict[str, Any]) -> None:
    assert billed_by_the_hour([Resource(kind, "this", values)]) == ["this"]
