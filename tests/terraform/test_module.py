"""Tests of the module with Terraform's own commands, and of its validation messages.

Tests of its resources are in `terraform/tests/`.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import hcl2
import pytest

from local import terraform
from shared.version import VERSION
from tests.checkout import CHECKOUT, FUNCTIONS
from tests.terraform.emulation import checkout

pytestmark = pytest.mark.programs

MODULE = CHECKOUT / "terraform"

REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
IMAGES = {function: f"{REGISTRY}/ci/{function}@sha256:0" for function in FUNCTIONS}
PUBLISHED = {"registry": "ghcr.io/owner/tm-pipeline"}
DIGESTS = dict.fromkeys(FUNCTIONS, f"sha256:{64 * '0'}")
ZIP = {"bucket": "code", "key": "functions.zip", "hash": 43 * "A" + "="}
SECRETS = {
    function: f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{function}"
    for function in ("migrate", "load", "api")
}
USERS = {"migrate": "owner", "load": "loader", "api": "reader"}
FILES = {"name": "files"}
VPC = {"subnet_ids": ["subnet-0a1b"], "security_group_ids": ["sg-0a1b"]}
SECRET = {"host": "db.example.com", "name": "pipeline", "auth": "secret", "secret_arns": SECRETS}
IAM = {
    "host": "db.example.com",
    "name": "pipeline",
    "auth": "iam",
    "resource_id": "cluster-ABC123",
    "users": USERS,
}

ALL_IMAGES = "image_uris must contain one image for each of "
QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:alerts"
TOPIC_ARN = "arn:aws:sns:eu-central-1:123456789012:pager"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
SOME_KEY = CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY")
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def given(_base: dict[str, Any] | None = None, /, **values: list[Any]) -> list[dict[str, Any]]:
    """Return a value for each value of an attribute."""
    return [(_base or {}) | {name: each} for name, many in values.items() for each in many]


# The beginning of each error message, which starts with the variable's name, and invalid values.
INVALID_VALUES: dict[str, list[Any]] = {
    "name must be 3 to 26 lower-case letters, digits and single hyphens": [
        *("a", "ab", 27 * "a", "Blue", "a_b", "1ab", "ab-", "a--b")
    ],
    "name must not begin with a reserved prefix": [
        *("sthree", "sthree-a", "amzn-s3-demo", "amzn-s3-demo-a", "sg-a")
    ],
    "landing_bucket.name must be the name of a bucket": given(
        name=["ab", "arn:aws:s3:::files", "s3://files", "files/", 64 * "a"]
    ),
    "landing_bucket.name must be a general purpose bucket": given(
        name=["files-s3alias", "files--use1-az4--x-s3", "files.mrap"]
    ),
    "landing_bucket.account_id must be the 12 digits of an AWS account": given(
        FILES, account_id=["", "1234", "123456789012 "]
    ),
    "landing_bucket.kms_key_arn must be the ARN of a key": given(
        FILES, kms_key_arn=["alias/data", KEY_ARN + "*"]
    ),
    "landing_bucket.prefixes must be 1 to 10 beginnings of keys": given(
        FILES,
        prefixes=[
            *([], ["a*"], ["a?"], ["$${a}"], ["a\n"], [201 * "a"], [*"abcdefghijk"]),
            ["\N{KATAKANA LETTER A}/"],
        ],
    ),
    "landing_bucket.prefixes must have together at most 1,500 characters": given(
        FILES, prefixes=[[each + 199 * "a" for each in "bcdefghi"]]
    ),
    "landing_bucket.prefixes contains a prefix that begins with another one": given(
        FILES, prefixes=[["", "a"], ["in/", "in/a"]]
    ),
    "alert_emails must contain email addresses": [
        *(["nobody"], ["a@localhost"], ["a@b.c, d@e.f"], ["A Person <a@example.com>"], [""])
    ],
    "alert_on must be all, failures or failures_and_rejects": ["rejects"],
    'alert_endpoints must contain URLs such as "https://example.com/alerts"': [
        ["https://user:word@example.com/alerts"],  # pragma: allowlist secret
        *(["http://example.com/alerts"], ["https://example.com/an alert"], ["example.com"], [""]),
    ],
    "alert_queue_arns must contain ARNs of SQS standard queues": [
        *([QUEUE_ARN + ".fifo"], [TOPIC_ARN], [QUEUE_ARN + "*"], ["alerts"])
    ],
    "alarm_topic_arn must be the ARN of an SNS standard topic": [
        *(TOPIC_ARN + ".fifo", QUEUE_ARN, TOPIC_ARN + "*", "pager")
    ],
    "max_concurrency must be a whole number from 1 to 100.": [0, 1.5, 101],
    "reject_rate_percent must be at least 0 and less than 100": [-0.5, 100],
    "architecture must be x86_64 or arm64": ["riscv64"],
    "base_image must be a Docker image name without a scheme": [
        *("", "python 3.13", "https://example.com/a:1")
    ],
    "published_images.registry must be a registry host and a lower-case path": given(
        registry=[
            *("", "tm-pipeline", "https://ghcr.io/owner/tm-pipeline", "ghcr.io/Owner/tm-pipeline"),
            *("ghcr.io/owner/tm-pipeline/", "ghcr.io/owner/tm-pipeline:0.1.0", "ghcr.io/a'b"),
        ]
    ),
    "published_images.digests must contain one digest": given(
        PUBLISHED | {"version": "0.1.0"},
        digests=[
            *({"load": DIGESTS["load"]}, DIGESTS | {"extra": DIGESTS["load"]}),
            *given(DIGESTS, load=["sha256:0", f"ghcr.io/owner/load@{DIGESTS['load']}"]),
        ],
    ),
    "published_images.version and published_images.digests must be set together": given(
        PUBLISHED, version=["0.1.0"], digests=[DIGESTS]
    ),
    f"{ALL_IMAGES}{', '.join(FUNCTIONS[:-1])} and {FUNCTIONS[-1]}": [
        *({"load": IMAGES["load"]}, IMAGES | {"extra": IMAGES["load"]})
    ],
    "image_uris must be ECR images with a digest or a tag": given(
        IMAGES, load=["docker.io/ci/load:latest", f"{REGISTRY}/ci/load"]
    ),
    "function_zip.bucket and function_zip.key must not be empty": given(
        ZIP, bucket=[""], key=[None]
    ),
    "function_zip.hash must be the base64-encoded SHA-256": given(ZIP, hash=[64 * "a"]),
    "database.host must be only a host name": given(SECRET, host=["https://db", "db:5432"]),
    "database.port must be a whole number from 1 to 65535": given(SECRET, port=[70000, 5432.5]),
    "database.name must be the name of a database: 1 to 63 characters": given(
        SECRET, name=["", 64 * "a"]
    ),
    'database.auth must be "iam" (roles that log in with an IAM token) or "secret"': given(
        SECRET, auth=["password"]
    ),
    'database.auth = "iam" requires database.users': [
        *({"host": "db", "name": "pipeline", "auth": "iam"}, IAM | {"secret_arns": SECRETS})
    ],
    'database.auth = "secret" requires database.secret_arns': given(
        SECRET, secret_arns=[None], users=[USERS]
    ),
    "database.resource_id must be an RDS resource ID": given(
        IAM, resource_id=["arn:aws:rds:x:cluster:y"]
    ),
    "database.users must name three different roles": given(
        IAM, users=given(USERS, load=["*", "reader"])
    ),
    "database.secret_arns must be full ARNs of Secrets Manager secrets": given(
        SECRET, secret_arns=given(SECRETS, api=["prod/api", "arn:aws:secretsmanager:*:*:secret:*"])
    ),
    "database.vpc.subnet_ids must contain at least one subnet": given(
        IAM, vpc=given(VPC, subnet_ids=[[], ["sg-1"]])
    ),
    "database.vpc.security_group_ids must contain at least one security group": given(
        SECRET, vpc=given(VPC, security_group_ids=[[], ["subnet-1"]])
    ),
    'database_ca_bundle must be PEM certificates, "-----BEGIN CERTIFICATE-----…"': [
        *("", "ca.pem", CERTIFICATE.replace("AAAA\n", ""), "-----BEGIN CERTIFICATE-----\nAAAA"),
        SOME_KEY,
    ],
    "database_ca_bundle contains a private key": [
        *(SOME_KEY, CERTIFICATE + SOME_KEY.replace("PRI", "RSA PRI"))
    ],
    "aurora.max_capacity must be 1 to 256 ACUs, in steps of a half": given(
        max_capacity=[0.5, 1.3, 256.5]
    ),
    "aurora.backup_days must be a whole number from 1 to 35": given(backup_days=[0, 1.5, 36]),
    "api_key_value must be 20 to 128 characters long": ["short"],
    'api_key_value is set, but api_auth = "iam", the default, uses no key': ["short"],
    'api_auth must be "iam" (signed requests) or "key"': ["none"],
    "api_get_table must be the name of a table": ["", "Orders", "orders.odcs.yaml", 49 * "o"],
    "api_cors_origins must contain origins such as": [["https://reports.example.com/"], ["*"]],
    "api_throttle.rate must be 1 to 10000 requests per second": given(rate=[0, 0.5, 10001]),
    "api_throttle.burst must be a whole number of requests from 1 to 5000": given(
        burst=[0, 1.5, 5001]
    ),
    "api_web_acl.arn must be the ARN of a regional web ACL": given(
        arn=["guard", "arn:aws:wafv2:us-east-1:123456789012:global/webacl/guard/1234"]
    ),
    "watch_schedule must be an EventBridge schedule expression": [
        *("every 15 minutes", "15 minutes", "rate(0 minutes)", "rate(1 minutes)"),
        *("rate(15 minute)", "rate(1.5 hours)", "rate(30 seconds)", "cron(0 6 * * *)"),
        *("cron(0 6 * * * *)", "cron(0 6 ? * ? *)", "cron(0 6 * * ? *) "),
    ],
    "staging_retention_days must be a whole number, at least 1, or null": [0, 1.5],
    "log_retention_days must be a retention period that CloudWatch supports": [0, 31],
    "log_level must be DEBUG, INFO, WARNING or ERROR": ["LOUD"],
    "kms_key_arn must be the ARN of a key": [
        *("alias/data", KEY_ARN.replace("key/", "alias/"), KEY_ARN + "*", "1234abcd")
    ],
    "tags must contain at most 46 tags, with keys of 1 to 128": [
        *({"aws:team": "data"}, {"": "data"}, {129 * "a": "data"}, {"Team": "data!"}),
        *({"Team": 257 * "a"}, {str(number): "" for number in range(47)}),
    ],
}
# The expected message of each invalid combination of variables, including those above.
INVALID: list[tuple[str, dict[str, Any]]] = [
    *(
        (message, {re.split(r"\W", message)[0]: value})
        for message, values in INVALID_VALUES.items()
        for value in values
    ),
    *(
        ("api_key_value must be 20 to 128 characters long", each)
        for each in given({"api_auth": "key"}, api_key_value=[19 * "a", 129 * "a"])
    ),
    ("function_zip and image_uris exclude each other", {"image_uris": IMAGES, "function_zip": ZIP}),
    (
        "published_images are for x86_64 only",
        {"published_images": PUBLISHED, "architecture": "arm64"},
    ),
    *(
        ("published_images, image_uris and function_zip exclude each other", each)
        for each in given({"published_images": PUBLISHED}, image_uris=[IMAGES], function_zip=[ZIP])
    ),
    (
        "staging_retention_days is set, but manage_lifecycle_rules = false creates no",
        {"staging_retention_days": 30, "manage_lifecycle_rules": False},
    ),
    (
        "aurora configures the database that the module creates, but database is set",
        {"database": SECRET, "aurora": {"max_capacity": 8}},
    ),
]
VALID: list[dict[str, Any]] = [
    *given(name=["abc", "a-1-" + 22 * "b", "sthrees-1", "amzn-s3", "sga", "a-sg-1"]),
    {"landing_bucket": {"name": "my.files-1", "kms_key_arn": KEY_ARN}},
    {"landing_bucket": {"name": "files", "account_id": "210987654321", "prefixes": ["in/", "ö/"]}},
    {"alert_emails": ["data-team@example.com", "o'hara+alerts@mail.example.co.uk"]},
    *given(alert_on=["all", "failures", "failures_and_rejects"]),
    {"alert_endpoints": ["https://example.com", "https://example.com:8443/a?key=b"]},
    {"alert_queue_arns": [QUEUE_ARN], "alarm_topic_arn": TOPIC_ARN},
    {"alarm_topic_arn": TOPIC_ARN.replace("aws", "aws-us-gov")},
    *given(reject_rate_percent=[0, 99.9], max_concurrency=[1, 100]),
    {"base_image": "public.ecr.aws/lambda/python:3.13@sha256:" + 64 * "0"},
    {"base_image": "localhost:5000/lambda-python"},
    {"image_uris": IMAGES | {"load": f"{REGISTRY}.cn/ci/load:v1"}},
    {"published_images": PUBLISHED | {"version": "0.1.0", "digests": DIGESTS}},
    {"published_images": {"registry": "mirror.example.com:5000/github/tm_pipeline"}},
    {"database": IAM | {"resource_id": "prx-0a1b", "vpc": VPC}},
    {"database": SECRET | {"port": 65535, "vpc": VPC}},
    {"database_ca_bundle": "# Ours\n" + 2 * CERTIFICATE.replace("\n", "\r\n")},
    {"aurora": {"max_capacity": 1.5, "backup_days": 35}},
    *given({"api_auth": "key"}, api_key_value=[20 * "a", 128 * "a"]),
    *given(watch_schedule=["rate(1 minute)", "rate(10 hours)", "cron(0 6 L * ? 2030,2031)"]),
    {"watch_schedule": "cron(0/15 6-18 ? * MON-FRI *)"},
    {"staging_retention_days": 1, "kms_key_arn": KEY_ARN},
    {"kms_key_arn": KEY_ARN.replace("aws", "aws-us-gov").replace("key/", "key/mrk-")},
    {"tags": {"Cost centre": "Ä/1+2=3:@_.-", "Empty": ""}},
]
# The messages in each file of `terraform test` that name a variable. They must appear if the module
# ignores these variables.
EFFECTS = {
    path.name: [
        message
        for message in re.findall(r'error_message += "(.*)"', path.read_text())
        if "var." in message
    ]
    for path in MODULE.glob("tests/*.tftest.hcl")
}
NO_CONTRACTS = "There are no contracts in "
OTHER_VERSION = "published_images.version is "
UNTRUSTED = "The functions would not trust an RDS database in "
UNTRUSTED_PROXY = "database.host is an RDS Proxy"


@dataclass(frozen=True)
class Module:
    """A copy of the module, so that Terraform writes no files into the checkout."""

    folder: Path
    tool: terraform.Terraform

    def __call__(self, *arguments: str) -> None:
        finished = self.tool.run(*arguments, "-no-color", folder=self.folder)
        assert finished.returncode == 0, finished.stdout + finished.stderr

    def errors(self, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
        """Plan each of `runs`, mappings of variables; return the errors of each failed one."""
        return errors(plans_of(self.tool, self.folder, runs, "./tests/mocks"))


def parsed(path: Path) -> dict[str, Any]:
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    return hcl2.loads(path.read_text(), serialization_options=options)


def blocks(kind: str) -> dict[str, dict[str, Any]]:
    """Return the module's variables or outputs by name."""
    return {
        name: block
        for path in sorted(MODULE.glob("*.tf"))
        for each in parsed(path).get(kind, [])
        for name, block in each.items()
    }


