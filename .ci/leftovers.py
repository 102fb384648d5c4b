"""List what a destroyed stack left in an AWS account; fail if something is unexpected.

    .venv/bin/python .ci/leftovers.py NAME [--region REGION] [--wait MINUTES]

NAME is the module's variable `name`. The list contains every resource whose name begins with NAME-,
including those of another stack whose name begins with NAME-. The region is --region, AWS_REGION,
AWS_DEFAULT_REGION or the profile's. The identity needs docs/policies/leftovers.json. --wait gives
AWS time for deletions that it completes later. Exit status 0: only resources that EXPECTED lists
remain. 1: others remain. 2: the command is wrong, or no region is set.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

Find = Callable[[Any, str], Iterator[str]]
"""Yields the identifiers of one kind of resource that belong to the stack of that name."""

EXPECTED: Mapping[str, tuple[str, str]] = {
    "database snapshot": (
        r"{name}-database-of-\d{{14}}",
        "the final snapshot, billed until you delete it; aurora.final_snapshot = false takes none",
    ),
    # docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
    "log backup": (
        r"{name}-log\$DeletedTableBackup.* SYSTEM",
        "DynamoDB's own backup of the deleted log, kept for 35 days at no cost",
    ),
    # docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
    "key": (r".* PendingDeletion", "the example's key, which KMS deletes after a waiting period"),
    # docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
    "subscription": (
        r"PendingConfirmation .*",
        "a subscription that nobody has confirmed, whose link is valid for two days",
    ),
}
"""Expected remains by kind: a pattern of the identifier, and the reason.

Metrics and alarm histories also remain until they expire: nobody can list or delete them by stack.
"""

_TAG = "Application"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", metavar="NAME", help="the stack's name")
    # boto3 itself does not read AWS_REGION, which Terraform and the AWS CLI do:
    # docs.aws.amazon.com/boto3/latest/guide/configuration.html#using-environment-variables
    parser.add_argument("--region", default=os.environ.get("AWS_REGION") or None)
    parser.add_argument("--wait", type=float, default=0, metavar="MINUTES", help="how long at most")
    arguments = parser.parse_args()
    session = boto3.Session(region_name=arguments.region)
    if session.region_name is None:
        parser.error("no region: give --region, or set AWS_REGION")
    print(f"Looking for {arguments.name} in {session.region_name}.")
    until = time.monotonic() + arguments.wait * 60
    while (found := look(session, arguments.name)) and unexpected(found, arguments.name):
        if time.monotonic() > until:
            break
        time.sleep(30)
    return tell(found, arguments.name)


def look(session: Any, name: str) -> list[tuple[str, str]]:
    """Return the kinds and identifiers of everything that belongs to a stack."""
    return [(kind, each) for kind, find in KINDS.items() for each in find(session, name)]


def unexpected(found: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [
        (kind, each)
        for kind, each in found
        if kind not in EXPECTED or not re.fullmatch(EXPECTED[kind][0].format(name=name), each)
    ]


def tell(found: list[tuple[str, str]], name: str) -> int:
    """Print what was found; return the exit status."""
    wrong = unexpected(found, name)
    for kind, each in found:
        if (kind, each) not in wrong:
            print(f"expected   {kind} {each}: {EXPECTED[kind][1]}")
    for kind, each in wrong:
        print(f"LEFT OVER  {kind} {each}")
    if not wrong:
        print(f"Nothing unexpected of {name} remains ({len(found)} expected).")
    return 1 if wrong else 0


def _pages(
    session: Any, service: str, operation: str, field: str, **arguments: Any
) -> Iterator[Any]:
    client = session.client(service)
    if client.can_paginate(operation):
        answers = client.get_paginator(operation).paginate(**arguments)
    else:
        answers = [getattr(client, operation)(**arguments)]
    for answer in answers:
        yield from answer.get(field, ())


def _named(service: str, operation: str, field: str, key: str = "", **arguments: Any) -> Find:
    """Find what a service lists under a name that begins with the stack's."""

    def find(session: Any, name: str) -> Iterator[str]:
        for each in _pages(session, service, operation, field, **arguments):
            identifier = each[key] if key else each
            # An ARN ends in the name.
            if re.match(rf"{re.escape(name)}(-|/|$)", identifier.rpartition(":")[2]):
                yield identifier

    return find


def _in_ec2(
    operation: str, field: str, key: str, by: str = f"tag:{_TAG}", pattern: str = "{name}"
) -> Find:
    def find(session: Any, name: str) -> Iterator[str]:
        filters = [{"Name": by, "Values": [pattern.format(name=name)]}]
        for each in _pages(session, "ec2", operation, field, Filters=filters):
            yield each[key]

    return find


