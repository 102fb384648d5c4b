"""Tests of the pre-commit hooks, each with an error that it must find."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.checkout import CHECKOUT
from tests.programs import Done, run

pytestmark = pytest.mark.git

CONFIG = ".pre-commit-config.yaml"
HOOKS = [
    hook["id"]
    for repository in yaml.safe_load((CHECKOUT / CONFIG).read_text())["repos"]
    for hook in repository["hooks"]
]

# For each hook: a file, text with an error, a part of the hook's output, and valid text.
ERRORS = {
    "whitespace": ("notes.md", "<<<<<<< HEAD\n", "conflict marker", "# Notes\n"),
    "ruff-format": ("shared/x.py", "x = 'y'\n", "1 file reformatted", 'x = "y"\n'),
    "ruff-check": ("local/x.py", '"""X."""\n\nimport os\n', "F401", '"""X."""\n'),
    "import-layers": (
        "shared/text.py",
        "import functions.load.rows\n",
        "shared.text -> functions.load.rows (l.1)",
        "import shared.errors\n",
    ),
    "terraform-fmt": ("terraform/x.tf", "locals {\nx=1\n}\n", "x.tf", "locals {\n  x = 1\n}\n"),
    "workflows": (
        ".github/workflows/x.yml",
        "on: push\njobs: {x: {runs-on: linux, step: []}}\n",
        "'step' was unexpected",
        "on: push\njobs: {x: {runs-on: linux, steps: [{run: ls}]}}\n",
    ),
    # In two parts, so that the hook does not find it here.
    "secrets": ("x.tf", "-----BEGIN RSA " + "PRIVATE KEY-----\n", "Private Key", "# A key\n"),
}

# By detect-secrets' name of the kind; in two parts for the same reason.
SECRETS = {
    "AWS Access Key": "key = 'AKIA" + "2OGYBAH6STMMNXNN'",
    "Base64 High Entropy String": "value = 'vK3dXq8Jm2LpTzR7" + "wYbN5cGhEaUfSi0o9QkMjVtZ'",
    "Secret Keyword": "pass" + "word = 'hunter2-but-longer'",
    "Basic Auth Credentials": "https://user:" + "s3cr3tw0rd@example.com/simple",
}


class Checkout:
    """A git repository with the hooks, their configuration and the tools of this checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        run("git", "init", "--quiet", cwd=folder)
        for name in (CONFIG, "pyproject.toml"):
            shutil.copy(CHECKOUT / name, folder)
        for name in ("cli", "functions", "local", "shared"):
            shutil.copytree(CHECKOUT / name, folder / name)
        (folder / ".venv").symlink_to(CHECKOUT / ".venv")
        self.stage(CONFIG, (folder / CONFIG).read_text())

    def stage(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        run("git", "add", name, cwd=self._folder)

    def run(self, hook: str) -> Done:
        return run(".venv/bin/pre-commit", "run", "--verbose", hook, cwd=self._folder)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "pre-commit"))
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Checkout(folder)


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_finds_its_error_and_accepts_valid_text(checkout: Checkout, hook: str) -> None:
    name, invalid, output, valid = ERRORS[hook]
    checkout.stage(name, invalid)
    found = checkout.run(hook)
    assert (found.returncode, output in found.stdout) == (1, True), found.stdout
    checkout.stage(name, valid)
    passed = checkout.run(hook)
    assert (passed.returncode, "Passed" in passed.stdout) == (0, True), passed.stdout


def test_secrets_hook_finds_each_kind_of_secret(checkout: Checkout) -> None:
    checkout.stage("x.py", "\n".join(SECRETS.values()))
    found = checkout.run("secrets").stdout
    assert [kind for kind in SECRETS if f"Secret Type: {kind}" not in found] == []


def test_secrets_hook_accepts_excluded_pattern(checkout: Checkout) -> None:
    checkout.stage("x.py", 'secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"\n')
    assert checkout.run("secrets").returncode == 0
