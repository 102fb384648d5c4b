"""The script by which `terraform apply` copies one published image, between two registries."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local import ministack
from local.processes import Processes
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

pytestmark = pytest.mark.programs

ACCOUNT = TARGET.partition(".")[0]
INDEX = MANIFEST.replace("manifest", "index")
SHELLS = [shell for shell in ("dash", "bash", "ksh", "busybox") if shutil.which(shell)]
# Those that the script names, and the shell that Terraform runs it with.
TOOLS = ("awk", "cat", "cp", "cut", "mktemp", "mv", "rm", "sed", "sh", "sha256sum", "tr")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The emulator alone."""
    home = tmp_path_factory.mktemp("emulator")
    processes = Processes(home / "processes")
    aws = ministack.start(processes, home, print)
    try:
        ministack.wait_until_ready(processes, aws)
        yield aws
    finally:
        ministack.stop(processes, home)


@dataclass
class Machine:
    """A machine with the AWS CLI, curl, and little more than a shell."""

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

    def see_no_secret(self, said: str) -> None:
        """See that neither files nor what anybody can see tells a password or a token."""
        assert list(Path(self.environment["TMPDIR"]).iterdir()) == []
        calls = self.stand_ins.folder / "curl.calls"
        seen = said + (calls.read_text() if calls.exists() else "") + str(self.stand_ins.calls())
        assert [word for word in (PASSWORD, "token-", "hunter") if word in seen] == []

    def copy(self, **more: str) -> str:
        """Copy; return what it says."""
        done = self.run(**more)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refuses(self, *arguments: str, **more: str) -> str:
        """Run it; return the one line with which it fails."""
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
        """Return a request for something of the published image."""
        return f"{method} {host} /v2/{self.name}/{what}"

    def target(self, what: str, method: str) -> str:
        return f"{method} {TARGET} /v2/{self.copy_of}/{what}"


@pytest.fixture
def machine(emulator: Aws, tmp_path: Path) -> Iterator[Machine]:
    """It is to copy the image load:0.1.0."""
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
            "TAG": "0.1.0-0123456789ab",
            "REGION": "us-east-1",
            "ACCOUNT": ACCOUNT,
            "IMAGES": f"{copy_of}:0.1.0-0123456789ab={SOURCE}/{name}:0.1.0",
        }
        yield Machine(front, stand_ins, environment, name, copy_of, manifest, blobs)


def other_content() -> Answer:
    return 200, {"Content-Type": MANIFEST}, b"something else"


def of_type(kind: str) -> Answer:
    return 200, {"Content-Type": f"{kind}; charset=utf-8"}, b"{}"


@pytest.mark.parametrize("shell", SHELLS)
def test_an_image_is_copied_to_the_byte(shell: str, machine: Machine) -> None:
    said = machine.copy(shell=shell)

    assert said == (
        f"{TARGET}/{machine.copy_of}:0.1.0-0123456789ab is a copy of "
        f"{SOURCE}/{machine.name}:0.1.0, with the digest {digest(machine.manifest)}\n"
    )
    assert machine.front.fetch(machine.copy_of, "0.1.0-0123456789ab") == (
        MANIFEST,
        machine.manifest,
    )
    for blob in machine.blobs:
        place = f"/v2/{machine.copy_of}/blobs/{digest(blob)}"
        assert machine.front.forward("GET", place, {"Host": TARGET}, b"")[2] == blob
    # Who may not read the source's storage by a token is sent there without one.
    assert machine.source(f"blobs/{digest(machine.blobs[0])}", "GET", STORAGE) in (
        machine.front.requests
    )


def test_one_that_is_there_costs_one_question(machine: Machine) -> None:
    machine.copy()
    before = len(machine.front.requests)

    assert machine.copy() == f"{TARGET}/{machine.copy_of}:0.1.0-0123456789ab is there already\n"
    assert len(machine.front.requests) == before


def test_by_its_digest_an_image_is_that_or_none(machine: Machine) -> None:
    wanted = {"SOURCE": f"{SOURCE}/{machine.name}@{digest(machine.manifest)}"}
    request = machine.source(f"manifests/{digest(machine.manifest)}")

    machine.front.faults[request] = other_content
    assert machine.refuses(**wanted) == (
        f"{SOURCE} sent another image than {wanted['SOURCE']}, with the digest "
        f"{digest(b'something else')}"
    )
    del machine.front.faults[request]
    machine.copy(**wanted)
    assert machine.copied == [digest(machine.manifest)]

    # And so is one that is there already.
    other = {"SOURCE": f"{SOURCE}/{machine.name}@sha256:{64 * '0'}"}
    assert machine.refuses(**other).endswith(
        f"is another image than {other['SOURCE']}: delete it, with the digest "
        f"{digest(machine.manifest)}"
    )


