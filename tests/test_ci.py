"""Which steps of `.ci/run` run, and which it lists as left out. Commands are stubs."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

RUN = Path(__file__).parents[1] / ".ci" / "run"
NAMES = re.findall(r'^step "([^"]+)"', RUN.read_text(), re.MULTILINE)
REAL_FILE_STEPS = [name for name in NAMES if "the real file" in name]
IMAGE_STEPS = [
    "build every function's image with make images",
    "build an image from a checkout that only its owner can read",
    "build, push and deploy every image with terraform apply",
    "start the deployed images and process that file",
]

HALT_REASON = re.findall(r"""'("haltReason": .*)'$""", RUN.read_text(), re.MULTILINE)
RECORDS = 'echo "${0##*/} $*" >>"$CALLS"'
COMMANDS = {
    "make": f"""{RECORDS}
case "$*" in
  "$BREAKS") exit 1 ;;
  "$STOPPED") kill -TERM "$PPID" ;;
  audit*) echo "NOT AUDITED: requirements.txt: nobody answers" ;;
esac""",
    # The first of three uploads runs with hard testing and must halt.
    "tm": f"""{RECORDS}
case "$*" in
  *--hard-testing) touch "$CALLS.hard" ;;
  up | down) rm -f "$CALLS.hard" ;;
  drop*) [ ! -e "$CALLS.hard" ] ;;
  status*) echo '{HALT_REASON[0]}' ;;
  user*) echo "[]" ;;
esac""",
    "python": RECORDS,
    "docker": '[ "$DOCKER" ]',
    "id": 'echo "$USER_ID"',
    "sudo": "exit 1",
    **dict.fromkeys(["apt-get", "terraform", "git", "curl", "ssh-keygen", "npm", "pg_config"], ""),
}


@dataclass(frozen=True)
class Finished:
    status: int
    said: str
    calls: list[str]

    @property
    def ran(self) -> list[str]:
        return re.findall(r"^=== (?!done|FAILED)(.*) \(after \d+ s\)$", self.said, re.MULTILINE)

    @property
    def targets(self) -> list[str]:
        return [call.split()[1] for call in self.calls if call.startswith("make ")]

    @property
    def left_out(self) -> dict[str, str]:
        """The reasons in the list at the end, by step."""
        listed = self.said.partition("\nLeft out:\n")[2]
        return dict(re.findall(r"^  (.+?): (.+)$", listed, re.MULTILINE))


@dataclass(frozen=True)
class Clone:
    folder: Path

    def run(
        self, *, docker: bool = False, user: int = 0, breaks: str = "", stopped: str = ""
    ) -> Finished:
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [self.folder / ".ci" / "run"],
            env={
                "PATH": str(self.folder / "commands"),
                "CALLS": str(calls),
                "DOCKER": "yes" if docker else "",
                "USER_ID": str(user),
                "BREAKS": breaks,
                "STOPPED": stopped,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        called = calls.read_text().splitlines() if calls.exists() else []
        return Finished(done.returncode, done.stdout, called)

    def add_shared(self) -> None:
        for name in ("data/dailycheckins.csv", "tools/lambda-base"):
            path = self.folder.parent / "shared" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    folder = tmp_path / "clone"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(RUN, folder / ".ci")
    for name, script in COMMANDS.items():
        place = ".venv/bin" if name in ("tm", "python") else "commands"
        path = folder / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    for name in ("bash", "dirname", "env", "grep", "mkdir", "mktemp", "rm", "tee", "touch"):
        found = shutil.which(name)
        assert found, name
        (folder / "commands" / name).symlink_to(found)
    return Clone(folder)


def test_named_steps_exist() -> None:
    assert len(NAMES) == RUN.read_text().count("\nstep ") == len(set(NAMES))
    assert set(IMAGE_STEPS) < set(NAMES)
    assert len(REAL_FILE_STEPS) == 3


@pytest.mark.parametrize(
    ("docker", "left_out"),
    [(True, REAL_FILE_STEPS), (False, REAL_FILE_STEPS + IMAGE_STEPS)],
    ids=["docker", "no docker"],
)
def test_run_without_shared_lists_left_out_steps(
    docker: bool, left_out: list[str], clone: Clone
) -> None:
    finished = clone.run(docker=docker)

    assert finished.status == 0, finished.said
    assert finished.ran == [name for name in NAMES if name not in left_out]
    assert finished.left_out == {
        **dict.fromkeys(left_out, "there is no ../shared and no running Docker daemon"),
        **dict.fromkeys(REAL_FILE_STEPS, "there is no ../shared"),
        "make audit": "NOT AUDITED: requirements.txt: nobody answers",
    }


def test_run_with_shared_leaves_nothing_out(clone: Clone) -> None:
    alone = clone.run(docker=True)
    clone.add_shared()
    both, undockered = clone.run(docker=True), clone.run()

    for finished in (both, undockered):
        assert finished.status == 0, finished.said
        assert finished.ran == NAMES
        assert finished.left_out.keys() == {"make audit"}

    assert alone.targets == both.targets


def test_fresh_machine_needs_root(clone: Clone) -> None:
    finished = clone.run(user=1000)

    assert finished.status == 0, finished.said
    assert "a fresh Debian" in finished.left_out
    assert "make run" in finished.calls
    assert "make fresh-machine" not in finished.calls


def test_failure_names_its_step_and_left_out_steps(clone: Clone) -> None:
    finished = clone.run(breaks="bench QUICK=1")

    assert finished.status == 1
    assert f"=== FAILED: {NAMES[-1]} " in finished.said
    assert finished.left_out.keys() == {*REAL_FILE_STEPS, *IMAGE_STEPS, "make audit"}

    finished = clone.run(breaks="test-deep")
    assert finished.status == 1
    assert finished.ran == ["make test", "make test-deep"]
    assert "left out" not in finished.said
    assert "=== FAILED: make test-deep " in finished.said
    assert finished.calls[-1] == "tm down"

    finished = clone.run(stopped="test-deep")
    assert finished.status == 143
    assert "=== FAILED: make test-deep " in finished.said


def test_missing_programs_are_listed_before_any_step(clone: Clone) -> None:
    for name in ("terraform", "npm"):
        (clone.folder / "commands" / name).unlink()
    finished = clone.run()

    assert finished.status == 1
    assert finished.said.splitlines() == [
        ".ci/run: missing programs; install them:",
        "  Terraform 1.11 or newer",
        "  Node.js with npm (Debian: nodejs, npm)",
    ]
    assert finished.calls == []