def error_messages(node: object) -> list[str]:
    """Return every `error_message` in a node of a parsed file."""
    if isinstance(node, list):
        return [message for each in node for message in error_messages(each)]
    if not isinstance(node, dict):
        return []
    own = [node["error_message"]] if "error_message" in node else []
    return own + error_messages(list(node.values()))


def plans_of(
    tool: terraform.Terraform,
    folder: Path,
    runs: Mapping[str, Mapping[str, Any]],
    mocks: str | None,
    known: str = "apply",
) -> list[dict[str, Any]]:
    """Plan each of `runs`, mappings of variables, with `terraform test`; return its JSON output.

    Args:
        known: whether mocked values are known in the "plan", or only after the "apply".
    """
    tests = folder / "planned"
    tests.mkdir()
    aws = {"aws": {"source": mocks, "override_during": known}}
    provider = {"mock_provider": aws} if mocks else {}
    for name, variables in runs.items():
        document = provider | {"run": {name: {"command": "plan", "variables": variables}}}
        (tests / f"{name}.tftest.json").write_text(json.dumps(document))
    lines = tool.run("test", "-json", "-verbose", f"-test-directory={tests.name}", folder=folder)
    shutil.rmtree(tests)
    return [json.loads(line) for line in lines.stdout.splitlines()]


