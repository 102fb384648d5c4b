"""Tests of `terraform apply` with built and copied images, on the emulator, without Docker."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.stack import Aws
from shared.version import VERSION
from tests.checkout import CHECKOUT, FUNCTIONS
from tests.fixtures.registries import SOURCE, Registries, digest, image, registries
from tests.stand_ins import StandIns
from tests.terraform.emulation import Root, checkout
from tests.terraform.inventory import inventory

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

# The emulator cannot run images, and so not the function migrate.
TARGET = "-target=module.pipeline.aws_lambda_function.this"


@dataclass(frozen=True)
class Deployment:
    """A copy of the module and its sources, applied under its own name."""

    sources: Path
    root: Root
    stand_ins: StandIns
    aws: Aws
    front: Registries

    def set(self, **variables: Any) -> None:
        """Set variables of the module; None unsets one."""
        document = json.loads((self.root.folder / "main.tf.json").read_text())
        document["module"]["pipeline"] |= variables
        (self.root.folder / "main.tf.json").write_text(json.dumps(document))

    def apply(self) -> dict[str, str]:
        """Apply; return the image of each function."""
        self.root.run("apply", "-auto-approve", "-input=false", TARGET)
        client = self.aws.client("lambda")
        return {
            name: client.get_function(FunctionName=f"tm-images-{name}")["Code"]["ImageUri"]
            for name in FUNCTIONS
        }

    def built(self) -> list[str]:
        """Return the functions whose images were built, sorted, with duplicates."""
        return sorted(
            word.removeprefix("FUNCTION=")
            for call in self.stand_ins.calls("docker buildx build")
            for word in call
            if word.startswith("FUNCTION=")
        )

    def tags(self) -> dict[str, list[str]]:
        client = self.aws.client("ecr")
        found = {}
        for name in FUNCTIONS:
            images = client.describe_images(repositoryName=f"tm-images/{name}")["imageDetails"]
            found[name] = [tag for image in images for tag in image["imageTags"]]
        return found


@pytest.fixture
def front(tmp_path: Path, emulator: Aws) -> Iterator[Registries]:
    """Start a registry with published releases, and one that behaves like ECR on AWS."""
    with registries(emulator, tmp_path) as front:
        yield front
    ecr = emulator.client("ecr")
    for repository in ecr.describe_repositories()["repositories"]:
        if (name := repository["repositoryName"]).startswith("tm-published/"):
            ecr.delete_repository(repositoryName=name, force=True)


@pytest.fixture
def deployment(tmp_path: Path, emulator: Aws, front: Registries) -> Iterator[Deployment]:
    sources = checkout(tmp_path / "checkout")
    stand_ins = StandIns(tmp_path / "stand-ins")
    stand_ins.install("aws", "docker")
    environment = front.install(stand_ins)
    environment |= {"PATH": f"{stand_ins.path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    root = Root.of(tmp_path / "root", emulator, **environment)
    root.folder.mkdir()
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
    (root.folder / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
    root.run("init", "-input=false")
    yield Deployment(sources, root, stand_ins, emulator, front)
    root.destroy()


def test_apply_builds_only_changed_images(deployment: Deployment) -> None:
    deployment.stand_ins.fail("docker push", "denied: no")
    status, output = deployment.root.try_to("apply", "-auto-approve", TARGET)
    assert status == 1
    assert "image of load: 000000000000.dkr.ecr.us-east-1.amazonaws.com rejected the push" in output
    client = deployment.aws.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="tm-images-load")
    for file in ("docker push.fails", "calls.jsonl"):
        (deployment.stand_ins.folder / file).unlink()

    first = deployment.apply()

    assert deployment.built() == sorted(FUNCTIONS)
    assert all("/tm-images/" in uri and "@sha256:" in uri for uri in first.values())
    assert all(len(tags) == 1 for tags in deployment.tags().values())
    assert len(set(first.values())) == len(FUNCTIONS)

    # This fails if the plan has changes.
    deployment.root.run("plan", "-detailed-exitcode", TARGET)

    # A source file of load, and the lock file of api, load and migrate.
    for file in ("load/rows.py", "requirements-database.txt"):
        with (deployment.sources / "functions" / file).open("a") as source:
            source.write("# a new line\n")
    changed = {"api", "load", "migrate"}
    (deployment.sources / "functions" / "README.md").write_text("no part of any image")
    second = deployment.apply()

    assert deployment.built() == sorted([*FUNCTIONS, *changed])
    assert {name for name in FUNCTIONS if first[name] != second[name]} == changed
    assert {name: len(tags) for name, tags in deployment.tags().items()} == {
        name: 2 if name in changed else 1 for name in FUNCTIONS
    }

    # A rollback uses the earlier images again.
    shutil.copytree(CHECKOUT / "functions", deployment.sources / "functions", dirs_exist_ok=True)

    assert deployment.apply() == first
    assert deployment.built() == sorted([*FUNCTIONS, *changed])


def publish(front: Registries, version: str) -> dict[str, str]:
    digests = {}
    for name in FUNCTIONS:
        manifest, blobs = image(f"{name} {version}")
        front.publish(f"tm-published/{name}:{version}", manifest, *blobs)
        digests[name] = digest(manifest)
    return digests


def test_apply_copies_images_of_its_version(deployment: Deployment) -> None:
    front = deployment.front
    deployment.set(published_images={"registry": f"{SOURCE}/tm-published"})
    publish(front, "98.0.0")
    before = inventory(deployment.aws)
    status, output = deployment.root.try_to("apply", "-auto-approve", TARGET)
    assert status == 1
    assert f"images: {SOURCE}/tm-published/" in output
    assert "does not exist: check that this version is released and published there" in output
    assert inventory(deployment.aws) == before

    published = publish(front, VERSION)
    first = deployment.apply()

    assert {name: uri.partition("@")[2] for name, uri in first.items()} == published
    assert all("/tm-images/" in uri for uri in first.values())
    deployment.root.run("plan", "-detailed-exitcode", TARGET)

    # The next version, by digest.
    file = deployment.sources / "shared" / "version.py"
    file.write_text(file.read_text().replace(f'VERSION = "{VERSION}"', 'VERSION = "99.0.0"'))
    published = publish(front, "99.0.0")
    by_digest = {"version": "99.0.0", "digests": published}
    deployment.set(published_images={"registry": f"{SOURCE}/tm-published", **by_digest})
    second = deployment.apply()

    assert {name: uri.partition("@")[2] for name, uri in second.items()} == published
    tags = deployment.tags()
    assert {tag.rpartition("-")[0] for each in tags.values() for tag in each} == {VERSION, "99.0.0"}

    # A rollback uses the earlier images again.
    shutil.copy(CHECKOUT / "shared" / "version.py", file)
    deployment.set(published_images={"registry": f"{SOURCE}/tm-published"})
    requests = len(front.requests)
    assert deployment.apply() == first
    assert len(front.requests) == requests

    # Only building uses Docker.
    assert deployment.stand_ins.calls("docker") == []
    deployment.set(published_images=None)
    deployment.apply()
    assert deployment.built() == sorted(FUNCTIONS)
