"""Tests of terraform/copy_image.sh, which copies one image between two registries."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.stack import Aws
from tests.fixtures.registries import (
    MANIFEST,
    PASSWORD,
    SOURCE,
    STORAGE,
    TARGET,
    Answer,
    Registries,
    digest,
    image,
    registries,
)
from tests.stand_ins import CHECKOUT, StandIns

# A fresh machine need not have curl.
pytestmark = [pytest.mark.programs, pytest.mark.deep]

ACCOUNT = TARGET.partition(".")[0]
TAG = "0.1.0-0123456789ab"
INDEX = MANIFEST.replace("manifest", "index")
SHELLS = [shell for shell in ("dash", "bash", "ksh", "busybox") if shutil.which(shell)]
# The tools that the script uses, and the shell that Terraform uses.
TOOLS = ("awk", "cat", "cp", "cut", "mktemp", "mv", "rm", "sed", "sh", "sha256sum", "tr")


@dataclass
class Machine:
    """Environment with the AWS CLI, curl and only the tools that the script needs."""

    front: Registries
    stand_ins: StandIns
    environment: dict[str, str]
    name: str
    """The published image's name, without a tag."""
    copy_of: str
    """The repository's name."""
    manifest: bytes
    blobs: list[bytes]

    def start(self, *arguments: str, shell: str = "sh", **more: str) -> "subprocess.Popen[str]":
        command = ["busybox", "sh"] if shell == "busybox" else [shell]
        return subprocess.Popen(
            [*command, CHECKOUT / "terraform" / "copy_image.sh", *arguments],
            executable=shutil.which(command[0]),
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, shell: str = "sh", **more: str
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, shell=shell, **more)
        out, err = process.communicate(timeout=100)
        self.see_no_secret(out + err)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def see_no_secret(self, output: str) -> None:
        """Check that no file, output or command line contains a password or token."""
        assert list(Path(self.environment["TMPDIR"]).iterdir()) == []
        calls = self.stand_ins.folder / "curl.calls"
        seen = output + (calls.read_text() if calls.exists() else "") + str(self.stand_ins.calls())
        assert [word for word in (PASSWORD, "token-", "hunter") if word in seen] == []

    def copy(self, **more: str) -> str:
        """Run the script, which must succeed; return its output."""
        done = self.run(**more)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refuses(self, *arguments: str, **more: str) -> str:
        """Run the script, which must fail; return its error message without the prefix."""
        done = self.run(*arguments, **more)
        what = "images: " if arguments else "image of load: "
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        assert line.startswith(what)
        return line.removeprefix(what)

    @property
    def copied(self) -> list[str]:
        """The digests of the images in the repository."""
        ecr = self.front.emulator.client("ecr")
        found = ecr.describe_images(repositoryName=self.copy_of)["imageDetails"]
        return [each["imageDigest"] for each in found]

    def source(self, what: str, method: str = "GET", host: str = SOURCE) -> str:
        """Return a request for a part of the published image, as `Registries` records it."""
        return f"{method} {host} /v2/{self.name}/{what}"

    def target(self, what: str, method: str) -> str:
        return f"{method} {TARGET} /v2/{self.copy_of}/{what}"