def named(messages: Iterable[str]) -> Iterator[str]:
    return (name for message in messages for name in re.findall(r"\bvar\.(\w+)", message))


def errors(output: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the errors of each failed run in the output of `terraform test`."""
    found: dict[str, list[str]] = {}
    for line in output:
        if line["type"] == "diagnostic" and line["diagnostic"]["severity"] == "error":
            found.setdefault(line["@testrun"], []).append(line["diagnostic"]["detail"])
    return found


@pytest.fixture(scope="module")
def run(planner: terraform.Terraform, tmp_path_factory: pytest.TempPathFactory) -> Module:
    """Return a copy of the module, which runs Terraform commands."""
    module = Module(checkout(tmp_path_factory.mktemp("checkout")) / "terraform", planner)
    module("init", "-backend=false")
    return module


def test_files_are_formatted(run: Module) -> None:
    run("fmt", "-check", "-diff", "-recursive")


def test_configuration_is_valid(run: Module) -> None:
    run("validate")


@pytest.mark.timeout(600)
def test_terraform_tests_pass(run: Module) -> None:
    run("test")


@pytest.fixture(scope="module")
def needs(run: Module) -> dict[str, set[str]]:
    """Return the direct dependencies of each resource and data source."""
    graph = run.tool.run("graph", folder=run.folder).stdout
    found: dict[str, set[str]] = {name: set() for name in re.findall(r'^ *"(\S+)" \[', graph, re.M)}
    for one, other in re.findall(r'"(\S+)" -> "(\S+)"', graph):
        found[one].add(other)
    return found


def test_all_resources_depend_on_the_check_of_prerequisites(needs: dict[str, set[str]]) -> None:
    """An apply that cannot build or copy the images must fail before it creates anything."""
    waiting = {"terraform_data.prerequisites"}
    while more := {name for name in needs if needs[name] & waiting} - waiting:
        waiting |= more

    assert len(waiting) > 50
    assert {name for name in needs if not name.startswith("data.")} - waiting == set(), (
        "add depends_on = [terraform_data.prerequisites]"
    )


def test_lifecycle_policy_depends_on_the_functions(needs: dict[str, set[str]]) -> None:
    assert "aws_lambda_function.this" in needs["aws_ecr_lifecycle_policy.function"]


def test_protection_is_destroyed_first(needs: dict[str, set[str]]) -> None:
    """Terraform first destroys the resources that no other depends on."""
    needed = set().union(*needs.values())

    assert needs.keys() - needed == {
        "terraform_data.protection",
        "aws_lambda_invocation.migrate",  # destroying it changes nothing on AWS
    }, "add these to protection.tf"


def test_no_resource_depends_on_migrate(needs: dict[str, set[str]]) -> None:
    """It fails while one contract is invalid, but everything else must be deployed."""
    assert {name for name in needs if "aws_lambda_invocation.migrate" in needs[name]} == set()
    # But files need the database.
    assert "aws_rds_cluster_instance.this" in needs["aws_s3_bucket_notification.landing"]


def test_every_variable_has_description_type_and_default() -> None:
    required = {"description", "type", "default"}
    variables = blocks("variable")

    assert not {name for name, block in variables.items() if not required <= block.keys()}
    # A variable either has the default null or is not nullable.
    assert not {
        name
        for name, block in variables.items()
        if (block["default"] is None) == (block.get("nullable", True) is False)
    }


@pytest.fixture(scope="module")
def validation_errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return Terraform's errors for INVALID and VALID, from a fast plan of variables.tf alone."""
    folder = tmp_path_factory.mktemp("variables")
    shutil.copy(MODULE / "variables.tf", folder)
    (folder / "main.tf.json").write_text(json.dumps({"locals": {"function_names": FUNCTIONS}}))
    tool = terraform.find(folder / "configuration")
    assert tool.run("init", folder=folder).returncode == 0
    # All variables unset.
    valid = [*VALID, dict.fromkeys(blocks("variable"))]
    runs = {f"invalid_{number}": variables for number, (_, variables) in enumerate(INVALID)}
    runs |= {f"valid_{number}": variables for number, variables in enumerate(valid)}
    output = plans_of(tool, folder, runs, None)
    assert {line["@testrun"] for line in output if line["type"] == "test_run"} == runs.keys()
    return errors(output)


@pytest.mark.parametrize("number", range(len(INVALID)))
def test_validation_explains_invalid_value(
    number: int, validation_errors: dict[str, list[str]]
) -> None:
    variables = INVALID[number][1]
    expected = [message for message, same in INVALID if same == variables]
    found = validation_errors.get(f"invalid_{number}", [])

    assert len(found) == len(expected), (variables, found)
    assert all(any(part in error for error in found) for part in expected), (variables, found)


def test_validation_accepts_valid_value(validation_errors: dict[str, list[str]]) -> None:
    assert [name for name in validation_errors if name.startswith("valid_")] == []


def test_every_error_message_is_tested() -> None:
    shown = {ALL_IMAGES, NO_CONTRACTS, OTHER_VERSION, UNTRUSTED, UNTRUSTED_PROXY, *BAD_CONTRACTS}
    shown |= {message for message, _ in INVALID}
    messages = [
        message.replace('\\"', '"')
        for path in MODULE.glob("*.tf")
        for message in error_messages(parsed(path))
    ]

    assert messages
    assert [message for message in messages if not any(part in message for part in shown)] == []


BAD_CONTRACTS = {
    "must be a folder with at least one contract, <table>.odcs.yaml",
    "Name each contract <table>.odcs.yaml, where <table> is up to 48",
    "not encoded in UTF-8: save each contract in UTF-8.",
    "larger than the limit of 512 KiB: shorten each contract.",
    "are larger than 8 MiB in total: move some tables to another stack.",
    "contains no contract for that table: set it to one of",
}


def test_plan_refuses_invalid_contract_files(run: Module, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("Orders.odcs.yaml", "orders.yaml", "orders.odcs.yml", "notes.txt"):
        (bad / name).write_text("x")
    (bad / "latin.odcs.yaml").write_bytes("é".encode("latin-1"))
    (bad / "huge.odcs.yaml").write_text((512 * 1024 + 3) * "x")
    (bad / "most.odcs.yaml").write_text(512 * 1024 * "x")
    (bad / "more").mkdir()
    (bad / "more" / "deep.odcs.YAML").write_text("x")
    many = tmp_path / "many"
    many.mkdir()
    for n in range(17):
        (many / f"t{n}.odcs.yaml").write_text(512 * 1024 * "x")

    found = run.errors(
        {
            "absent": {"function_zip": ZIP, "contracts_dir": str(tmp_path / "absent")},
            "bad": {"function_zip": ZIP, "contracts_dir": str(bad)},
            "many": {"function_zip": ZIP, "contracts_dir": str(many), "api_get_table": "t17"},
        }
    )

    [absent] = found["absent"]
    assert absent.startswith(f'contracts_dir, "{tmp_path}/absent", must be a folder with at least')
    misnamed, huge, garbled = sorted(found["bad"])
    assert misnamed.startswith(
        f'{bad} contains "Orders.odcs.yaml", "more/deep.odcs.YAML", "orders.odcs.yml", '
        '"orders.yaml". Name each contract <table>.odcs.yaml, '
    )
    assert huge.startswith(f'{bad} contains "huge.odcs.yaml", larger than the limit of 512 KiB: ')
    assert garbled.startswith(f'{bad} contains "latin.odcs.yaml", not encoded in UTF-8: ')
    table, whole = sorted(found["many"], reverse=True)
    assert whole.startswith(f"The contracts in {many} are larger than 8 MiB in total: ")
    assert table.startswith(
        f'api_get_table is "t17", but {many} contains no contract for that table: '
    )


@pytest.mark.deep
def test_plan_refuses_digests_of_another_version(run: Module) -> None:
    """If an upgrade keeps the digests, the new Terraform configuration would run old code."""
    published = PUBLISHED | {"version": "0.0.1", "digests": DIGESTS}

    [answer] = run.errors({"old": {"published_images": published}})["old"]

    assert f"{OTHER_VERSION}0.0.1, but the module's version is {VERSION}: " in answer


@pytest.mark.deep
def test_plan_refuses_untrusted_rds_region(run: Module) -> None:
    """Source of the host names: github.com/aws/aws-advanced-python-wrapper, utils/rds_utils.py."""
    aws = "https://truststore.pki.rds.amazonaws.com"
    hosts = {
        "db.x1.mars-north-1.rds.amazonaws.com": ("mars-north-1", aws),
        "DB-1.cluster-x1.Mars-North-1.RDS.amazonaws.com": ("mars-north-1", aws),
        "eu-west-1.cluster-custom-x1.mars-north-1.rds.amazonaws.eu.": ("mars-north-1", aws),
        "eu-west-1.cluster-ro-x1.rds.cn-mars-1.amazonaws.com.cn": (
            "cn-mars-1",
            "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn",
        ),
        "db.x1.us-gov-west-1.rds.amazonaws.com": None,
        "mars-north-1.x1.ca-west-1.rds.amazonaws.com": None,
        "db.global-x1.global.rds.amazonaws.com": None,
        # These have public certificates.
        "db.endpoint.proxy-x1.mars-north-1.rds.amazonaws.com": None,
        "mars-north-1.rds.example.com": None,
    }
    found = run.errors(
        {
            f"host_{number}": {"function_zip": ZIP, "database": SECRET | {"host": host}}
            for number, host in enumerate(hosts)
        }
    )

    for number, (host, where) in enumerate(hosts.items()):
        answers = found.get(f"host_{number}", [])
        if where is None:
            assert answers == [], host
            continue
        region, url = where
        [answer] = answers
        assert f"{UNTRUSTED}{region}: " in answer
        assert f"Download {url}/{region}/{region}-bundle.pem, " in answer
        assert f'set database_ca_bundle = file("{region}-bundle.pem")' in answer


def test_plan_refuses_module_without_its_repository(tmp_path: Path, run: Module) -> None:
    """With an absolute path Terraform copies only the module, with `//` the whole repository."""
    module = checkout(tmp_path / "elsewhere") / "terraform"
    root = {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}},
        "module": {
            "absolute": {"source": str(module), "name": "absolute"},
            "published": {
                "source": str(module),
                "name": "published",
                "published_images": PUBLISHED,
            },
            "copied": {"source": f"{module.parent}//terraform", "name": "copied"},
        },
    }
    (tmp_path / "main.tf.json").write_text(json.dumps(root))
    assert run.tool.run("init", folder=tmp_path).returncode == 0

    output = plans_of(run.tool, tmp_path, {"both": {}}, str(module / "tests" / "mocks"))

    found = [line["diagnostic"]["detail"] for line in output if line["type"] == "diagnostic"]
    for name, error in zip(("absolute", "published"), sorted(found), strict=True):
        assert f"{NO_CONTRACTS}.terraform/modules/{name}/" in error
        assert 'set source to a relative path or to "<repository>//terraform"' in error


