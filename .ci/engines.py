"""Build, run and pull images, with Docker or with buildah.

`.ci/run` sets TM_CI_ENGINE. Containers use the host's network, because the laptop cloud listens on
127.0.0.1.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """The interface that both engines implement."""

    def build(self, image: str, function: str, checkout: Path) -> None:
        """Build the image of one function from a checkout."""

    def running(
        self,
        image: str,
        command: Sequence[str] = (),
        environment: Mapping[str, str] = {},
        files: Mapping[str, Path] = {},
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run `command`, or the image's own command, as the image's user.

        `files` maps paths in the container to files of this machine. The output goes to stderr.
        The container is removed when the block ends.
        """

    def fetch(self, address: str, image: str, certificates: Path) -> None:
        """Pull an image from the emulator's registry, and name it `image`.

        `certificates` is the folder with the registry's certificate.
        """

    def megabytes(self, image: str) -> float:
        """Return the size of an image, in 1,000,000 bytes."""


class Docker:
    """Docker. It trusts every registry on 127.0.0.1, so it ignores the emulator's certificate.

    https://docs.docker.com/reference/cli/dockerd/#insecure-registries
    """

    def build(self, image: str, function: str, checkout: Path) -> None:
        _run("docker", "build", "--quiet", *_what(image, function, checkout))

    @contextmanager
    def running(
        self,
        image: str,
        command: Sequence[str] = (),
        environment: Mapping[str, str] = {},
        files: Mapping[str, Path] = {},
    ) -> Iterator[subprocess.Popen[bytes]]:
        name = f"tm-ci-{uuid.uuid4().hex}"
        entrypoint = [f"--entrypoint={each}" for each in command[:1]]
        arguments = ["--rm", "--name", name, "--network=host", "--pull=never", *entrypoint]
        arguments += [*_options(environment, files), image, *command[1:]]
        process = subprocess.Popen(["docker", "run", *arguments], stdout=sys.stderr)
        try:
            yield process
        finally:
            # The container may already have ended.
            subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
            process.wait()

    def fetch(self, address: str, image: str, certificates: Path) -> None:
        _run("docker", "pull", "--quiet", address)
        _run("docker", "tag", address, image)

    def megabytes(self, image: str) -> float:
        return int(_run("docker", "image", "inspect", "--format={{.Size}}", image)) / 1e6


class Buildah:
    """buildah, for a machine without a Docker daemon."""

    def build(self, image: str, function: str, checkout: Path) -> None:
        what = _what(image, function, checkout)
        _run("buildah", "build", "--quiet", "--pull=never", "--layers", *what)

    @contextmanager
    def running(
        self,
        image: str,
        command: Sequence[str] = (),
        environment: Mapping[str, str] = {},
        files: Mapping[str, Path] = {},
    ) -> Iterator[subprocess.Popen[bytes]]:
        config = json.loads(_run("buildah", "inspect", "--type=image", image))["OCIv1"]["config"]
        command = command or [*config.get("Entrypoint", ()), *config.get("Cmd", ())]
        container = _run("buildah", "from", "--pull=never", image)
        arguments = ["--network=host", *_options(environment, files), container, "--", *command]
        process = subprocess.Popen(["buildah", "run", *arguments], stdout=sys.stderr)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            _run("buildah", "rm", container)

    def fetch(self, address: str, image: str, certificates: Path) -> None:
        options = ["--quiet", f"--cert-dir={certificates}", "--creds=AWS:password"]
        _run("buildah", "tag", _run("buildah", "pull", *options, f"docker://{address}"), image)

    def megabytes(self, image: str) -> float:
        (found,) = json.loads(_run("buildah", "images", "--json", image))
        size, unit = found["size"].split()
        return float(size) * {"MB": 1, "GB": 1000}[unit]


def chosen() -> Engine:
    engines: dict[str, Engine] = {"buildah": Buildah(), "docker": Docker()}
    try:
        return engines[os.environ["TM_CI_ENGINE"]]
    except KeyError:
        raise SystemExit(
            "TM_CI_ENGINE is not set: set it to docker or buildah, as .ci/run does."
        ) from None


def _what(image: str, function: str, checkout: Path) -> list[str]:
    dockerfile = checkout / "functions" / "Dockerfile"
    argument = f"--build-arg=FUNCTION={function}"
    return [argument, f"--file={dockerfile}", f"--tag={image}", str(checkout)]


def _options(environment: Mapping[str, str], files: Mapping[str, Path]) -> list[str]:
    return [
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(f"--volume={here}:{there}:ro" for there, here in files.items()),
    ]


def _run(*command: str) -> str:
    """Run a command that must succeed; return its output."""
    return subprocess.check_output(command, text=True).strip()