@pytest.fixture
def machine(emulator: Aws, tmp_path: Path) -> Iterator[Machine]:
    """Return an environment in which the script copies the image load:0.1.0."""
    stand_ins = StandIns(tmp_path / "stand-ins")
    stand_ins.install("aws")
    for tool in TOOLS:
        (stand_ins.path / tool).symlink_to(str(shutil.which(tool)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    unique = os.urandom(4).hex()
    name, copy_of = f"published/{unique}/load", f"copies/{unique}/load"
    emulator.client("ecr").create_repository(repositoryName=copy_of, imageTagMutability="IMMUTABLE")
    manifest, blobs = image("load")
    with registries(emulator, tmp_path) as front:
        front.publish(f"{name}:0.1.0", manifest, *blobs)
        environment = {
            **emulator.environment(),
            **front.install(stand_ins),
            "PATH": str(stand_ins.path),
            "TMPDIR": str(temporary),
            "FUNCTION": "load",
            "SOURCE": f"{SOURCE}/{name}:0.1.0",
            "REPOSITORY": f"{TARGET}/{copy_of}",
            "TAG": TAG,
            "REGION": "us-east-1",
            "ACCOUNT": ACCOUNT,
            "IMAGES": f"{copy_of}:{TAG}={SOURCE}/{name}:0.1.0",
        }
        yield Machine(front, stand_ins, environment, name, copy_of, manifest, blobs)


def other_content() -> Answer:
    return 200, {"Content-Type": MANIFEST}, b"something else"


@pytest.mark.parametrize("shell", SHELLS)
def test_copy_is_identical_in_every_shell(shell: str, machine: Machine) -> None:
    output = machine.copy(shell=shell)

    assert output == (
        f"{TARGET}/{machine.copy_of}:{TAG} is a copy of "
        f"{SOURCE}/{machine.name}:0.1.0, with the digest {digest(machine.manifest)}\n"
    )
    assert machine.front.fetch(machine.copy_of, TAG) == (MANIFEST, machine.manifest)
    for blob in machine.blobs:
        place = f"/v2/{machine.copy_of}/blobs/{digest(blob)}"
        assert machine.front.forward("GET", place, {"Host": TARGET}, b"")[2] == blob
    # The redirect to the source's storage is followed without a token.
    assert machine.source(f"blobs/{digest(machine.blobs[0])}", "GET", STORAGE) in (
        machine.front.requests
    )

    before = len(machine.front.requests)

    assert machine.copy(shell=shell) == f"{TARGET}/{machine.copy_of}:{TAG} exists already\n"
    assert len(machine.front.requests) == before


def test_copy_refuses_image_with_another_digest(machine: Machine) -> None:
    by_digest = {"SOURCE": f"{SOURCE}/{machine.name}@{digest(machine.manifest)}"}
    request = machine.source(f"manifests/{digest(machine.manifest)}")

    machine.front.faults[request] = other_content
    assert machine.refuses(**by_digest) == (
        f"{SOURCE} sent an image with the digest {digest(b'something else')} "
        f"instead of {by_digest['SOURCE']}"
    )
    del machine.front.faults[request]
    machine.copy(**by_digest)
    assert machine.copied == [digest(machine.manifest)]

    # An existing copy must have the digest too.
    other = {"SOURCE": f"{SOURCE}/{machine.name}@sha256:{64 * '0'}"}
    assert machine.refuses(**other).endswith(
        f"exists, but is not {other['SOURCE']}: delete it, with the digest "
        f"{digest(machine.manifest)}"
    )


def test_copy_refuses_layer_with_another_digest(machine: Machine) -> None:
    layer = digest(machine.blobs[1])
    machine.front.faults[machine.source(f"blobs/{layer}", "GET", STORAGE)] = other_content

    assert machine.refuses() == (
        f"{SOURCE} sent a blob of {SOURCE}/{machine.name}:0.1.0 whose digest is not {layer}"
    )
    assert machine.copied == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (INDEX, "is an image index, which Lambda does not support: set the digest of one of"),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "is an image index, which Lambda does not support: set the digest of one of its",
        ),
        ("text/html", "is not an image, but text/html"),
    ],
)
def test_copy_refuses_media_types_that_lambda_does_not_support(
    kind: str, line: str, machine: Machine
) -> None:
    answer = (200, {"Content-Type": f"{kind}; charset=utf-8"}, b"{}")
    machine.front.faults[machine.source("manifests/0.1.0")] = lambda: answer

    for arguments in ((), ("--check",)):
        assert machine.refuses(*arguments).startswith(f"{SOURCE}/{machine.name}:0.1.0 {line}")


