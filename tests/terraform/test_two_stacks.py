"""Test of two stacks in one account and region; the second uses the module as root module."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import connected
from shared.endings import Status
from shared.ingestion_log import IngestionLog
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import AT, Pipeline, checkins, eventually, key_of
from tests.terraform.emulation import DRIFTS, Root, checkout
from tests.terraform.inventory import inventory

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

NAME = "tm-second"


@pytest.fixture
def root(tmp_path: Path, laptop: Laptop) -> Root:
    """Return the module as root module, in a copy of the checkout."""
    return Root.of(checkout(tmp_path / "checkout") / "terraform", laptop.aws)


@pytest.fixture
def inputs(laptop: Laptop) -> Iterator[dict[str, Any]]:
    """Return variables of a second stack, with its own database and roles on the laptop."""
    server = laptop.stack.database
    with connected(server) as superuser:
        superuser.run("CREATE DATABASE second")
    client = laptop.aws.client("secretsmanager")
    who = {
        "migrate": {"username": server.user, "password": server.password},
        "load": {"username": "second_loader", "password": secrets.token_urlsafe(24)},
        "api": {"username": "second_reader", "password": secrets.token_urlsafe(24)},
    }
    arns = {
        function: client.create_secret(Name=f"{NAME}/{function}", SecretString=json.dumps(each))[
            "ARN"
        ]
        for function, each in who.items()
    }
    applied = json.loads((laptop.home / "terraform" / "main.tf.json").read_text())
    yield {
        "name": NAME,
        "manage_lifecycle_rules": False,
        "function_zip": applied["module"]["pipeline"]["function_zip"],
        "database": {
            "host": server.host,
            "port": server.port,
            "name": "second",
            "auth": "secret",
            "secret_arns": arns,
        },
    }
    for arn in arns.values():
        client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    with connected(server) as superuser:
        superuser.run("DROP DATABASE second WITH (FORCE)")
        superuser.run("DROP ROLE IF EXISTS second_loader, second_reader")


def test_stacks_are_independent(
    root: Root, inputs: dict[str, Any], laptop: Laptop, pipeline: Pipeline
) -> None:
    first = laptop.stack.outputs
    before = inventory(laptop.aws)
    root.run("init", "-input=false")
    root.apply(**inputs)
    second = root.outputs()
    try:
        assert {first["name"], second["name"]} == {"tm-pipeline", NAME}
        check_files_stay_apart(laptop, pipeline, second)
        assert root.drifts() == DRIFTS
        check_nothing_is_removed(root)
        check_files_are_not_lost(root, laptop, second)
    finally:
        root.apply(deletion_protection=False, force_destroy=True)
        root.destroy()

    assert inventory(laptop.aws) == before
    again = pipeline.ingest(checkins(f"arya,{AT},3,needle"), day=9)
    assert (again["state"], again["status"]) == ("load", "success")


def check_files_stay_apart(laptop: Laptop, pipeline: Pipeline, second: dict[str, Any]) -> None:
    """Check that each stack loads its own file, and has no item of the other's."""
    logs = {
        name: IngestionLog(laptop.aws.resource("dynamodb").Table(outputs["log_table"]))
        for name, outputs in (("first", laptop.stack.outputs), ("second", second))
    }
    item = pipeline.ingest(checkins(f"ned,{AT},1,apart"), day=8)
    assert (item["state"], item["status"]) == ("load", "success")
    laptop.aws.client("s3").put_object(
        Bucket=second["landing_bucket"],
        Key=key_of(8, "second.csv"),
        Body=checkins(f"jon,{AT},2,apart"),
    )
    [other] = eventually(lambda: list(logs["second"].with_status(Status.SUCCESS)))

    assert logs["second"].get(item["ingestedID"], item["ingestedTable"]) is None
    assert logs["first"].get(other["ingestedID"], other["ingestedTable"]) is None
    rows = "SELECT username FROM daily_checkins WHERE project = 'apart'"
    assert pipeline.query(rows) == [["ned"]]
    with connected(laptop.stack.database, database="second") as connection:
        assert connection.run(rows) == [["jon"]]


def check_nothing_is_removed(root: Root) -> None:
    """Check that destroying a protected stack removes nothing.

    Terraform forgets the invocation of `migrate`, so the next apply invokes it again.
    """
    before = root.addresses()

    status, output = root.try_to_destroy()

    assert status == 1
    assert "deletion_protection is true, so nothing was removed" in " ".join(output.split())
    assert {*before} - {*root.addresses()} == {"aws_lambda_invocation.migrate"}
    assert root.drifts() == DRIFTS | {"aws_lambda_invocation.migrate": {"create"}}


def check_files_are_not_lost(root: Root, laptop: Laptop, second: dict[str, Any]) -> None:
    """Check that destroying the stack without `force_destroy` does not delete files.

    It deletes all other resources, which the next apply creates again.
    """
    root.apply(deletion_protection=False)
    status, output = root.try_to_destroy()

    assert status == 1
    assert output.count("BucketNotEmpty") == 2
    assert [each for each in root.addresses() if not each.startswith("data.")] == [
        'aws_s3_bucket.this["landing"]',
        'aws_s3_bucket.this["staging"]',
    ]
    objects = laptop.aws.resource("s3").Bucket(second["landing_bucket"]).objects.all()
    assert [each.key for each in objects] == [key_of(8, "second.csv")]
