"""The module's two kinds of database on the emulator, whose Aurora is a stub without SQL."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from shared import settings
from shared.settings import ApiSettings, LoadSettings, MigrateSettings
from tests.fixtures.laptop import Laptop
from tests.stand_ins import CHECKOUT

NAME = "tm-aurora"
SETTINGS: dict[str, type[settings.Settings]] = {
    "api": ApiSettings,
    "load": LoadSettings,
    "migrate": MigrateSettings,
}
# Everything about networks and databases that the module is made of. What is not here, such as NAT
# and internet gateways, elastic addresses and proxies, costs by the hour or leads to the internet.
NETWORK_AND_DATABASE = {
    "aws_cloudwatch_log_group",
    "aws_db_subnet_group",
    "aws_default_security_group",
    "aws_rds_cluster",
    "aws_rds_cluster_instance",
    "aws_rds_cluster_parameter_group",
    "aws_lambda_invocation",
    "aws_route_table",
    "aws_route_table_association",
    "aws_security_group",
    "aws_subnet",
    "aws_vpc",
    "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
}
GATEWAY_RULES = [
    f'module.pipeline.aws_vpc_security_group_egress_rule.gateway["{name}"]'
    for name in ("dynamodb", "s3")
]
# What a plan finds right after an apply. The emulator keeps neither these settings nor a rule's
# prefix list, gives a stage an empty access log, and its cluster has another address as soon as it
# has an instance.
DRIFTS: dict[str, set[str]] = {
    "aws_api_gateway_stage.prod": {"access_log_settings"},
    "aws_rds_cluster.this[0]": {
        "enabled_cloudwatch_logs_exports",
        "serverlessv2_scaling_configuration",
    },
    'aws_vpc_endpoint.gateway["dynamodb"]': {"policy"},
    'aws_vpc_endpoint.gateway["s3"]': {"policy"},
    'aws_lambda_function.this["api"]': {"environment"},
    'aws_lambda_function.this["load"]': {"environment"},
    **{rule.removeprefix("module.pipeline."): {"create"} for rule in GATEWAY_RULES},
    # The stub has no SQL, so it is still to be done.
    "aws_lambda_invocation.migrate": {"create"},
}


@dataclass(frozen=True)
class Root:
    """A root module that calls this one on the emulator, under a name of its own."""

    folder: Path
    tool: terraform.Terraform
    zip: dict[str, str]

    def write(self, **inputs: Any) -> None:
        """Write the root with the inputs that are not the same for all."""
        source = os.path.relpath(CHECKOUT / "terraform", self.folder)
        pipeline = {
            "source": source,
            "name": NAME,
            "function_zip": self.zip,
            "api_key_value": "a key that the emulator would not make",
            **inputs,
        }
        (self.folder / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
        self.run("init", "-input=false")

    def try_to(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its status and all that it said."""
        done = self.tool.run(*arguments, "-no-color", folder=self.folder)
        return done.returncode, done.stdout + done.stderr

    def run(self, *arguments: str) -> str:
        status, said = self.try_to(*arguments)
        assert status == 0, said
        return said

    def forget_gateway_rules(self) -> None:
        """Forget the rules of the gateways: the emulator loses their prefix lists, and the provider
        cannot plan from that, not even their destruction."""
        self.try_to("state", "rm", *GATEWAY_RULES)

    def plan(self) -> dict[str, dict[str, Any]]:
        """Return what a plan would change, by address in the module."""
        self.run("plan", "-input=false", "-out=plan")
        shown = self.tool.run("show", "-json", "plan", folder=self.folder)
        return {
            each["address"].removeprefix("module.pipeline."): each["change"]
            for each in json.loads(shown.stdout)["resource_changes"]
            if each["change"]["actions"] not in (["no-op"], ["read"])
        }


@pytest.fixture
def root(tmp_path: Path, laptop: Laptop) -> Iterator[Root]:
    applied = json.loads((laptop.home / "terraform" / "main.tf.json").read_text())
    tool = terraform.find(tmp_path / "configuration")
    environment = {**tool.environment, **laptop.aws.environment()}
    made = Root(
        (tmp_path / "root").resolve(),
        terraform.Terraform(tool.command, environment),
        applied["module"]["pipeline"]["function_zip"],
    )
    made.folder.mkdir()
    yield made
    if (made.folder / "terraform.tfstate").exists():
        made.forget_gateway_rules()
        made.run("destroy", "-auto-approve", "-input=false")


def inventory(laptop: Laptop) -> dict[str, set[str]]:
    """Return all that an apply of the module could leave behind."""
    ec2, rds = laptop.aws.client("ec2"), laptop.aws.client("rds")
    groups = laptop.aws.client("logs").describe_log_groups()["logGroups"]
    return {
        "VPCs": {each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"]},
        "subnets": {each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]},
        "route tables": {
            each["RouteTableId"] for each in ec2.describe_route_tables()["RouteTables"]
        },
        "groups": {each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]},
        "endpoints": {
            each["VpcEndpointId"] for each in ec2.describe_vpc_endpoints()["VpcEndpoints"]
        },
        "clusters": {each["DBClusterArn"] for each in rds.describe_db_clusters()["DBClusters"]},
        "instances": {each["DBInstanceArn"] for each in rds.describe_db_instances()["DBInstances"]},
        "secrets": {
            each["Name"]
            for each in laptop.aws.client("secretsmanager").list_secrets()["SecretList"]
        },
        "log groups": {each["logGroupName"] for each in groups if NAME in each["logGroupName"]},
        "roles": {
            each["RoleName"]
            for each in laptop.aws.client("iam").list_roles()["Roles"]
            if NAME in each["RoleName"]
        },
    }