def _log_groups(session: Any, name: str) -> Iterator[str]:
    for each in _pages(session, "logs", "describe_log_groups", "logGroups"):
        if re.search(rf"/{re.escape(name)}-", each["logGroupName"]):
            yield each["logGroupName"]


def _backups(session: Any, name: str) -> Iterator[str]:
    for each in _pages(session, "dynamodb", "list_backups", "BackupSummaries", BackupType="ALL"):
        if each["TableName"] == f"{name}-log" and each["BackupStatus"] != "DELETED":
            yield f"{each['BackupName']} {each['BackupType']}"


_print_once = cache(print)


def _keys(session: Any, name: str) -> Iterator[str]:
    client = session.client("kms")
    for each in _pages(session, "kms", "list_keys", "Keys"):
        try:
            key = client.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            _print_once(f"not read   key {each['KeyId']}: its key policy denies access")
            continue
        if key["Description"] == f"Encrypts the data of {name}.":
            yield f"{key['KeyId']} {key['KeyState']}"


def _secrets(session: Any, name: str) -> Iterator[str]:
    # RDS names them after a number, and tags them with the cluster.
    for each in _pages(session, "secretsmanager", "list_secrets", "SecretList"):
        if any(tag["Value"].endswith(f":cluster:{name}-database") for tag in each.get("Tags", ())):
            yield each["Name"]


def _subscriptions(session: Any, name: str) -> Iterator[str]:
    for each in _pages(session, "sns", "list_subscriptions", "Subscriptions"):
        if each["TopicArn"].endswith(f":{name}-alerts"):
            yield f"{each['SubscriptionArn']} {each['Endpoint']}"


def _others_by_tag(session: Any, name: str) -> Iterator[str]:
    """Find what bears the stack's tag and is of no service above.

    Of those services AWS also lists what has been deleted a while ago:
    docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    """
    known = {
        *("apigateway", "cloudwatch", "dynamodb", "ec2", "ecr", "events", "iam", "kms"),
        *("lambda", "logs", "rds", "s3", "secretsmanager", "sns", "states"),
    }
    tagged = [{"Key": _TAG, "Values": [name]}]
    found = ("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList")
    for each in _pages(session, *found, TagFilters=tagged):
        arn = each["ResourceARN"]
        if arn.split(":")[2] not in known:
            yield arn


KINDS: Mapping[str, Find] = {
    "API": _named("apigateway", "get_rest_apis", "items", "name"),
    "API key": _named("apigateway", "get_api_keys", "items", "name"),
    "API usage plan": _named("apigateway", "get_usage_plans", "items", "name"),
    "alarm": _named("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "composite alarm": _named(
        "cloudwatch",
        "describe_alarms",
        "CompositeAlarms",
        "AlarmName",
        AlarmTypes=["CompositeAlarm"],
    ),
    "dashboard": _named("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "rule": _named("events", "list_rules", "Rules", "Name"),
    "log group": _log_groups,
    "database cluster": _named("rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier"),
    "database instance": _named(
        "rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"
    ),
    "database backup": _named(
        "rds",
        "describe_db_cluster_automated_backups",
        "DBClusterAutomatedBackups",
        "DBClusterIdentifier",
    ),
    "database snapshot": _named(
        "rds", "describe_db_cluster_snapshots", "DBClusterSnapshots", "DBClusterSnapshotIdentifier"
    ),
    "database parameters": _named(
        "rds",
        "describe_db_cluster_parameter_groups",
        "DBClusterParameterGroups",
        "DBClusterParameterGroupName",
    ),
    "database subnets": _named(
        "rds", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"
    ),
    "secret": _secrets,
    "log": _named("dynamodb", "list_tables", "TableNames"),
    "log backup": _backups,
    "repository": _named("ecr", "describe_repositories", "repositories", "repositoryName"),
    "role": _named("iam", "list_roles", "Roles", "RoleName"),
    "function": _named("lambda", "list_functions", "Functions", "FunctionName"),
    "state machine": _named("stepfunctions", "list_state_machines", "stateMachines", "name"),
    "bucket": _named("s3", "list_buckets", "Buckets", "Name"),
    "topic": _named("sns", "list_topics", "Topics", "TopicArn"),
    "subscription": _subscriptions,
    "key": _keys,
    "network": _in_ec2("describe_vpcs", "Vpcs", "VpcId"),
    "subnet": _in_ec2("describe_subnets", "Subnets", "SubnetId"),
    "route table": _in_ec2("describe_route_tables", "RouteTables", "RouteTableId"),
    "security group": _in_ec2("describe_security_groups", "SecurityGroups", "GroupId"),
    "endpoint": _in_ec2("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    # Lambda makes them without tags.
    "network interface": _in_ec2(
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        *("description", "AWS Lambda VPC ENI-{name}-*"),
    ),
    "resource": _others_by_tag,
}

if __name__ == "__main__":
    sys.exit(main())