def test_a_layer_with_another_content_is_not_copied(machine: Machine) -> None:
    layer = digest(machine.blobs[1])
    machine.front.faults[machine.source(f"blobs/{layer}", "GET", STORAGE)] = other_content

    assert machine.refuses() == (
        f"{SOURCE} sent something else than {layer} of {SOURCE}/{machine.name}:0.1.0"
    )
    assert machine.copied == []


@pytest.mark.deep
@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (INDEX, "is an image index, which Lambda does not take: name one image of it by its"),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "is an image index, which Lambda does not take: name one image of it by its digest",
        ),
        ("text/html", "is no image, but text/html"),
    ],
)
def test_what_lambda_does_not_take_is_refused_at_once(
    kind: str, line: str, machine: Machine
) -> None:
    machine.front.faults[machine.source("manifests/0.1.0")] = lambda: of_type(kind)

    for arguments in ((), ("--check",)):
        assert machine.refuses(*arguments).startswith(f"{SOURCE}/{machine.name}:0.1.0 {line}")


def test_a_version_that_is_not_published(machine: Machine) -> None:
    there = {name: machine.environment[name] for name in ("SOURCE", "IMAGES")}
    missing = {name: value[:-1] + "1" for name, value in there.items()}

    for arguments in ((), ("--check",)):
        assert machine.refuses(*arguments, **missing).startswith(
            f"{SOURCE} has no {missing['SOURCE']}: is this version released, and published there?"
        )


def test_an_image_that_is_not_public_needs_a_login(machine: Machine) -> None:
    machine.front.login = 'me:hunter"2\\'

    for basic in (False, True):
        machine.front.basic = basic
        assert machine.refuses().startswith(
            f"{SOURCE} does not let everybody read {SOURCE}/{machine.name}:0.1.0: "
            "set TM_REGISTRY_LOGIN=<user>:<password>."
        )
        machine.copy(TM_REGISTRY_LOGIN=machine.front.login, TAG=f"0.1.0-{basic}")


def test_a_token_that_expires_is_renewed(machine: Machine) -> None:
    machine.front.token_lasts = 1

    machine.copy()

    tokens = [each for each in machine.front.requests if each == f"GET {SOURCE} /token"]
    assert len(tokens) == 1 + len(machine.blobs)


@pytest.mark.deep
@pytest.mark.parametrize(
    "challenge", ['Bearer realm="http://registry.example/token"', "Negotiate", "nothing"]
)
def test_a_log_in_that_nobody_knows(challenge: str, machine: Machine) -> None:
    answer = (401, {"WWW-Authenticate": challenge}, b"")
    machine.front.faults[machine.source("manifests/0.1.0")] = lambda: answer

    assert machine.refuses(TM_REGISTRY_LOGIN="me:hunter2") == (
        f"{SOURCE} asks for a log-in that this script does not know: {challenge}"
    )


def test_a_registry_that_is_away(machine: Machine) -> None:
    machine.environment["FRONT"] = "1"

    for arguments in ((), ("--check",)):
        said = machine.refuses(*arguments)
        assert said.startswith("a registry does not answer: curl: (7) Failed to connect to ")
        assert SOURCE in said or "127.0.0.1" in said


def test_a_copy_that_was_interrupted_goes_on(machine: Machine) -> None:
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


def test_what_fails_for_a_moment_is_tried_again(machine: Machine) -> None:
    request = machine.source("manifests/0.1.0")

    def once() -> Answer:
        del machine.front.faults[request]
        return 503, {}, b""

    machine.front.faults[request] = once

    machine.copy()


def refusal() -> Answer:
    return 400, {}, b'{"errors":\n[]}'


