"""Tests of the module's README, outputs and resource addresses."""

import re
from pathlib import Path

import pytest
from cryptography import x509

from cli import stack
from docs import module_readme
from shared.database import RDS_BUNDLE

pytestmark = pytest.mark.programs

MODULE = Path(__file__).parents[2] / "terraform"
ADDRESSES = Path(__file__).with_name("addresses.txt")
DESTROYED = {
    "aws_api_gateway_integration.get",
    "aws_api_gateway_method.get",
    "aws_api_gateway_request_validator.parameters",
    "aws_api_gateway_resource.get",
    "aws_api_gateway_resource.second",
    "aws_api_gateway_resource.third",
    "aws_s3_object.database_ca_bundle",
}
"""Removed resources without a `moved` block: routes that the function handles now, and an object
that another one replaces."""


def found(pattern: str) -> list[str]:
    """Return the matches of a pattern at the beginning of lines in the module's files."""
    text = "".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    return [".".join(match.groups()) for match in re.finditer(f"^{pattern}", text, re.MULTILINE)]


def test_readme_is_up_to_date() -> None:
    text = module_readme.README.read_text()
    assert text == module_readme.with_tables(text), "run `make docs`"


def test_tables_have_every_variable_and_output() -> None:
    tables = module_readme.inputs() + module_readme.outputs()

    rows = re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)
    assert sorted(rows) == sorted(found(r'(?:variable|output) "(\w+)"'))
    assert "|  |" not in tables


def test_regions_are_those_of_the_ca_bundle() -> None:
    [line] = re.findall(r"^The functions trust .*$", module_readme.README.read_text(), re.MULTILINE)
    roots = x509.load_pem_x509_certificates(RDS_BUNDLE.read_bytes())
    subjects = [root.subject.rfc4514_string() for root in roots]

    assert re.findall(r"`([a-z-]+-\d)`", line) == sorted(
        {region for subject in subjects for region in re.findall(r"CN=Amazon RDS (\S+) ", subject)}
    )


def test_outputs_mention_tm_if_it_reads_them() -> None:
    read = re.findall(r"^\| `(\w+)` \|.* tm reads it\.", module_readme.outputs(), re.MULTILINE)
    # api_key is null unless api_auth = "key".
    assert sorted(read) == sorted([*stack._OUTPUTS, "api_key"])


def test_examples_and_readme_have_the_versions_of_the_module() -> None:
    pattern = re.compile(r'version\s+= "(>= [^"]*)"')
    versions = pattern.findall((MODULE / "versions.tf").read_text())
    terraform, provider = (re.findall(r"[\d.]+", each) for each in versions)

    for example in (MODULE / "examples").iterdir():
        assert pattern.findall((example / "main.tf").read_text()) == versions, example.name
    text = module_readme.README.read_text()
    assert f"Terraform {terraform[0]} or newer" in text
    assert f"AWS provider {provider[0]} or newer, below {provider[1]}" in text


def test_removed_address_has_a_moved_block() -> None:
    """`addresses.txt` lists every address of all releases."""
    known = set(ADDRESSES.read_text().split())
    present = set(found(r'resource "(\w+)" "(\w+)"'))
    moved = set(found(r"(?:moved|removed) {\n +from += ([\w.]+)"))

    assert known >= DESTROYED
    assert known - present - moved == DESTROYED, "give each a `moved` block, or a `removed` one"
    assert present - known == set(), f"add these to {ADDRESSES}"