def test_nothing_costs_by_the_hour_or_leads_to_the_internet() -> None:
    module = CHECKOUT / "terraform"
    text = (module / "network.tf").read_text() + (module / "database.tf").read_text()
    everywhere = "".join(path.read_text() for path in module.glob("*.tf"))

    assert set(re.findall(r'^resource "(\w+)"', text, re.MULTILINE)) == NETWORK_AND_DATABASE
    assert not re.findall(
        r'^resource "aws_(?:\w*nat_\w+|\w*internet_\w+|eip\w*|db_proxy\w*)"',
        everywhere,
        re.MULTILINE,
    )
    assert re.findall(r'vpc_endpoint_type\s*= "(\w+)"', everywhere) == ["Gateway"]
    assert everywhere.count('resource "aws_vpc_endpoint"') == 1
    assert not re.findall(r"0\.0\.0\.0/0|::/0", everywhere)


@pytest.mark.deep
@pytest.mark.timeout(900)  # the provider waits four times half a minute before it looks at RDS
def test_the_created_database(root: Root, laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inventory(laptop)
    root.write(aurora={"deletion_protection": False, "final_snapshot": False})

    status, said = root.try_to("apply", "-auto-approve", "-input=false")

    # All is there but what needs SQL. That comes by the Data API: with the rights of migrate's
    # role, which are enforced here, to the cluster's Data API, with the secret that RDS made.
    assert status == 1
    errors = re.findall(r"^Error: (.*)$", said, re.MULTILINE)
    assert len(errors) == 1, errors
    error = errors[0]
    assert f"invoking Lambda Function ({NAME}-migrate)" in error
    assert f"the Data API of arn:aws:rds:us-east-1:000000000000:cluster:{NAME}-database" in error
    assert "BadRequestException" in error
    check_network(laptop)
    check_cluster(laptop)
    check_functions(laptop, monkeypatch)

    root.forget_gateway_rules()
    assert {
        address: {"create"}
        if change["actions"] == ["create"]
        else {key for key, after in change["after"].items() if change["before"].get(key) != after}
        for address, change in root.plan().items()
    } == DRIFTS

    root.run("destroy", "-auto-approve", "-input=false")
    (root.folder / "terraform.tfstate").unlink()

    assert inventory(laptop) == before


def check_network(laptop: Laptop) -> None:
    ec2 = laptop.aws.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [NAME]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    subnets = ec2.describe_subnets(Filters=inside)["Subnets"]
    groups = {
        each["GroupName"]: each
        for each in ec2.describe_security_groups(Filters=inside)["SecurityGroups"]
    }

    assert {each["AvailabilityZone"] for each in subnets} == {
        each["ZoneName"] for each in zones if each["ZoneId"] != "use1-az3"
    }
    assert not any(each["MapPublicIpOnLaunch"] for each in subnets)
    assert not ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}]
    )["InternetGateways"]
    assert not ec2.describe_nat_gateways(Filters=inside)["NatGateways"]
    assert {
        each["VpcEndpointType"]
        for each in ec2.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
    } == {"Gateway"}
    assert not groups["default"]["IpPermissions"]
    assert not groups["default"]["IpPermissionsEgress"]
    [entry] = groups[f"{NAME}-database"]["IpPermissions"]
    assert (entry["FromPort"], entry["ToPort"], entry["IpRanges"]) == (5432, 5432, [])
    assert [each["GroupId"] for each in entry["UserIdGroupPairs"]] == [
        groups[f"{NAME}-function"]["GroupId"]
    ]


def check_cluster(laptop: Laptop) -> None:
    rds = laptop.aws.client("rds")
    [cluster] = rds.describe_db_clusters(DBClusterIdentifier=f"{NAME}-database")["DBClusters"]
    [instance] = rds.describe_db_instances(DBInstanceIdentifier=f"{NAME}-database")["DBInstances"]

    assert cluster["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0
    assert cluster["StorageEncrypted"]
    assert cluster["IAMDatabaseAuthenticationEnabled"]
    assert cluster["HttpEndpointEnabled"]
    assert not instance["PubliclyAccessible"]


def check_functions(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    client = laptop.aws.client("lambda")
    found = {
        name: client.get_function_configuration(FunctionName=f"{NAME}-{name}")
        for name in laptop.stack.outputs["function_names"]
    }

    networked = {name for name, each in found.items() if each.get("VpcConfig", {}).get("SubnetIds")}
    assert networked == {"api", "load"}
    for name, wanted in SETTINGS.items():
        with monkeypatch.context() as patch:
            for key, value in found[name]["Environment"]["Variables"].items():
                patch.setenv(key, value)
            wanted()


@pytest.mark.parametrize("auth", ["iam", "secret"])
def test_a_given_database_in_a_network(
    root: Root, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans only: there is no such network. Without one it is the laptop's, which is applied."""
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
    login: dict[str, dict[str, Any]] = {
        "iam": {
            "resource_id": "db-ABC123",
            "users": {"migrate": "owner", "load": "loader", "api": "reader"},
        },
        "secret": {"secret_arns": {name: arn + name for name in SETTINGS}},
    }
    vpc = {"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]}
    database = {"host": "db.example.com", "name": "pipeline", "auth": auth, "vpc": vpc}
    root.write(database=database | login[auth])

    changes = root.plan()

    assert not [name for name in changes if re.match(r"aws_(vpc|subnet|rds|db|security)", name)]
    for name, wanted in SETTINGS.items():
        function = changes[f'aws_lambda_function.this["{name}"]']["after"]
        assert function["vpc_config"][0].items() >= vpc.items()
        with monkeypatch.context() as patch:
            for key, value in function["environment"][0]["variables"].items():
                patch.setenv(key, value)
            wanted()
