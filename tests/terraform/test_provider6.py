"""Validation of the module with the schemas of AWS provider 5.100 and 6.x.

A provider that only has a schema (`provider6/server.py`) serves both. So the tests find unsupported
and deprecated arguments, attributes and blocks, but not changed defaults or checks of 6.x.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from tests.stand_ins import CHECKOUT
from tests.terraform.emulation import checkout
from tests.terraform.provider6 import schema

pytestmark = pytest.mark.programs

EXAMPLES = sorted(path.name for path in (CHECKOUT / "terraform" / "examples").iterdir())

# The expected warnings, each with its reason.
GSI = "5.100 lacks the replacement, global_secondary_index.key_schema"
KNOWN = {
    "5.100": {},
    "6.x": {
        "aws_dynamodb_table.global_secondary_index.hash_key is deprecated.": GSI,
        "aws_dynamodb_table.global_secondary_index.range_key is deprecated.": GSI,
    },
}


def resource(kind: str, *lines: str) -> str:
    return "\n".join([f'resource "{kind}" "a" {{', *lines, "}"])


VERSIONING = ('bucket = "a"', 'versioning_configuration { status = "Enabled" }')
# A configuration, and Terraform's messages with 5.100 and, if they differ, with 6.x.
PLANTED: dict[str, tuple[str, *tuple[set[str], ...]]] = {
    "removed_argument": (
        resource("aws_api_gateway_deployment", 'rest_api_id = "a"', 'stage_name = "Prod"'),
        {"aws_api_gateway_deployment.stage_name is deprecated."},
        {"Unsupported argument"},
    ),
    "removed_block": (
        resource("aws_api_gateway_deployment", 'rest_api_id = "a"', "canary_settings {}"),
        {"aws_api_gateway_deployment.canary_settings is deprecated."},
        {"Unsupported block type"},
    ),
    "removed_attribute": (
        resource("aws_api_gateway_deployment", 'rest_api_id = "a"')
        + '\noutput "a" { value = aws_api_gateway_deployment.a.invoke_url }',
        {"Deprecated attribute"},
        {"Unsupported attribute"},
    ),
    "new_argument": (
        resource("aws_sns_topic", 'region = "eu-central-1"'),
        {"Unsupported argument"},
        set(),
    ),
    "newly_optional_argument": (
        resource(
            *("aws_dynamodb_table", 'name = "a"', "global_secondary_index {"),
            *('name = "a"', 'projection_type = "ALL"', "}"),
        ),
        {"Missing required argument"},
        set(),
    ),
    "newly_deprecated_argument": (
        resource("aws_s3_bucket_versioning", 'expected_bucket_owner = "1"', *VERSIONING),
        set(),
        {"aws_s3_bucket_versioning.expected_bucket_owner is deprecated."},
    ),
    "newly_deprecated_attribute": (
        'data "aws_region" "a" {}\noutput "a" { value = data.aws_region.a.name }',
        set(),
        {"Deprecated attribute"},
    ),
    "deprecated_block": (
        resource("aws_s3_bucket", "versioning {}"),
        {"aws_s3_bucket.versioning is deprecated."},
    ),
    "too_many_blocks": (
        resource("aws_s3_bucket_versioning", *VERSIONING, VERSIONING[1]),
        {"Too many versioning_configuration blocks"},
    ),
    "result_as_argument": (
        resource("aws_sns_topic", 'arn = "arn:aws:sns:eu-central-1:123456789012:a"'),
        {"aws_sns_topic.arn is a result and takes no value."},
    ),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> schema.Schema:
    folder = tmp_path_factory.mktemp("machine")
    return schema.of_this_machine(terraform.find(folder / "configuration"), folder)


@pytest.fixture(scope="module", params=KNOWN)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tool(
    version: str, machine: schema.Schema, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[terraform.Terraform]:
    """Return Terraform with a provider that has the schema of `version`."""
    folder = tmp_path_factory.mktemp("provider")
    served = machine if version == "5.100" else schema.of_6(machine)
    file = folder / "schema.json"
    file.write_text(json.dumps({"provider_schemas": {schema.ADDRESS: served}}))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.terraform.provider6.server", file],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        found = terraform.find(folder / "configuration")
        plugin = {"TF_REATTACH_PROVIDERS": server.stdout.readline()}
        yield terraform.Terraform(found.command, {**found.environment, **plugin})


@pytest.fixture(scope="module")
def module(tool: terraform.Terraform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("checkout")) / "terraform"


def validate(tool: terraform.Terraform, folder: Path) -> list[dict[str, Any]]:
    """Return every error and warning of `terraform validate` in a folder."""
    assert tool.run("init", "-backend=false", folder=folder).returncode == 0
    report = json.loads(tool.run("validate", "-json", folder=folder).stdout)
    return list(report["diagnostics"])


def test_overlay_contains_the_types_of_the_module() -> None:
    overlay = json.loads(schema.OVERLAY.read_text())
    types = {part: sorted(changes) for part, changes in overlay["types"].items()}

    assert types == schema.used(), "run `make provider-schema`"
    assert overlay["changes"] == terraform.PROVIDER_VERSION, "run `make provider-schema`"


@pytest.mark.parametrize("folder", [".", *(f"examples/{name}" for name in EXAMPLES)])
def test_configuration_has_only_known_warnings(
    folder: str, version: str, tool: terraform.Terraform, module: Path
) -> None:
    found = validate(tool, module / folder)

    assert [each for each in found if each["summary"] not in KNOWN[version]] == []
    assert {each["summary"] for each in found} == KNOWN[version].keys(), "a known warning is gone"


@pytest.mark.deep
@pytest.mark.parametrize("version", ["6.x"], indirect=True, scope="module")
def test_terraform_tests_pass_with_6x(tool: terraform.Terraform, module: Path) -> None:
    """Run all files of terraform/tests. test_module.py runs them with 5.100."""
    done = tool.run("test", "-json", folder=module)

    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    warnings = {line["diagnostic"]["summary"] for line in found if line["type"] == "diagnostic"}
    assert warnings <= KNOWN["6.x"].keys()


def test_validation_finds_planted_errors(
    version: str, tool: terraform.Terraform, tmp_path: Path
) -> None:
    for name, (configuration, *_) in PLANTED.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").write_text(configuration)
    calls = {name: {"source": f"./{name}"} for name in PLANTED}
    (tmp_path / "main.tf.json").write_text(json.dumps({"module": calls}))

    found: dict[str, set[str]] = {name: set() for name in PLANTED}
    for each in validate(tool, tmp_path):
        found[Path(each["range"]["filename"]).parent.name].add(each["summary"])
    which = -1 if version == "6.x" else 1
    assert found == {name: planted[which] for name, planted in PLANTED.items()}