@pytest.mark.deep
@pytest.mark.parametrize(
    ("what", "method", "answer", "line"),
    [
        ("blobs/", "HEAD", (400, {}, b""), " answers 400 when asked for sha256:"),
        ("blobs/uploads/", "POST", refusal(), " answers 400 to the beginning of an upload: {"),
        (
            "blobs/uploads/",
            "POST",
            (202, {"Location": "https://elsewhere.example/x"}, b""),
            " wants an upload at another host: https://elsewhere.example/x",
        ),
        ("blobs/uploads/", "PUT", refusal(), " answers 400 to the upload of sha256:"),
        # It says that it has the layers, which it has not.
        ("blobs/", "HEAD", (200, {}, b""), " answers 404 to the manifest: {"),
        ("manifests/0.1.0-0123456789ab", "PUT", refusal(), " answers 400 to the manifest: {"),
    ],
)
def test_what_ecr_refuses_is_said_in_one_line(
    what: str, method: str, answer: Answer, line: str, machine: Machine
) -> None:
    machine.front.faults[machine.target(what, method)] = lambda: answer

    assert machine.refuses().startswith(f"{TARGET}{line}")
    assert machine.copied == []


def test_a_password_that_ecr_does_not_take(machine: Machine) -> None:
    machine.front.password = "another"  # pragma: allowlist secret

    assert machine.refuses().startswith(f"{TARGET} answers 401 when asked for sha256:")


def test_somebody_else_copied_the_same_meanwhile(machine: Machine) -> None:
    """A tag never changes its image, so the second manifest may be refused."""
    request = machine.target("manifests/0.1.0-0123456789ab", "PUT")

    def later(manifest: bytes) -> Answer:
        place = f"/v2/{machine.copy_of}/manifests/0.1.0-0123456789ab"
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


def test_the_check_copies_nothing(machine: Machine) -> None:
    done = machine.run("--check")

    assert (done.returncode, done.stdout) == (0, "this machine can copy the images\n")
    assert {each.partition(" /")[0] for each in machine.front.requests} == {f"GET {SOURCE}"}
    assert machine.copied == []

    machine.copy()
    before = len(machine.front.requests)
    done = machine.run("--check")
    assert (done.returncode, done.stdout) == (0, "every image is there already\n")
    assert len(machine.front.requests) == before

    machine.environment["IMAGES"] = (
        f"{machine.copy_of}:0.1.0-0123456789ab={SOURCE}/{machine.name}@sha256:{64 * '0'}"
    )
    assert "is another image than" in machine.refuses("--check")


def test_the_check_comes_before_the_repositories(machine: Machine) -> None:
    ecr = machine.front.emulator.client("ecr")
    ecr.delete_repository(repositoryName=machine.copy_of)

    assert machine.run("--check").returncode == 0


def test_the_check_refuses_credentials_of_another_account(machine: Machine) -> None:
    machine.stand_ins.act_for("210987654321")

    assert machine.refuses("--check") == (
        f"the AWS CLI acts for account 210987654321, and Terraform for {ACCOUNT}: "
        "give both the same credentials"
    )
    assert machine.front.requests == []


@pytest.mark.deep
@pytest.mark.parametrize("tool", sorted({*TOOLS, "aws", "curl"} - {"sh"}))
def test_a_command_that_is_missing(tool: str, machine: Machine) -> None:
    (machine.stand_ins.path / tool).unlink()
    called = {"aws": "the AWS CLI (command aws)", "sha256sum": "the command sha256sum or shasum"}

    for arguments in ((), ("--check",)):
        said = machine.refuses(*arguments)
        assert said.startswith(f"{called.get(tool, f'the command {tool}')} is missing: install ")
        assert said.endswith("or build the images elsewhere and give the module image_uris")
    assert machine.front.requests == []


@pytest.mark.deep
def test_a_mac_has_another_command_for_digests(machine: Machine) -> None:
    (machine.stand_ins.path / "sha256sum").unlink()
    (machine.stand_ins.path / "shasum").symlink_to(str(shutil.which("shasum")))
    (machine.stand_ins.path / "perl").symlink_to(str(shutil.which("perl")))

    machine.copy()

    assert machine.copied == [digest(machine.manifest)]


@pytest.mark.deep
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("aws ecr get-login-password", f"the AWS CLI gets no password for {TARGET}: denied no"),
        ("aws ecr describe-images", "the AWS CLI cannot see what the repository copies/"),
    ],
)
def test_what_the_aws_cli_refuses(command: str, line: str, machine: Machine) -> None:
    machine.stand_ins.fail(command, "denied\nno")

    assert machine.refuses().startswith(line)
    assert machine.front.requests == []
