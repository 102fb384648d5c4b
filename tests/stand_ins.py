"""Fakes of the commands `aws` and `docker` for terraform/*_image.sh.

They record their calls, can be set to fail, and store pushed images in a folder or, if
AWS_ENDPOINT_URL is set, in the ECR of the emulator.
"""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parent.parent


@dataclass(frozen=True)
class StandIns:
    """The folder with the state of the fakes."""

    folder: Path

    @property
    def path(self) -> Path:
        """The folder of the commands, for PATH."""
        return self.folder / "bin"

    def install(self, *commands: str) -> None:
        """Create the commands."""
        self.path.mkdir(parents=True, exist_ok=True)
        for command in commands:
            script = self.path / command
            script.write_text(
                f"#!{sys.executable}\n"
                f"import sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
                "from pathlib import Path\nfrom tests.stand_ins import StandIns, aws, docker\n"
                f"{command}(StandIns(Path({str(self.folder)!r})), sys.argv[1:])\n"
            )
            script.chmod(0o755)

    def fail(self, command: str, message: str) -> None:
        """Make a command, e.g. `docker push`, fail with a message."""
        (self.folder / f"{command}.fails").write_text(message)

    def act_for(self, account: str) -> None:
        """Set the account of the AWS CLI, by default the one of Terraform."""
        (self.folder / "account").write_text(account)

    def calls(self, command: str = "") -> list[list[str]]:
        """Return the calls that begin with the words of `command`, in order."""
        log = self.folder / "calls.jsonl"
        calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        words = command.split()
        return [call for call in calls if call[: len(words)] == words]

    def called(self, *call: str) -> None:
        """Record a call; exit with the message if it is set to fail."""
        with (self.folder / "calls.jsonl").open("a") as log:
            log.write(json.dumps(call) + "\n")
        for file in self.folder.glob("*.fails"):
            words = file.stem.split()
            if list(call[: len(words)]) == words:
                sys.exit(file.read_text())

    def push(self, image: str) -> None:
        """Store an image in the registry."""
        repository, _, tag = image.rpartition(":")
        name = repository.partition("/")[2]
        if ecr := _ecr():
            # Each build has another digest.
            manifest = json.dumps({"schemaVersion": 2, "image": os.urandom(8).hex()})
            ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag=tag)
        else:
            (self.folder / f"{name.replace('/', '%')}:{tag}.image").touch()

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest of an image in the registry, or None."""
        if ecr := _ecr():
            try:
                found = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
            except ecr.exceptions.RepositoryNotFoundException as error:
                sys.exit(f"\n{error}")
            return found["imageDetails"][0]["imageDigest"] if found["imageDetails"] else None
        exists = (self.folder / f"{name.replace('/', '%')}:{tag}.image").exists()
        return f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}" if exists else None


def _ecr() -> Any:
    if "AWS_ENDPOINT_URL" not in os.environ:
        return None
    import boto3  # noqa: PLC0415 - slow to import

    return boto3.client("ecr")


def aws(stand_ins: StandIns, arguments: list[str]) -> None:
    """Simulate the AWS CLI commands of the scripts."""
    stand_ins.called("aws", *arguments)
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    if arguments[:2] == ["ecr", "get-login-password"]:
        print("the-password")  # noqa: T201
        return
    if arguments[:2] == ["sts", "get-caller-identity"]:
        assert (options["--query"], options["--output"]) == ("Account", "text")
        account = stand_ins.folder / "account"
        print(account.read_text() if account.exists() else os.environ["ACCOUNT"])  # noqa: T201
        return
    assert arguments[:2] == ["ecr", "describe-images"]
    assert options["--query"] == "imageDetails[0].imageDigest"
    tag = options["--image-ids"].removeprefix("imageTag=")
    digest = stand_ins.digest(options["--repository-name"], tag)
    if digest is None:
        sys.exit(
            "\nAn error occurred (ImageNotFoundException) when calling the DescribeImages "
            f"operation: The image with imageId {{imageTag: {tag}}} does not exist"
        )
    print(digest)  # noqa: T201


def docker(stand_ins: StandIns, arguments: list[str]) -> None:
    """Simulate `docker info`, `buildx`, `login` and `push`."""
    stand_ins.called("docker", *arguments)
    if arguments[0] == "login":
        assert sys.stdin.read() == "the-password"
    if arguments[0] == "push":
        stand_ins.push(arguments[1])
