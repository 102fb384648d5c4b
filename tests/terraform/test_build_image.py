"""The script by which `terraform apply` builds and pushes one image."""

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
TOOLS = ("cat", "mkdir", "rm", "sh", "sleep", "tr")


@pytest.fixture
def stand_ins(tmp_path: Path) -> StandIns:
    """A machine with the AWS CLI, Docker, and little more than a shell."""
    made = StandIns(tmp_path / "stand-ins")
    made.install("aws", "docker")
    for tool in TOOLS:
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
    """Run it; return the one line with which it fails, after what a command said itself."""
    done = run(stand_ins, *arguments)
    what = "images: " if arguments else "image of load: "
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert done.stderr.count(what) == 1
    return line.removeprefix(what)


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


def test_the_check_builds_nothing(stand_ins: StandIns) -> None:
    done = run(stand_ins, "--check")

    assert done.returncode == 0, done.stderr
    assert [call[:3] for call in stand_ins.calls()] == [
        ["aws", "sts", "get-caller-identity"],
        ["aws", "ecr", "describe-images"],
        ["docker", "buildx", "version"],
        ["docker", "info"],
    ]


def test_the_check_refuses_credentials_of_another_account(stand_ins: StandIns) -> None:
    stand_ins.act_for("210987654321")

    assert one_line(stand_ins, "--check") == (
        "the AWS CLI acts for account 210987654321, and Terraform for 123456789012: "
        "give both the same credentials"
    )
    assert stand_ins.calls("docker") == []


def test_the_check_needs_docker_only_if_an_image_is_missing(stand_ins: StandIns) -> None:
    load, api = CHECK["IMAGES"].split()
    (stand_ins.path / "docker").unlink()

    stand_ins.push(f"x/{load}")
    assert one_line(stand_ins, "--check").startswith("Docker (command docker) is missing")

    stand_ins.push(f"x/{api}")
    done = run(stand_ins, "--check")
    assert (done.returncode, done.stdout) == (0, "every image is there already\n")


def test_the_check_comes_before_the_repositories(stand_ins: StandIns) -> None:
    stand_ins.fail("aws ecr describe-images", "An error occurred (RepositoryNotFoundException)")
    assert run(stand_ins, "--check").returncode == 0

    (stand_ins.path / "docker").unlink()
    assert one_line(stand_ins, "--check").startswith("Docker (command docker) is missing")


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["build", "check"])
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("aws", "the AWS CLI (command aws) is missing: install it, or build the images elsewhere"),
        (
            "docker",
            "Docker (command docker) is missing: install it, or give the module published_images",
        ),
    ],
)
def test_a_command_that_is_missing(
    command: str, line: str, arguments: tuple[str, ...], stand_ins: StandIns
) -> None:
    (stand_ins.path / command).unlink()

    assert one_line(stand_ins, *arguments).startswith(line)
    assert not stand_ins.calls("docker buildx build")


EITHER_WAY = [
    (
        "docker buildx version",
        "'buildx' is not a docker command.",
        "Docker has no buildx: install its plugin, or give the module",
    ),
    (
        "docker info",
        "Cannot connect to the Docker\ndaemon",
        "the Docker daemon does not answer: start it, or give",
    ),
    (
        "aws ecr describe-images",
        "An error occurred (AccessDeniedException)",
        "the AWS CLI cannot see what the repository tm-pipeline/load holds: does it act",
    ),
]
ONLY_BUILT = [
    ("aws ecr describe-images", "(RepositoryNotFoundException)", EITHER_WAY[-1][-1]),
    ("aws ecr get-login-password", "denied", "the AWS CLI gets no password for 123456789012."),
    ("docker login", "400 Bad Request", "Docker cannot log in to 123456789012."),
    ("docker buildx build", "no space left", "docker buildx build failed, see above"),
    ("docker push", "denied: no", "123456789012.dkr.ecr.eu-central-1.amazonaws.com refused"),
]


@pytest.mark.parametrize(
    ("arguments", "command", "message", "line"),
    [
        *(((), *each) for each in EITHER_WAY + ONLY_BUILT),
        *((("--check",), *each) for each in EITHER_WAY),
    ],
)
def test_what_fails_is_said_in_one_line(
    arguments: tuple[str, ...], command: str, message: str, line: str, stand_ins: StandIns
) -> None:
    stand_ins.fail(command, message)

    said = one_line(stand_ins, *arguments)

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
