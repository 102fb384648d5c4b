"""Tests of the examples other than `complete`: apply, load a file, destroy."""

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.checkout import CHECKOUT, FUNCTIONS
from tests.fixtures.pipeline import eventually
from tests.fixtures.repository import Repository
from tests.fixtures.sandbox import ADMINISTRATOR, DATABASE, Sandbox
from tests.terraform.emulation import DRIFTS
from tests.terraform.example import Example
from tests.terraform.inventory import inventory

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]


def test_bring_your_own_database(sandbox: Sandbox, tmp_path: Path) -> None:
    ec2, rds = sandbox.aws.client("ec2"), sandbox.aws.client("rds")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=of_vpc)["Subnets"]]
    [group] = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    rds.create_db_instance(
        DBInstanceIdentifier="own",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EnableIAMDatabaseAuthentication=True,
        MasterUsername="postgres",
        MasterUserPassword="a password",  # pragma: allowlist secret
        AllocatedStorage=20,
    )
    example = Example("bring-your-own-database", tmp_path, sandbox)
    ca_bundle = trustme.CA().cert_pem.bytes().decode()
    sandbox.make_database(*filter(str.strip, example.readme("sql").split(";")))

    stack = example.apply(
        {"database_ca_bundle": ca_bundle},
        db_instance_identifier="own",
        subnet_ids=subnets,
        security_group_ids=[group["GroupId"]],
        database_name=DATABASE,
        administrator=ADMINISTRATOR.name,
    )

    example.check_inventory()
    example.check_at_work(stack)
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'daily_checkins_rows'"
    assert sandbox.query(owner) == [[ADMINISTRATOR.name]]
    assert "Secrets Manager" not in stack["database_routes_needed"]
    assert ca_bundle_of(sandbox, stack["function_names"]["load"]) == ca_bundle
    assert example.root.drifts() == DRIFTS

    example.take_down()
    rds.delete_db_instance(DBInstanceIdentifier="own", SkipFinalSnapshot=True)


