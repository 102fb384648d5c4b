"""Every example as it is written: applied to the emulator, at work, and destroyed again."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.fixtures.sandbox import ADMINISTRATOR, DATABASE, FUNCTIONS, Sandbox
from tests.stand_ins import StandIns
from tests.terraform.emulation import API_KEY, AURORA_DRIFTS, DRIFTS, Root, check_settings, checkout
from tests.terraform.inventory import PARTS, inventory

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

AT = "2024-03-03 09:00:00 UTC"


class Example:
    """A copy of an example, in a copy of the checkout that it takes the module from."""

    def __init__(self, name: str, folder: Path, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.before = inventory(sandbox.aws)
        self.checkout = checkout(folder / "checkout")
        self.commands = StandIns(folder / "commands")
        self.commands.install("aws", "docker")
        self.root = Root.of(
            self.checkout / "terraform" / "examples" / name,
            sandbox.aws,
            PATH=f"{self.commands.path}:{os.environ['PATH']}",
            TMPDIR=str(folder),
        )

    def readme(self, language: str) -> str:
        """Return what its README has people run, in `sql` or `sh`."""
        text = (self.root.folder / "README.md").read_text()
        [code] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return str(code)

    def apply(self, overrides: Mapping[str, Any], **inputs: Any) -> dict[str, Any]:
        """Apply it; return the module's outputs."""
        self.root.override(**overrides)
        self.root.apply(**inputs)
        found: dict[str, Any] = self.root.outputs()["stack"]
        return found

    def drop(self, *rows: str) -> "subprocess.CompletedProcess[str]":
        """Drop a file with the operator's command, and follow it to its end."""
        file = self.folder / "f.csv"
        file.write_text("\n".join(["user,timestamp,hours,project", *rows]))
        return subprocess.run(
            [
                *(Path(sys.executable).with_name("tm"), "drop", file),
                *("--date", "2024-03-03", "--follow"),
            ],
            env={**self.root.tool.environment, "TM_STACK": str(self.root.folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    def look_up(self, stack: Mapping[str, Any], user: str) -> list[dict[str, str]]:
        """Ask the API about a user."""
        answer = requests.get(
            f"{self.sandbox.aws.endpoint_url}/_aws/execute-api/{stack['api_id']}/Prod/get",
            params={"user": user},
            headers={"x-api-key": API_KEY},
            verify=self.sandbox.aws.ca_bundle,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, str]] = answer.json()["response"]
        return found

    def check_at_work(self, stack: Mapping[str, Any]) -> None:
        """See that a file's rows come into the database, and out of the API."""
        done = self.drop(f"ned,{AT},1.5,wall", f"jon,{AT},2,wall")

        assert done.returncode == 0, done.stdout + done.stderr
        assert self.sandbox.query("SELECT count(*) FROM daily_checkins") == [[2]]
        assert [row["hours"] for row in self.look_up(stack, "ned")] == ["1.50"]

    def check_inventory(self) -> None:
        """See that the inventory knows every kind of thing that was made, or it proves nothing."""
        managed = [each for each in self.root.addresses() if not re.search(r"(^|\.)data\.", each)]
        types = {each.removeprefix("module.pipeline.").partition(".")[0] for each in managed}
        now = inventory(self.sandbox.aws)

        assert {kind for kind in types - PARTS if not now[kind] > self.before[kind]} == set()

    def check_nothing_is_left(self) -> None:
        """See that after the destruction everything is as before."""
        self.sandbox.images.forget()

        assert self.root.addresses() == []
        assert inventory(self.sandbox.aws) == self.before


@pytest.fixture(autouse=True)
def forgetting(sandbox: Sandbox) -> Iterator[None]:
    """The database that an example uses, gone afterwards."""
    yield
    sandbox.forget()


def test_complete(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.make_database()
    example = Example("complete", tmp_path, sandbox)

    stack = example.apply({}, alert_emails=["data-team@example.com"])

    assert "data-team@example.com" in stack["alert_emails_pending"]
    example.check_inventory()
    check_network(sandbox, stack["name"])
    check_cluster(sandbox, stack["name"])
    check_functions(sandbox, stack, monkeypatch)
    halted = example.drop(f"ned,{AT},1.5,wall", f",{AT},2,wall")
    assert halted.returncode == 1
    assert "user is missing" in halted.stdout
    assert sandbox.query("SELECT count(*) FROM daily_checkins") == [[0]]
    example.check_at_work(stack)
    assert example.root.drifts() == DRIFTS | AURORA_DRIFTS

    # As its README says.
    example.root.apply(protected=False)
    example.root.destroy()

    example.check_nothing_is_left()


def test_bring_your_own_database(sandbox: Sandbox, tmp_path: Path) -> None:
    ec2, rds = sandbox.aws.client("ec2"), sandbox.aws.client("rds")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    [group] = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    rds.create_db_instance(
        DBInstanceIdentifier="own",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EnableIAMDatabaseAuthentication=True,
        MasterUsername="postgres",
        MasterUserPassword="a password",
        AllocatedStorage=20,
    )
    example = Example("bring-your-own-database", tmp_path, sandbox)
    sandbox.make_database(*filter(str.strip, example.readme("sql").split(";")))

    stack = example.apply(
        {},
        db_instance_identifier="own",
        subnet_ids=subnets,
        security_group_ids=[group["GroupId"]],
        database_name=DATABASE,
        administrator=ADMINISTRATOR.name,
    )

    example.check_inventory()
    example.check_at_work(stack)
    assert sandbox.query("SELECT tableowner FROM pg_tables WHERE tablename = 'daily_checkins'") == [
        [ADMINISTRATOR.name]
    ]
    assert "Secrets Manager" not in stack["database_routes_needed"]
    assert example.root.drifts() == DRIFTS

    empty(sandbox, stack)
    example.root.destroy()

    example.check_nothing_is_left()
    rds.delete_db_instance(DBInstanceIdentifier="own", SkipFinalSnapshot=True)


def test_prebuilt_images(sandbox: Sandbox, tmp_path: Path) -> None:
    ecr = sandbox.aws.client("ecr")
    for function in FUNCTIONS:
        ecr.create_repository(repositoryName=f"tm-pipeline/{function}")
    example = Example("prebuilt-images", tmp_path, sandbox)
    registry = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
    environment = {**example.root.tool.environment, "REGISTRY": registry, "TAG": "v1"}
    build = ["/bin/sh", "-euc", example.readme("sh")]
    subprocess.run(build, env=environment, cwd=example.checkout, check=True)
    sandbox.make_database()
    secret_arns = make_secrets(sandbox)
    example.before = inventory(sandbox.aws)

    # What `complete` makes takes two minutes; here it is a database of ours.
    stack = example.apply(
        {
            "database": {
                "host": sandbox.server.host,
                "port": sandbox.server.port,
                "name": DATABASE,
                "auth": "secret",
                "secret_arns": secret_arns,
            }
        },
        image_tag="v1",
    )

    assert stack["image_uris"] == {
        function: f"{registry}/tm-pipeline/{function}@{digest(ecr, function)}"
        for function in FUNCTIONS
    }
    example.check_inventory()
    example.check_at_work(stack)
    assert example.root.drifts() == DRIFTS

    empty(sandbox, stack)
    example.root.destroy()

    example.check_nothing_is_left()


def digest(ecr: Any, function: str) -> str:
    [image] = ecr.describe_images(repositoryName=f"tm-pipeline/{function}")["imageDetails"]
    return str(image["imageDigest"])


def make_secrets(sandbox: Sandbox) -> dict[str, str]:
    client = sandbox.aws.client("secretsmanager")
    users = {"migrate": ADMINISTRATOR.name, "load": "loader", "api": "reader"}
    return {
        function: client.create_secret(
            Name=f"tm-prebuilt/{function}",
            SecretString=json.dumps({"username": user, "password": ADMINISTRATOR.password}),
        )["ARN"]
        for function, user in users.items()
    }


def empty(sandbox: Sandbox, stack: Mapping[str, Any]) -> None:
    """Delete the files of a stack, by hand."""
    s3 = sandbox.aws.resource("s3")
    for name in ("landing_bucket", "staging_bucket"):
        s3.Bucket(stack[name]).object_versions.delete()


def check_network(sandbox: Sandbox, name: str) -> None:
    ec2 = sandbox.aws.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]
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
    [entry] = groups[f"{name}-database"]["IpPermissions"]
    assert (entry["FromPort"], entry["ToPort"], entry["IpRanges"]) == (5432, 5432, [])
    assert [each["GroupId"] for each in entry["UserIdGroupPairs"]] == [
        groups[f"{name}-function"]["GroupId"]
    ]


def check_cluster(sandbox: Sandbox, name: str) -> None:
    rds = sandbox.aws.client("rds")
    [cluster] = rds.describe_db_clusters(DBClusterIdentifier=f"{name}-database")["DBClusters"]
    [instance] = rds.describe_db_instances(DBInstanceIdentifier=f"{name}-database")["DBInstances"]

    assert cluster["ServerlessV2ScalingConfiguration"]["MinCapacity"] == 0
    assert cluster["StorageEncrypted"]
    assert cluster["IAMDatabaseAuthenticationEnabled"]
    assert cluster["HttpEndpointEnabled"]
    assert cluster["DeletionProtection"]
    assert not instance["PubliclyAccessible"]


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
