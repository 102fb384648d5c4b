"""The commands in the documentation exist and take the options that they are given."""

import json
import re
from dataclasses import asdict
from itertools import chain

import pytest
import typer

from cli import doctor, user
from docs.deploy_policies import policies
from functions.migrate.migration import Migration
from shared import odcs
from tests import aws_commands
from tests.checkout import CHECKOUT, FUNCTIONS
from tests.commands import in_blocks, in_line, parse_tm, unknown_options
from tests.terraform.leftovers import leftovers

TEXTS = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md")),
    *CHECKOUT.glob("docs/**/*.md"),
    *CHECKOUT.glob("terraform/**/README.md"),
]
MODULE = CHECKOUT / "terraform"
GUIDE = (CHECKOUT / "docs" / "first-deployment.md").read_text("utf-8")
SECTIONS = re.findall(r"^### \d+ (.+?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL)


def blocks(command: str) -> list[str]:
    found = (words for path in TEXTS for words in in_blocks(path.read_text("utf-8")))
    return sorted({"\0".join(words[1:]) for words in found if words[0] == command})


def inline(command: str) -> list[str]:
    return sorted(set(chain(*(in_line(path.read_text("utf-8"), command) for path in TEXTS))))


@pytest.mark.parametrize("command", blocks("aws"), ids=lambda text: text.replace("\0", " ")[:60])
def test_aws_command_in_a_block_is_valid(command: str) -> None:
    aws_commands.check(command.split("\0"))


@pytest.mark.parametrize("command", inline("aws"))
def test_aws_command_in_a_line_is_valid(command: str) -> None:
    [[_, *words]] = in_blocks(f"```sh\n{command}\n```")
    if words != ["--version"]:
        aws_commands.check(words)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("rdss describe-db-clusters", "there is no service rdss"),
        ("rds describe-clusters", "has no operation describe-clusters"),
        ("rds describe-db-clusters --cluster x", "has no --cluster"),
        ("rds describe-db-clusters --filters Key=x", "--filters has no Key"),
        ("rds describe-events --source-type cluster", "--source-type is one of"),
        ("rds describe-events --duration hour", "--duration is a number"),
        ("rds describe-db-clusters --query DBClusters[].Arn", "matches nothing"),
        ("rds describe-db-clusters --query DBClusters[].[Engine,Arn]", "matches nothing"),
        ("rds describe-db-clusters x", "takes 0 words"),
        ("rds wait db-cluster-gone", "has no waiter db-cluster-gone"),
        ("rds delete-db-cluster --skip-final-snapshot", "needs --db-cluster-identifier"),
        ("rds delete-db-cluster --db-cluster-identifier x y", "takes one value"),
        ("rds delete-db-cluster --db-cluster-identifier", "needs a value"),
        ("rds delete-db-cluster --skip-final-snapshot yes --db-cluster-identifier x", "no value"),
        ("lambda invoke --function-name x", "takes 1 words"),
        ("logs tail --since 1h", "takes 1 words"),
        ("logs tail /aws/lambda/x --from 1h", "has no --from"),
    ],
)
def test_invalid_aws_command_is_found(command: str, problem: str) -> None:
    with pytest.raises(aws_commands.Misused) as raised:
        aws_commands.check(command.split())
    assert problem in str(raised.value)


@pytest.mark.parametrize("command", blocks("tm"), ids=lambda text: text.replace("\0", " "))
def test_tm_command_in_a_block_is_valid(command: str) -> None:
    parse_tm(command.split("\0"))


@pytest.mark.parametrize("command", inline("tm"))
def test_tm_command_in_a_line_has_known_options(command: str) -> None:
    if command != "tm --version":
        assert unknown_options(command.split()[1:]) == set()


def test_unknown_tm_command_and_option_are_found() -> None:
    assert unknown_options(["status", "[ID]", "[--wacht]"]) == {"--wacht"}
    with pytest.raises(typer.TyperException):
        unknown_options(["stats"])


def test_guide_uses_existing_outputs_and_functions() -> None:
    outputs = set(re.findall(r'^output "(\w+)"', (MODULE / "outputs.tf").read_text(), re.M))
    asked = set(re.findall(r"(?:\$\(|^  )out (\w+(?:\.\w+)?)", GUIDE, re.M))

    assert len(asked) > 5
    assert {each.partition(".")[0] for each in asked} <= outputs
    assert {each.partition(".")[2] for each in asked if "." in each} <= set(FUNCTIONS)


def test_policies_allow_every_command_of_the_guide() -> None:
    guide = [words[1:] for words in in_blocks(GUIDE) if words[0] == "aws"]
    guide += [line.split()[1:] for line in in_line(GUIDE, "aws") if line != "aws --version"]
    allowed = {
        action
        for policy in policies().values()
        for statement in json.loads(policy)["Statement"]
        for action in statement["Action"]
    }

    # AWS allows it to every identity.
    assert {aws_commands.action(words) for words in guide} - allowed == {"sts:GetCallerIdentity"}


def test_guide_names_resources_of_the_module() -> None:
    module = "".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    for made in (
        'aurora_id      = "${var.name}-database"',
        'name        = "${var.name}-${local.aurora_family}"',
        'alarm_name        = "${var.name}-health"',
        'for name, status in { failed = "Failed",',
        '"executions-${name}" => {',
        'for name in ["trigger", "alert", "watch"] :\n      "function-errors-${name}" =>',
        'cidr = "10.0.0.0/24"',
        'ca_cert_identifier   = "rds-ca-rsa2048-g1"',
        'aurora_version = "17"',
        'users       = { load = "loader", api = "reader" }',
        "own_tags = { Application = var.name,",
    ):
        assert made in module


def test_guide_expects_the_printed_output(capsys: pytest.CaptureFixture[str]) -> None:
    relations = [contract.relation for contract in odcs.load_all().values()]
    user.show("nobody", [])
    leftovers.tell([], "tm-pipeline")
    no_rows, nothing_left = capsys.readouterr().out.splitlines()
    expected = " ".join(GUIDE.split())

    for printed in (
        json.dumps(asdict(Migration(tables=["source", *relations]))),
        no_rows,
        nothing_left.partition(" (")[0],
    ):
        assert f"`{printed}`" in expected
    for check in ("landing", "subscriptions", "alarms"):
        assert check in doctor.CHECKS
    assert "deletion_protection is true" in (MODULE / "protection.tf").read_text()
    assert "docker buildx build failed" in (MODULE / "build_image.sh").read_text()


def test_guide_counts_the_rules() -> None:
    alerts = (MODULE / "alerts.tf").read_text()
    [events] = re.findall(r"^  alert_events = {\n(.*?)^  }", alerts, re.M | re.S)
    by_pattern = re.findall(r"^    ([\w-]+) = {", events, re.M)
    expected = " ".join(GUIDE.split())

    assert f"{len(FUNCTIONS) + 1} rules with a schedule, `tm-pipeline-watch`" in expected
    assert f"for each of the {len(FUNCTIONS)} functions" in expected
    names = " and ".join(f"`tm-pipeline-{name}`" for name in by_pattern)
    assert f"{len(by_pattern)} with `None`, {names}" in expected


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_guide_section_has_all_points(title: str, text: str) -> None:
    points = re.findall(r"^- \*\*(.+?)\*\*", text, re.MULTILINE)
    assert points == ["Why", "Run", "Expect", "If it differs"]
    anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
    assert re.search(rf"^\| \[\d+\]\(#\d+-{anchor}\) \| \d+", GUIDE, re.MULTILINE)
