"""The script by which `terraform apply` builds and pushes one image."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stand_ins import CHECKOUT, StandIns

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tm-pipeline/load"
IMAGE = f"{REPOSITORY}:0123456789abcdef0123"
TOOLS = ("cat", "mkdir", "rm", "sh", "sleep", "tr")


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    """A machine with the AWS CLI, Docker, and little more than a shell."""
    made = StandIns(tmp_path / "stand-ins")
    made.install("aws", "docker")
    for tool in TOOLS:
        (made.path / tool).symlink_to(str(shutil.which(tool)))
    return made


def start(stand_ins: StandIns) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [CHECKOUT / "terraform" / "build_image.sh"],
        env={
            "PATH": str(stand_ins.path),
            "TMPDIR": str(stand_ins.folder),
            "FUNCTION": "load",
            "REPOSITORY": REPOSITORY,
            "TAG": "0123456789abcdef0123",
            "PLATFORM": "linux/arm64",
            "BASE": "public.ecr.aws/lambda/python:3.13",
            "REGION": "eu-central-1",
            "CONTEXT": "/a checkout",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(stand_ins: StandIns) -> "subprocess.CompletedProcess[str]":
    process = start(stand_ins)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def one_line(stand_ins: StandIns) -> str:
    """Run it; return the one line with which it fails, after what a command said itself."""
    done = run(stand_ins)
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert done.stderr.count("image of load: ") == 1
    return line.removeprefix("image of load: ")


def test_an_image_that_is_not_there_is_built_and_pushed(stand_ins: StandIns) -> None:
    done = run(stand_ins)

    assert done.returncode == 0, done.stderr
    [build] = stand_ins.calls("docker buildx build")
    assert build[3:] == [
        *("--platform", "linux/arm64", "--provenance=false", "--sbom=false", "--load"),
        *("--build-arg", "BASE=public.ecr.aws/lambda/python:3.13"),
        *("--build-arg", "FUNCTION=load"),
        *("--file", "/a checkout/functions/Dockerfile"),
        *("--tag", IMAGE, "/a checkout"),
    ]
    assert stand_ins.calls("docker push") == [["docker", "push", IMAGE]]
    assert "the-password" not in str(stand_ins.calls()) + done.stdout + done.stderr
    assert all("eu-central-1" in call for call in stand_ins.calls("aws"))
    assert not list(stand_ins.folder.glob("*.lock"))


def test_an_image_that_is_there_needs_no_docker(stand_ins: StandIns) -> None:
    run(stand_ins)
    before = len(stand_ins.calls())
    (stand_ins.path / "docker").unlink()

    done = run(stand_ins)

    assert (done.returncode, done.stdout) == (0, f"{IMAGE} is there already\n")
    assert len(stand_ins.calls()) == before + 1


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("aws", "the AWS CLI (command aws) is missing: install it, or build the images elsewhere"),
        ("docker", "Docker (command docker) is missing: install it, or build the images elsewhere"),
    ],
)
def test_a_command_that_is_missing(command: str, line: str, stand_ins: StandIns) -> None:
    (stand_ins.path / command).unlink()

    assert one_line(stand_ins).startswith(line)
    assert not stand_ins.calls("docker buildx build")


@pytest.mark.parametrize(
    ("command", "message", "line"),
    [
        (
            "docker buildx version",
            "'buildx' is not a docker command.",
            "Docker has no buildx: inst",
        ),
        (
            "docker info",
            "Cannot connect to the Docker\ndaemon",
            "the Docker daemon does not answer",
        ),
        (
            "aws ecr describe-images",
            "An error occurred (RepositoryNotFoundException)",
            "the AWS CLI cannot see what its repository holds, does it act for the same account",
        ),
        ("aws ecr get-login-password", "denied", "the AWS CLI gets no password for 123456789012."),
        ("docker login", "400 Bad Request", "Docker cannot log in to 123456789012."),
        ("docker buildx build", "no space left", "docker buildx build failed, see above"),
        ("docker push", "denied: no", "123456789012.dkr.ecr.eu-central-1.amazonaws.com refused"),
    ],
)
def test_what_fails_is_said_in_one_line(
    command: str, message: str, line: str, stand_ins: StandIns
) -> None:
    stand_ins.fail(command, message)

    said = one_line(stand_ins)

    assert said.startswith(line)
    if "see above" not in said and command != "docker buildx version":
        assert message.replace("\n", " ") in said
    assert not list(stand_ins.folder.glob("*.image"))
    assert not list(stand_ins.folder.glob("*.lock"))


def test_somebody_else_pushed_the_same_meanwhile(stand_ins: StandIns) -> None:
    # A repository takes no tag twice, so the push is refused; but then the image is there.
    docker = stand_ins.path / "docker"
    docker.write_text(docker.read_text() + "if sys.argv[1] == 'push': sys.exit('tag exists')\n")

    done = run(stand_ins)

    assert done.returncode == 0, done.stderr


def test_builds_take_turns(stand_ins: StandIns) -> None:
    lock = stand_ins.folder / "tm-pipeline-build-image.lock"
    lock.mkdir()
    (lock / "owner").write_text(str(os.getpid()))

    waiting = start(stand_ins)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=3)
    assert not stand_ins.calls("docker buildx build")
    shutil.rmtree(lock)
    out, err = waiting.communicate(timeout=60)

    assert waiting.returncode == 0, out + err
    assert stand_ins.calls("docker push")


def test_a_turn_that_was_killed_is_over(stand_ins: StandIns) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = stand_ins.folder / "tm-pipeline-build-image.lock"
    lock.mkdir()
    (lock / "owner").write_text(str(gone.pid))

    assert run(stand_ins).returncode == 0