@pytest.mark.deep
@pytest.mark.parametrize("file", EFFECTS)
def test_terraform_tests_fail_if_a_variable_is_ignored(
    file: str, run: Module, tmp_path: Path
) -> None:
    """Replace variables by unset variables of the same type: the assertions must fail.

    They must fail without an error: Terraform skips the runs after a run with an error.
    """
    folder = tmp_path / "checkout" / "terraform"
    shutil.copytree(run.folder, folder, symlinks=True)
    for each in (".dockerignore", "contracts", "functions", "shared"):
        (folder.parent / each).symlink_to(CHECKOUT / each)
    names = set(named(EFFECTS[file]))
    ignored = rf"\bvar\.({'|'.join(names)})\b"
    variables = (folder / "variables.tf").read_text()
    for path in folder.glob("*.tf"):
        if path.name != "variables.tf":
            path.write_text(re.sub(ignored, r"var.unset_\1", path.read_text()))
    found = re.findall(r'^(variable "(\w+)" {$.*?^}\n)', variables, re.DOTALL | re.MULTILINE)
    unset = "\n".join(block for block, name in found if name in names)
    unset = re.sub(r'^variable "', 'variable "unset_', unset, flags=re.MULTILINE)
    (folder / "unset.tf").write_text(re.sub(ignored, r"var.unset_\1", unset))

    output = run.tool.run("test", "-json", f"-filter=tests/{file}", folder=folder)

    failed = {
        line["diagnostic"]["detail"]
        for line in map(json.loads, output.stdout.splitlines())
        if line["type"] == "diagnostic" and line["diagnostic"]["summary"] == "Test assertion failed"
    }
    assert set(EFFECTS[file]) <= failed


def test_every_variable_has_an_effect() -> None:
    assert set(named(chain(*EFFECTS.values()))) == blocks("variable").keys()
