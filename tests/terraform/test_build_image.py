"""Tests of terraform/build_image.sh, which builds and pushes one image."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stand_ins import CHECKOUT, StandIns

pytestmark = pytest.mark.programs

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tm-pipeline/load"
IMAGE = f"{REPOSITORY}:0123456789abcdef0123"
BUILD = {
    "FUNCTION": "load",
    "REPOSITORY": REPOSITORY,
    "TAG": "0123456789abcdef0123",
    "PLATFORM": "linux/arm64",
    "BASE": "public.ecr.aws/lambda/python:3.13",
    "REGION": "eu-central-1",
    "CONTEXT": "/a checkout",
}
CHECK = {
    "ACCOUNT": "123456789012",
    "IMAGES": "tm-pipeline/load:0123456789abcdef0123 tm-pipeline/api:abcdef0123456789abcd",
    "REGION": "eu-central-1",
}


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    """Return a PATH with stand-ins for the AWS CLI and Docker, and few other tools."""
    made = StandIns(tmp_path / "stand-ins")
    made.install("aws", "docker")
    for tool in ("cat", "mkdir", "rm", "sh", "sleep", "tr"):
        (made.path / tool).symlink_to(str(shutil.which(tool)))
    return made


def start(stand_ins: StandIns, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [CHECKOUT / "terraform" / "build_image.sh", *arguments],
        env={
            "PATH": str(stand_ins.path),
            "TMPDIR": str(stand_ins.folder),
            **(CHECK if arguments else BUILD),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(stand_ins: StandIns, *arguments: str) -> "subprocess.CompletedProcess[str]":
    process = start(stand_ins, *arguments)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def one_line(stand_ins: StandIns, *arguments: str) -> str:
    """Run the script, which must fail; return its error message without the prefix."""
    done = run(stand_ins, *arguments)
    what = "images: " if arguments else "image of load: "
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert done.stderr.count(what) == 1
    return line.removeprefix(what)


def test_build_pushes_missing_image(stand_ins: StandIns) -> None:
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

    before = len(stand_ins.calls())
    (stand_ins.path / "docker").unlink()

    done = run(stand_ins)

    assert (done.returncode, done.stdout) == (0, f"{IMAGE} exists already\n")
    assert len(stand_ins.calls()) == before + 1


def test_check_builds_nothing(stand_ins: StandIns) -> None:
    done = run(stand_ins, "--check")

    assert done.returncode == 0, done.stderr
    assert [call[:3] for call in stand_ins.calls()] == [
        ["aws", "sts", "get-caller-identity"],
        ["aws", "ecr", "describe-images"],
        ["docker", "buildx", "version"],
        ["docker", "info"],
    ]


def test_check_refuses_credentials_of_another_account(stand_ins: StandIns) -> None:
    stand_ins.act_for("210987654321")

    assert one_line(stand_ins, "--check") == (
        "the AWS CLI uses account 210987654321, but Terraform uses 123456789012: "
        "configure the same credentials for both"
    )
    assert stand_ins.calls("docker") == []


def test_check_requires_docker_only_if_an_image_is_missing(stand_ins: StandIns) -> None:
    load, api = CHECK["IMAGES"].split()
    (stand_ins.path / "docker").unlink()

    stand_ins.push(f"x/{load}")
    assert one_line(stand_ins, "--check").startswith("Docker (command docker) is missing")

    stand_ins.push(f"x/{api}")
    done = run(stand_ins, "--check")
    assert (done.returncode, done.stdout) == (0, "all images exist already\n")


def test_check_accepts_missing_repositories(stand_ins: StandIns) -> None:
    stand_ins.fail("aws ecr describe-images", "An error occurred (RepositoryNotFoundException)")
    assert run(stand_ins, "--check").returncode == 0

    (stand_ins.path / "docker").unlink()
    assert one_line(stand_ins, "--check").startswith("Docker (command docker) is missing")


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["build", "check"])
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("aws", "the AWS CLI (command aws) is missing: install it, or build the images elsewhere"),
        ("docker", "Docker (command docker) is missing: install it, or set published_images"),
    ],
)
def test_missing_command_is_reported(
    command: str, line: str, arguments: tuple[str, ...], stand_ins: StandIns
) -> None:
    (stand_ins.path / command).unlink()

    assert one_line(stand_ins, *arguments).startswith(line)
    assert not stand_ins.calls("docker buildx build")


BUILD_AND_CHECK = [
    ("docker buildx version", "'buildx' is not a docker command.", "Docker has no buildx: install"),
    ("docker info", "Cannot connect to the Docker\ndaemon", "the Docker daemon does not answer:"),
    (
        "aws ecr describe-images",
        "An error occurred (AccessDeniedException)",
        "the AWS CLI cannot read the repository tm-pipeline/load: check that it uses",
    ),
]
BUILD_ONLY = [
    ("aws ecr describe-images", "(RepositoryNotFoundException)", BUILD_AND_CHECK[-1][-1]),
    ("aws ecr get-login-password", "denied", "the AWS CLI cannot get a password for 123456789012."),
    ("docker login", "400 Bad Request", "Docker cannot log in to 123456789012."),
    ("docker buildx build", "no space left", "docker buildx build failed: see its output above"),
    ("docker push", "denied: no", "123456789012.dkr.ecr.eu-central-1.amazonaws.com rejected"),
]


@pytest.mark.parametrize(
    ("arguments", "command", "message", "line"),
    [
        *(((), *each) for each in BUILD_AND_CHECK + BUILD_ONLY),
        *((("--check",), *each) for each in BUILD_AND_CHECK),
    ],
)
def test_failed_command_is_reported_in_one_line(
    arguments: tuple[str, ...], command: str, message: str, line: str, stand_ins: StandIns
) -> None:
    stand_ins.fail(command, message)

    output = one_line(stand_ins, *arguments)

    assert output.startswith(line)
    if "output above" not in output and command != "docker buildx version":
        assert message.replace("\n", " ") in output
    assert not list(stand_ins.folder.glob("*.image"))
    assert not list(stand_ins.folder.glob("*.lock"))


def test_build_accepts_image_that_was_pushed_concurrently(stand_ins: StandIns) -> None:
    # The tags are immutable, so ECR rejects the push of the same tag.
    docker = stand_ins.path / "docker"
    docker.write_text(docker.read_text() + "if sys.argv[1] == 'push': sys.exit('tag exists')\n")

    done = run(stand_ins)

    assert done.returncode == 0, done.stderr


def test_build_waits_for_lock(stand_ins: StandIns) -> None:
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


def test_build_ignores_lock_of_killed_process(stand_ins: StandIns) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = stand_ins.folder / "tm-pipeline-build-image.lock"
    lock.mkdir()
    (lock / "owner").write_text(str(gone.pid))

    assert run(stand_ins).returncode == 0
