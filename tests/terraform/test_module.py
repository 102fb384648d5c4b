"""The module under Terraform's own tools; its rules about itself stand in `terraform/tests/`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local import terraform

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Run a command of Terraform on a copy of the module, so that nothing is written beside it."""
    checkout = tmp_path_factory.mktemp("checkout")
    module = checkout / "terraform"
    leftovers = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    shutil.copytree(ROOT / "terraform", module, ignore=leftovers)
    for name in (".dockerignore", "contracts", "functions", "shared"):
        (checkout / name).symlink_to(ROOT / name)
    tool = terraform.find(checkout / "configuration")

    def run(*arguments: str) -> None:
        finished = tool.run(*arguments, "-no-color", folder=module)
        assert finished.returncode == 0, finished.stdout + finished.stderr

    run("init", "-backend=false")
    return run


def test_the_files_are_formatted(run: Callable[..., None]) -> None:
    run("fmt", "-check", "-diff", "-recursive")


def test_the_configuration_is_valid(run: Callable[..., None]) -> None:
    run("validate")


def test_the_rules_hold(run: Callable[..., None]) -> None:
    run("test")
