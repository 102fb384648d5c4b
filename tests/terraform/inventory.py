"""Listing of the resources in an account, for types that the module and its examples create."""

from collections.abc import Callable, Mapping
from typing import Any

from local.stack import Aws

Inventory = Mapping[str, frozenset[str]]
"""Identifiers by resource type, or by our name for things that a resource implies."""


def inventory(aws: Aws) -> Inventory:
    """Return all resources in the account."""
    return {kind: frozenset(found(aws)) for kind, found in KINDS.items()}


def _listed(
    service: str, operation: str, field: str, key: str, **arguments: Any
) -> Callable[[Aws], set[str]]:
    def found(aws: Aws) -> set[str]:
        client = aws.client(service)
        if client.can_paginate(operation):
            answers = client.get_paginator(operation).paginate(**arguments)
        else:
            answers = [getattr(client, operation)(**arguments)]
        things: list[Any] = [thing for answer in answers for thing in answer.get(field, [])]
        return {thing[key] if isinstance(thing, dict) else thing for thing in things}

    return found


def _keys_in_use(aws: Aws) -> set[str]:
    """Return the keys that are not scheduled for deletion, which takes at least a week."""
    client = aws.client("kms")
    keys = [client.describe_key(KeyId=key["KeyId"]) for key in client.list_keys()["Keys"]]
    return {
        key["KeyMetadata"]["KeyId"]
        for key in keys
        if key["KeyMetadata"]["KeyState"] != "PendingDeletion"
    }


def _aliases(aws: Aws) -> set[str]:
    names = _listed("kms", "list_aliases", "Aliases", "AliasName")(aws)
    return {name for name in names if not name.startswith("alias/aws/")}


KINDS: dict[str, Callable[[Aws], set[str]]] = {
    "aws_api_gateway_api_key": _listed("apigateway", "get_api_keys", "items", "id"),
    "aws_api_gateway_rest_api": _listed("apigateway", "get_rest_apis", "items", "id"),
    "aws_api_gateway_usage_plan": _listed("apigateway", "get_usage_plans", "items", "id"),
    "aws_cloudwatch_composite_alarm": _listed(
        *("cloudwatch", "describe_alarms", "CompositeAlarms", "AlarmName"),
        AlarmTypes=["CompositeAlarm"],  # AWS lists them only on request
    ),
    "aws_cloudwatch_dashboard": _listed(
        "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"
    ),
    "aws_cloudwatch_event_rule": _listed("events", "list_rules", "Rules", "Name"),
    "aws_cloudwatch_log_group": _listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "aws_cloudwatch_metric_alarm": _listed(
        "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"
    ),
    "aws_db_subnet_group": _listed(
        "rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"
    ),
    "aws_dynamodb_table": _listed("dynamodb", "list_tables", "TableNames", ""),
    "aws_ecr_repository": _listed("ecr", "describe_repositories", "repositories", "repositoryName"),
    "aws_iam_role": _listed("iam", "list_roles", "Roles", "RoleName"),
    "aws_kms_alias": _aliases,
    "aws_kms_key": _keys_in_use,
    "aws_lambda_function": _listed("lambda", "list_functions", "Functions", "FunctionName"),
    "aws_rds_cluster": _listed("rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier"),
    "aws_rds_cluster_instance": _listed(
        "rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"
    ),
    "aws_rds_cluster_parameter_group": _listed(
        "rds",
        "describe_db_cluster_parameter_groups",
        "DBClusterParameterGroups",
        "DBClusterParameterGroupName",
    ),
    "aws_route_table": _listed("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_s3_bucket": _listed("s3", "list_buckets", "Buckets", "Name"),
    "aws_security_group": _listed("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_vpc_security_group_ingress_rule": _listed(
        "ec2", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"
    ),
    "aws_sfn_state_machine": _listed(
        "stepfunctions", "list_state_machines", "stateMachines", "name"
    ),
    "aws_sns_topic": _listed("sns", "list_topics", "Topics", "TopicArn"),
    "aws_sns_topic_subscription": _listed("sns", "list_subscriptions", "Subscriptions", "Endpoint"),
    "aws_transfer_server": _listed("transfer", "list_servers", "Servers", "ServerId"),
    "aws_subnet": _listed("ec2", "describe_subnets", "Subnets", "SubnetId"),
    "aws_vpc": _listed("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    "aws_vpc_endpoint": _listed("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    # Created by AWS together with other resources.
    "network interfaces": _listed(
        "ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"
    ),
    "secrets": _listed("secretsmanager", "list_secrets", "SecretList", "Name"),
}

PARTS = {
    # These exist only as part of another resource.
    "aws_api_gateway_deployment",
    "aws_api_gateway_gateway_response",
    "aws_api_gateway_integration",
    "aws_api_gateway_method",
    "aws_api_gateway_method_settings",
    "aws_api_gateway_resource",
    "aws_api_gateway_stage",
    "aws_api_gateway_usage_plan_key",
    "aws_cloudwatch_event_target",
    "aws_default_security_group",
    "aws_ecr_lifecycle_policy",
    "aws_ecr_repository_policy",
    "aws_iam_role_policy",
    "aws_kms_key_policy",
    "aws_lambda_permission",
    "aws_route_table_association",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_notification",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_s3_object",
    "aws_sns_topic_policy",
    "aws_transfer_ssh_key",
    "aws_transfer_user",
    "aws_vpc_security_group_egress_rule",
    "aws_wafv2_web_acl_association",
    # These create nothing on AWS.
    "aws_lambda_invocation",
    "terraform_data",
}