def ca_bundle_of(sandbox: Sandbox, function: str) -> str:
    configuration = sandbox.aws.client("lambda").get_function_configuration(FunctionName=function)
    uri = configuration["Environment"]["Variables"]["DATABASE_CA_BUNDLE"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    answer = sandbox.aws.client("s3").get_object(Bucket=bucket, Key=key)
    return str(answer["Body"].read().decode())


def test_cross_account_landing(sandbox: Sandbox, tmp_path: Path) -> None:
    """The emulator's EventBridge invokes no function of another account, so this uses one."""
    database = existing_database(sandbox, "cross-account")
    example = Example("cross-account-landing", tmp_path, sandbox)
    sandbox.make_database()

    stack = example.apply(database, files_role_arn=None)

    s3, bucket = sandbox.aws.client("s3"), stack["landing_bucket"]
    assert bucket == "tm-cross-account-files-000000000000-us-east-1"
    example.check_inventory()
    example.check_at_work(stack)
    s3.put_object(Bucket=bucket, Key="other/f.csv", Body=b"not read")
    done = example.tm("doctor", "--json")
    found = {each["check"]: each["verdict"] for each in json.loads(done.stdout)}
    assert found["landing"] == "ok", done.stdout
    assert example.tm("status", "--json").stdout.count("ingestedID") == 1
    assert example.root.drifts() == DRIFTS

    example.take_down()


def test_sftp(sandbox: Sandbox, tmp_path: Path) -> None:
    """The emulator has no SFTP, so this uploads as a supplier's role would.

    There are no suppliers, because the provider cannot read a key's date from the emulator.
    """
    database = existing_database(sandbox, "sftp")
    example = Example("sftp", tmp_path, sandbox)
    example.allow("transfer:*")
    sandbox.make_database()

    example.apply(database)
    assert not any("aws_transfer" in each for each in example.root.addresses())
    example.root.apply(enable_sftp=True)

    stack = example.root.outputs()["stack"]
    example.check_inventory()
    sandbox.aws.client("s3").put_object(
        Bucket=stack["landing_bucket"],
        Key="sftp/acme/orders_20240303.csv",
        Body=b"order_id,amount\n1,2.50\n",
    )
    rows = eventually(lambda: sandbox.query("SELECT order_id, amount FROM orders"))
    assert rows == [[1, Decimal("2.50")]]

    example.root.apply(enable_sftp=False)  # the emulator cannot update a server
    example.take_down()


def test_prebuilt_images(sandbox: Sandbox, tmp_path: Path) -> None:
    ecr = sandbox.aws.client("ecr")
    for function in FUNCTIONS:
        ecr.create_repository(repositoryName=f"tm-pipeline/{function}")
    example = Example("prebuilt-images", tmp_path, sandbox)
    registry = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
    # CI has another identity than the deployment.
    builder = {**example.root.tool.environment, **sandbox.aws.environment()}
    environment = builder | {"REGISTRY": registry, "TAG": "v1"}
    build = ["/bin/sh", "-euc", example.readme("sh")]
    subprocess.run(build, env=environment, cwd=example.checkout, check=True)
    sandbox.make_database()
    # Creating a database takes two minutes (see test_complete_example.py).
    database = existing_database(sandbox, "prebuilt")
    example.before = inventory(sandbox.aws)

    stack = example.apply(database, image_tag="v1")

    assert stack["image_uris"] == {
        function: f"{registry}/tm-pipeline/{function}@{digest(ecr, function)}"
        for function in FUNCTIONS
    }
    example.check_inventory()
    example.check_at_work(stack)
    assert example.root.drifts() == DRIFTS

    example.take_down()


def test_your_own_tables(sandbox: Sandbox, tmp_path: Path, repository: Repository) -> None:
    """Run the example outside of the repository, which Terraform clones."""
    own = tmp_path / "own"
    shutil.copytree(CHECKOUT / "terraform" / "examples" / "your-own-tables", own)
    database = existing_database(sandbox, "own-tables")
    example = Example("your-own-tables", tmp_path, sandbox, outside=own)
    sandbox.make_database()

    source = f"git::{repository.url}//terraform?ref={repository.tag}"
    stack = example.apply({"source": source, **database})

    (own / "orders.csv").write_text(
        "order_id,customer,ordered_at,amount\n1,ada,2024-03-03 10:00:00,2.50\n"
    )
    done = example.tm("drop", own / "orders.csv", "--table", "orders", "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.query("SELECT customer, amount FROM orders") == [["ada", Decimal("2.50")]]
    assert sandbox.query("SELECT to_regclass('daily_checkins')") == [[None]]
    checked = example.tm("check", own / "orders.csv", "--table", "orders")
    assert checked.returncode == 0, "tm check must use the deployed contracts"
    assert stack["name"] == "tm-own-tables"

    example.take_down()


def digest(ecr: Any, function: str) -> str:
    [image] = ecr.describe_images(repositoryName=f"tm-pipeline/{function}")["imageDetails"]
    return str(image["imageDigest"])


def existing_database(sandbox: Sandbox, folder: str) -> dict[str, Any]:
    """Return arguments of the module for the sandbox's database; create its secrets."""
    client = sandbox.aws.client("secretsmanager")
    users = {"migrate": ADMINISTRATOR.name, "load": "loader", "api": "reader"}
    secret_arns = {
        function: client.create_secret(
            Name=f"tm-{folder}/{function}",
            SecretString=json.dumps({"username": user, "password": ADMINISTRATOR.password}),
        )["ARN"]
        for function, user in users.items()
    }
    database = {
        "host": sandbox.server.host,
        "port": sandbox.server.port,
        "name": DATABASE,
        "auth": "secret",
        "secret_arns": secret_arns,
    }
    return {"database": database, "aurora": {}}