def test_copy_reports_unpublished_version(machine: Machine) -> None:
    there = {name: machine.environment[name] for name in ("SOURCE", "IMAGES")}
    missing = {name: value[:-1] + "1" for name, value in there.items()}

    for arguments in ((), ("--check",)):
        assert machine.refuses(*arguments, **missing).startswith(
            f"{missing['SOURCE']} does not exist: check that this version is released and published"
        )


def test_copy_of_private_image_requires_login(machine: Machine) -> None:
    machine.front.login = 'me:hunter"2\\'

    for basic in (False, True):
        machine.front.basic = basic
        assert machine.refuses().startswith(
            f"{SOURCE}/{machine.name}:0.1.0 is not public: set TM_REGISTRY_LOGIN=<user>:<password>."
        )
        machine.copy(TM_REGISTRY_LOGIN=machine.front.login, TAG=f"0.1.0-{basic}")


def test_copy_renews_expired_token(machine: Machine) -> None:
    machine.front.token_lasts = 1

    machine.copy()

    tokens = [each for each in machine.front.requests if each == f"GET {SOURCE} /token"]
    assert len(tokens) == 1 + len(machine.blobs)


@pytest.mark.parametrize(
    "challenge", ['Bearer realm="http://registry.example/token"', "Negotiate", "nothing"]
)
def test_copy_reports_unsupported_login(challenge: str, machine: Machine) -> None:
    answer = (401, {"WWW-Authenticate": challenge}, b"")
    machine.front.faults[machine.source("manifests/0.1.0")] = lambda: answer

    assert machine.refuses(TM_REGISTRY_LOGIN="me:hunter2") == (
        f"{SOURCE} requires an unsupported kind of login: {challenge}"
    )


def test_copy_reports_unreachable_registry(machine: Machine) -> None:
    machine.environment["FRONT"] = "1"

    for arguments in ((), ("--check",)):
        output = machine.refuses(*arguments)
        assert output.startswith("no answer from a registry: curl: (7) Failed to connect to ")
        assert SOURCE in output or "127.0.0.1" in output


def test_copy_resumes_after_interruption(machine: Machine) -> None:
    *_, last = machine.blobs
    request = machine.source(f"blobs/{digest(last)}", "GET", STORAGE)
    arrived, killed = threading.Event(), threading.Event()

    def hang() -> Answer:
        arrived.set()
        killed.wait(60)
        return 500, {}, b""

    machine.front.faults[request] = hang
    process = machine.start()
    assert arrived.wait(60)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    killed.set()
    assert process.returncode == 130
    machine.see_no_secret(out + err)
    assert machine.copied == []

    del machine.front.faults[request]
    before = len(machine.front.requests)
    machine.copy()

    uploads = [each for each in machine.front.requests[before:] if each.startswith("PUT")]
    assert len(uploads) == 2  # the last layer and the manifest
    assert machine.copied == [digest(machine.manifest)]


def test_copy_retries_transient_errors(machine: Machine) -> None:
    request = machine.source("manifests/0.1.0")

    def once() -> Answer:
        del machine.front.faults[request]
        return 503, {}, b""

    machine.front.faults[request] = once

    machine.copy()


def refusal() -> Answer:
    return 400, {}, b'{"errors":\n[]}'


@pytest.mark.parametrize(
    ("what", "method", "answer", "line"),
    [
        ("blobs/", "HEAD", (400, {}, b""), " answers 400 to a request for sha256:"),
        ("blobs/uploads/", "POST", refusal(), " answers 400 to the start of an upload: {"),
        (
            "blobs/uploads/",
            "POST",
            (202, {"Location": "https://elsewhere.example/x"}, b""),
            " redirects an upload to another host: https://elsewhere.example/x",
        ),
        ("blobs/uploads/", "PUT", refusal(), " answers 400 to the upload of sha256:"),
        # ECR claims that it has the layers, but does not have them.
        ("blobs/", "HEAD", (200, {}, b""), " answers 404 to the manifest: {"),
        (f"manifests/{TAG}", "PUT", refusal(), " answers 400 to the manifest: {"),
    ],
)
def test_copy_reports_errors_of_ecr_in_one_line(
    what: str, method: str, answer: Answer, line: str, machine: Machine
) -> None:
    machine.front.faults[machine.target(what, method)] = lambda: answer

    assert machine.refuses().startswith(f"{TARGET}{line}")
    assert machine.copied == []


