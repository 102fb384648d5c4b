"""`terraform apply` with images that it builds itself, on the emulator; Docker is a stand-in."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from tests.checkout import CHECKOUT, FUNCTIONS
from tests.fixtures.laptop import Laptop
from tests.stand_ins import StandIns
from tests.terraform.inventory import inventory

pytestmark = pytest.mark.deep

# The emulator cannot run an image, and so not the migration that an apply ends with.
TARGET = "-target=module.pipeline.aws_lambda_function.this"


@dataclass(frozen=True)
class Deployment:
    """A copy of what the module is made of, applied under a name of its own."""

    folder: Path
    tool: terraform.Terraform
    stand_ins: StandIns
    laptop: Laptop

    @property
    def sources(self) -> Path:
        """The copy of the checkout."""
        return self.folder / "checkout"

    def run(self, *arguments: str) -> str:
        done = self.tool.run(*arguments, "-no-color", folder=self.folder / "root")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def apply(self) -> dict[str, str]:
        """Apply; return the image that each function runs on Lambda."""
        self.run("apply", "-auto-approve", "-input=false", TARGET)
        client = self.laptop.aws.client("lambda")
        return {
            name: client.get_function(FunctionName=f"tm-images-{name}")["Code"]["ImageUri"]
            for name in FUNCTIONS
        }

    def built(self) -> list[str]:
        """Return the functions whose images were built so far, sorted."""
        return sorted(
            word.removeprefix("FUNCTION=")
            for call in self.stand_ins.calls("docker buildx build")
            for word in call
            if word.startswith("FUNCTION=")
        )

    def tags(self) -> dict[str, list[str]]:
        client = self.laptop.aws.client("ecr")
        return {
            name: [
                tag
                for image in client.describe_images(repositoryName=f"tm-images/{name}")[
                    "imageDetails"
                ]
                for tag in image["imageTags"]
            ]
            for name in FUNCTIONS
        }


@pytest.fixture
def deployment(tmp_path: Path, laptop: Laptop) -> Iterator[Deployment]:
    for part in ("contracts", "functions", "shared", "terraform"):
        ignore = shutil.ignore_patterns("__pycache__", ".terraform*")
        shutil.copytree(CHECKOUT / part, tmp_path / "checkout" / part, ignore=ignore)
    shutil.copy(CHECKOUT / ".dockerignore", tmp_path / "checkout")
    root = tmp_path / "root"
    root.mkdir()
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"
    pipeline: dict[str, Any] = {
        "source": "../checkout/terraform",
        "name": "tm-images",
        "deletion_protection": False,
        "database": {
            "host": "127.0.0.1",
            "name": "pipeline",
            "auth": "secret",
            "secret_arns": {"migrate": arn, "load": arn, "api": arn},
        },
    }
    (root / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
    stand_ins = StandIns(tmp_path / "stand-ins")
    stand_ins.install("aws", "docker")
    tool = terraform.find(tmp_path / "configuration")
    environment = {
        **tool.environment,
        **laptop.aws.environment(),
        "PATH": f"{stand_ins.path}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
    }
    made = Deployment(tmp_path, terraform.Terraform(tool.command, environment), stand_ins, laptop)
    made.run("init", "-input=false")
    yield made
    made.run("destroy", "-auto-approve", "-input=false")


def test_an_apply_builds_what_changed_and_nothing_else(deployment: Deployment) -> None:
    first = deployment.apply()

    assert deployment.built() == sorted(FUNCTIONS)
    assert all("/tm-images/" in uri and "@sha256:" in uri for uri in first.values())
    assert all(len(tags) == 1 for tags in deployment.tags().values())
    assert len(set(first.values())) == len(FUNCTIONS)

    plan = deployment.tool.run(
        "plan", "-detailed-exitcode", "-no-color", TARGET, folder=deployment.folder / "root"
    )
    assert plan.returncode == 0, plan.stdout + plan.stderr

    # A file of load, and the lock of api and migrate.
    for file in ("load/rows.py", "requirements-database.txt"):
        with (deployment.sources / "functions" / file).open("a") as source:
            source.write("# a changed line\n")
    changed = {"api", "load", "migrate"}
    (deployment.sources / "functions" / "README.md").write_text("no part of any image")
    second = deployment.apply()

    assert deployment.built() == sorted([*FUNCTIONS, *changed])
    assert {name for name in FUNCTIONS if first[name] != second[name]} == changed
    assert {name: len(tags) for name, tags in deployment.tags().items()} == {
        name: 2 if name in changed else 1 for name in FUNCTIONS
    }

    # Back to what was: those images are there still.
    shutil.copytree(CHECKOUT / "functions", deployment.sources / "functions", dirs_exist_ok=True)

    assert deployment.apply() == first
    assert deployment.built() == sorted([*FUNCTIONS, *changed])


def test_a_machine_that_cannot_build_images_makes_nothing(deployment: Deployment) -> None:
    root = deployment.folder / "root"
    pipeline = {"source": "../checkout/terraform", "name": "tm-images"}
    (root / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
    deployment.stand_ins.fail("docker buildx version", "'buildx' is not a docker command.")
    before = inventory(deployment.laptop.aws)

    done = deployment.tool.run("apply", "-auto-approve", "-no-color", folder=root)

    assert done.returncode == 1
    assert "images: Docker has no buildx: install its plugin, or build the images elsewhere" in (
        done.stdout + done.stderr
    )
    assert inventory(deployment.laptop.aws) == before
    # The next apply checks again.
    plan = deployment.run("plan", "-input=false")
    assert "module.pipeline.terraform_data.prerequisites[0] is tainted" in plan
    assert "module.pipeline.aws_rds_cluster.this[0] will be created" in plan


def test_a_push_that_is_refused_deploys_nothing_and_the_next_apply_goes_on(
    deployment: Deployment,
) -> None:
    deployment.stand_ins.fail("docker push", "denied: no")
    done = deployment.tool.run(
        "apply", "-auto-approve", "-no-color", TARGET, folder=deployment.folder / "root"
    )
    assert done.returncode == 1
    assert "image of load: 000000000000.dkr.ecr.us-east-1.amazonaws.com refused the push" in (
        done.stdout + done.stderr
    )
    client = deployment.laptop.aws.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="tm-images-load")

    (deployment.stand_ins.folder / "docker push.fails").unlink()

    assert deployment.apply().keys() == set(FUNCTIONS)
