"""The module's two kinds of database: what they are made of, and what the functions are told."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.laptop import Laptop
from tests.stand_ins import CHECKOUT
from tests.terraform.emulation import SETTINGS, Root, check_settings

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
@pytest.mark.parametrize("auth", ["iam", "secret"])
def test_a_given_database_in_a_network(
    auth: str, tmp_path: Path, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
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
    applied = json.loads((laptop.home / "terraform" / "main.tf.json").read_text())
    pipeline = {
        "source": os.path.relpath(CHECKOUT / "terraform", (tmp_path / "root").resolve()),
        "name": "tm-given",
        "function_zip": applied["module"]["pipeline"]["function_zip"],
        "database": database | login[auth],
    }
    root = Root.of((tmp_path / "root").resolve(), laptop.aws)
    root.folder.mkdir()
    (root.folder / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
    root.run("init", "-input=false")

    changes = {
        each["address"].removeprefix("module.pipeline."): each["change"] for each in root.changes()
    }

    assert not [name for name in changes if re.match(r"aws_(vpc|subnet|rds|db|security)", name)]
    functions = {name: changes[f'aws_lambda_function.this["{name}"]']["after"] for name in SETTINGS}
    assert all(each["vpc_config"][0].items() >= vpc.items() for each in functions.values())
    check_settings(
        {name: each["environment"][0]["variables"] for name, each in functions.items()}, monkeypatch
    )