def test_copy_accepts_only_the_same_image_copied_concurrently(machine: Machine) -> None:
    """Tags are immutable, so ECR may reject the second manifest."""
    request = machine.target(f"manifests/{TAG}", "PUT")

    def later(manifest: bytes) -> Answer:
        place = f"/v2/{machine.copy_of}/manifests/{TAG}"
        headers = {"Host": TARGET, "Content-Type": MANIFEST}
        assert machine.front.forward("PUT", place, headers, manifest)[0] == 201
        return refusal()

    machine.front.faults[request] = lambda: later(machine.manifest)
    machine.copy()
    assert machine.copied == [digest(machine.manifest)]

    ecr = machine.front.emulator.client("ecr")
    ecr.batch_delete_image(
        repositoryName=machine.copy_of, imageIds=[{"imageDigest": digest(machine.manifest)}]
    )
    machine.front.faults[request] = lambda: later(machine.manifest + b" ")
    assert machine.refuses().startswith(f"{TARGET} answers 400 to the manifest: ")


def test_check_copies_nothing(machine: Machine) -> None:
    done = machine.run("--check")

    assert (done.returncode, done.stdout) == (0, "this machine can copy the images\n")
    assert {each.partition(" /")[0] for each in machine.front.requests} == {f"GET {SOURCE}"}
    assert machine.copied == []

    machine.copy()
    before = len(machine.front.requests)
    done = machine.run("--check")
    assert (done.returncode, done.stdout) == (0, "all images exist already\n")
    assert len(machine.front.requests) == before

    other = f"{machine.copy_of}:{TAG}={SOURCE}/{machine.name}@sha256:{64 * '0'}"
    assert "exists, but is not" in machine.refuses("--check", IMAGES=other)

    ecr = machine.front.emulator.client("ecr")
    ecr.delete_repository(repositoryName=machine.copy_of, force=True)

    assert machine.run("--check").returncode == 0


def test_check_refuses_credentials_of_another_account(machine: Machine) -> None:
    machine.stand_ins.act_for("210987654321")

    assert machine.refuses("--check") == (
        f"the AWS CLI uses account 210987654321, but Terraform uses {ACCOUNT}: "
        "configure the same credentials for both"
    )
    assert machine.front.requests == []


@pytest.mark.parametrize("tool", sorted({*TOOLS, "aws", "curl"} - {"sh"}))
def test_missing_command_is_reported(tool: str, machine: Machine) -> None:
    (machine.stand_ins.path / tool).unlink()
    called = {"aws": "the AWS CLI (command aws)", "sha256sum": "the command sha256sum or shasum"}

    for arguments in ((), ("--check",)):
        output = machine.refuses(*arguments)
        assert output.startswith(f"{called.get(tool, f'the command {tool}')} is missing: install ")
        assert output.endswith("or build the images elsewhere and set image_uris")
    assert machine.front.requests == []


def test_copy_uses_shasum_if_sha256sum_is_missing(machine: Machine) -> None:
    (machine.stand_ins.path / "sha256sum").unlink()
    (machine.stand_ins.path / "shasum").symlink_to(str(shutil.which("shasum")))
    (machine.stand_ins.path / "perl").symlink_to(str(shutil.which("perl")))

    machine.copy()

    assert machine.copied == [digest(machine.manifest)]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "aws ecr get-login-password",
            f"the AWS CLI cannot get a password for {TARGET}: denied no",
        ),
        ("aws ecr describe-images", "the AWS CLI cannot read the repository copies/"),
    ],
)
def test_errors_of_the_aws_cli_are_reported(command: str, line: str, machine: Machine) -> None:
    machine.stand_ins.fail(command, "denied\nno")

    assert machine.refuses().startswith(line)
    assert machine.front.requests == []
