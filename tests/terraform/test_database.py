"""Tests of created and given databases."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.laptop import Laptop
from tests.stand_ins import CHECKOUT
from tests.terraform.emulation import SETTINGS, Root, check_settings


def test_network_has_no_route_to_the_internet() -> None:
    """`test_plan.py` checks that the module has no internet gateway."""
    module = CHECKOUT / "terraform"
    text = "".join(path.read_text() for path in module.glob("*.tf"))

    assert "cidr_block" in text
    assert not re.findall(r"0\.0\.0\.0/0|::/0", text)


@pytest.mark.deep
@pytest.mark.parametrize("auth", ["iam", "secret"])
def test_functions_join_the_network_of_a_given_database(
    auth: str, tmp_path: Path, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a plan, because the network does not exist. The laptop cloud tests one without."""
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
