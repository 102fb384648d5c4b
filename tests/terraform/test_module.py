"""The module under Terraform's own tools; its rules about itself stand in `terraform/tests/`."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform

ROOT = Path(__file__).parents[2]


SECRETS = {
    function: f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{function}"
    for function in ("migrate", "load", "api")
}
USERS = {"migrate": "owner", "load": "loader", "api": "reader"}
SECRET = {"host": "db.example.com", "name": "pipeline", "auth": "secret", "secret_arns": SECRETS}
IAM = {
    "host": "db.example.com",
    "name": "pipeline",
    "auth": "iam",
    "resource_id": "cluster-ABC123",
    "users": USERS,
}

# What somebody may write about the database, and each thing that Terraform answers. A plan takes
# seconds, so each holds several mistakes.
WRONG: dict[str, tuple[dict[str, Any], set[str]]] = {
    "address": (
        {"database": SECRET | {"host": "https://db", "port": 70000, "auth": "password"}},
        {
            "database.host must be a host's name alone",
            "database.port must be a whole number from 1 to 65535",
            'database.auth must be "iam", for roles that log in with a token, or "secret"',
        },
    ),
    "iam_with_nothing": (
        {"database": {"host": "db:5432", "name": "pipeline", "auth": "iam"}},
        {
            "database.host must be a host's name alone",
            'database.auth = "iam" needs database.users, the roles of migrate, load and api',
        },
    ),
    "iam_with_secrets_and_an_arn": (
        {"database": IAM | {"resource_id": "arn:aws:rds:x:cluster:y", "secret_arns": SECRETS}},
        {
            "it takes no secret_arns",
            "database.resource_id must be what RDS calls the resource ID",
        },
    ),
    "iam_with_a_wildcard_and_no_subnets": (
        {
            "database": IAM
            | {"users": USERS | {"load": "*"}, "vpc": {"subnet_ids": [], "security_group_ids": []}}
        },
        {
            "database.users must name three different roles",
            "database.vpc.subnet_ids must name at least one subnet",
            "database.vpc.security_group_ids must name at least one security group",
        },
    ),
    "iam_with_one_role_twice": (
        {"database": IAM | {"users": USERS | {"load": "reader"}}},
        {"database.users must name three different roles"},
    ),
    "secret_with_users": (
        {"database": SECRET | {"secret_arns": None, "users": USERS}},
        {'database.auth = "secret" needs database.secret_arns'},
    ),
    "secret_by_name_in_a_group": (
        {
            "database": SECRET
            | {
                "secret_arns": SECRETS | {"api": "prod/api"},
                "vpc": {"subnet_ids": ["sg-1"], "security_group_ids": ["sg-1"]},
            }
        },
        {
            "database.secret_arns must be ARNs of Secrets Manager secrets",
            "database.vpc.subnet_ids must name at least one subnet",
        },
    ),
    "api": (
        {
            "api_auth": "none",
            "api_cors_origins": ["https://reports.example.com/"],
            "api_throttle": {"rate": 20000, "burst": 0},
            "api_web_acl": {"arn": "guard"},
        },
        {
            'api_auth must be "key", for an API key in the header x-api-key, or "iam"',
            "api_cors_origins must hold origins as browsers write them",
            "api_throttle.rate must be 1 to 10000 requests a second",
            "api_throttle.burst must be a whole number of requests from 1 to 5000",
            "api_web_acl.arn must be the ARN of a regional web ACL",
        },
    ),
    "api_key_beside_iam": (
        {"api_auth": "iam", "api_key_value": "short"},
        {
            "api_key_value must be 20 to 128 characters long",
            'api_key_value is a key, but with api_auth = "iam" there are no keys',
        },
    ),
    "aurora": (
        {"aurora": {"max_capacity": 0.5, "backup_days": 0}},
        {
            "aurora.max_capacity must be 1 to 256 ACUs",
            "aurora.backup_days must be a whole number from 1 to 35",
        },
    ),
    "aurora_beside_a_database": (
        {"database": SECRET, "aurora": {"max_capacity": 1.3}},
        {
            "in steps of a half",
            "with database none is created: set one or the other",
        },
    ),
    "name": ({"name": "a--b"}, {"name must not hold two hyphens in a row"}),
}


@dataclass(frozen=True)
class Module:
    """A copy of the module, so that nothing is written beside it."""

    folder: Path
    tool: terraform.Terraform

    def __call__(self, *arguments: str) -> None:
        finished = self.tool.run(*arguments, "-no-color", folder=self.folder)
        assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Module:
    """Run a command of Terraform on a copy of the module."""
    checkout = tmp_path_factory.mktemp("checkout")
    leftovers = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    shutil.copytree(ROOT / "terraform", checkout / "terraform", ignore=leftovers)
    for name in (".dockerignore", "contracts", "functions", "shared"):
        (checkout / name).symlink_to(ROOT / name)
    module = Module(checkout / "terraform", terraform.find(checkout / "configuration"))
    module("init", "-backend=false")
    return module


def test_the_files_are_formatted(run: Module) -> None:
    run("fmt", "-check", "-diff", "-recursive")


def test_the_configuration_is_valid(run: Module) -> None:
    run("validate")


def test_the_rules_hold(run: Module) -> None:
    run("test")


@pytest.fixture(scope="module")
def answers(run: Module) -> Iterator[dict[str, list[str]]]:
    """Return Terraform's errors for each of WRONG, each planned on its own in one command."""
    folder = run.folder / "wrong"
    folder.mkdir()
    for name, (variables, _) in WRONG.items():
        document = {
            "mock_provider": {"aws": {"source": "./tests/mocks"}},
            "run": {name: {"command": "plan", "variables": variables}},
        }
        (folder / f"{name}.tftest.json").write_text(json.dumps(document))
    lines = run.tool.run("test", "-json", "-test-directory=wrong", folder=run.folder)
    said: dict[str, list[str]] = {name: [] for name in WRONG}
    for line in map(json.loads, lines.stdout.splitlines()):
        if line["type"] == "diagnostic":
            said[line["@testrun"]].append(line["diagnostic"]["detail"])
    yield said
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_explained(name: str, answers: dict[str, list[str]]) -> None:
    expected = WRONG[name][1]

    assert len(answers[name]) == len(expected), answers[name]
    assert all(any(part in answer for answer in answers[name]) for part in expected), answers[name]
