"""`.ci/run`: which of its steps run where, and what it lists at its end. Here they do nothing."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

RUN = Path(__file__).parents[1] / ".ci" / "run"
NAMES = re.findall(r'^step "([^"]+)"', RUN.read_text(), re.MULTILINE)
OF_THE_REAL_FILE = [name for name in NAMES if "the real file" in name]
OF_IMAGES = [
    "every function's image, built by hand",
    "an image of a checkout that only its owner may read",
    "every function's image, built, pushed and deployed by terraform apply",
    "what was deployed, booted, at work on that file",
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
    # A file is dropped three times, and the first time, with hard testing, it must be halted.
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
    "terraform": "",
    "git": "",
    "openssl": "",
    "ssh-keygen": "",
    "npm": "",
    "pg_config": "",
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
    def left_out(self) -> dict[str, str]:
        """The list at the end: the reasons by the steps' names."""
        listed = self.said.partition("\nLeft out:\n")[2]
        return dict(re.findall(r"^  (.+?): (.+)$", listed, re.MULTILINE))


@dataclass(frozen=True)
class Clone:
    folder: Path

    def run(self, *, docker: bool = False, breaks: str = "", stopped: str = "") -> Finished:
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [self.folder / ".ci" / "run"],
            env={
                "PATH": str(self.folder / "commands"),
                "CALLS": str(calls),
                "DOCKER": "yes" if docker else "",
                "BREAKS": breaks,
                "STOPPED": stopped,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        made = calls.read_text().splitlines() if calls.exists() else []
        return Finished(done.returncode, done.stdout, made)

    def put_shared_next_to_it(self) -> None:
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


def test_the_steps_are_those_that_are_named_here() -> None:
    assert len(NAMES) == RUN.read_text().count("\nstep ") == len(set(NAMES))
    assert set(OF_IMAGES) < set(NAMES)
    assert len(OF_THE_REAL_FILE) == 3


@pytest.mark.parametrize(
    ("docker", "left_out"),
    [(True, OF_THE_REAL_FILE), (False, OF_THE_REAL_FILE + OF_IMAGES)],
    ids=["docker", "no docker"],
)
def test_alone_it_runs_every_other_step_and_lists_those_that_it_left_out(
    docker: bool, left_out: list[str], clone: Clone
) -> None:
    finished = clone.run(docker=docker)

    assert finished.status == 0, finished.said
    assert finished.ran == [name for name in NAMES if name not in left_out]
    assert finished.left_out.keys() == {*left_out, "make audit"}
    for name, reason in finished.left_out.items():
        wanted = {
            "make audit": "NOT AUDITED: requirements.txt: nobody answers",
            **dict.fromkeys(OF_THE_REAL_FILE, "there is no ../shared"),
        }
        assert reason == wanted.get(name, "there is no ../shared, and no Docker daemon answers")


@pytest.mark.parametrize("docker", [True, False], ids=["docker", "no docker"])
def test_next_to_shared_it_runs_every_step(docker: bool, clone: Clone) -> None:
    clone.put_shared_next_to_it()
    finished = clone.run(docker=docker)

    assert finished.status == 0, finished.said
    assert finished.ran == NAMES
    assert finished.left_out.keys() == {"make audit"}


def test_the_steps_of_both_runs_are_the_same_commands(clone: Clone) -> None:
    alone = clone.run(docker=True)
    clone.put_shared_next_to_it()
    both = clone.run(docker=True)

    def of_both(finished: Finished) -> str:
        """The commands, without what is the real file's, and what differs by design."""
        calls = "\n".join(finished.calls)
        for difference in (
            r"tm up --hard-testing\n(.*\n)*?tm down\n",
            r"python (\.ci/check_real_file\.py|-m local\.sample) .*\n",
            r" BUILDER=\w+ BUILD_FLAGS=.*",
            r"\S*/(?=dailycheckins\.csv)",
        ):
            calls = re.sub(difference, "", calls)
        return calls

    assert of_both(alone) == of_both(both)
    assert of_both(alone).count("\n") > 15


def test_a_failure_names_its_step_and_lists_what_was_left_out_before(clone: Clone) -> None:
    finished = clone.run(breaks="bench")

    assert finished.status == 1
    assert f"=== FAILED: {NAMES[-1]} " in finished.said
    assert finished.left_out.keys() == {*OF_THE_REAL_FILE, *OF_IMAGES, "make audit"}

    finished = clone.run(breaks="test-deep")
    assert finished.status == 1
    assert finished.ran == ["make test", "make test-deep"]
    assert "left out" not in finished.said
    assert "=== FAILED: make test-deep " in finished.said
    assert finished.calls[-1] == "tm down"


def test_a_run_that_is_stopped_has_not_passed(clone: Clone) -> None:
    finished = clone.run(stopped="test-deep")

    assert finished.status == 143
    assert "=== FAILED: make test-deep " in finished.said


def test_another_neighbour_called_shared_is_told_at_once(clone: Clone) -> None:
    (clone.folder.parent / "shared").mkdir()
    finished = clone.run()

    assert finished.status == 1
    assert finished.said.startswith(".ci/run: there is ../shared, but not ../shared/data/")
    assert finished.calls == []


def test_what_is_missing_is_named_before_anything_runs(clone: Clone) -> None:
    for name in ("terraform", "npm"):
        (clone.folder / "commands" / name).unlink()
    finished = clone.run()

    assert finished.status == 1
    assert finished.said.splitlines() == [
        ".ci/run: install what is missing:",
        "  Terraform 1.11 or newer",
        "  Node.js with npm (Debian: nodejs, npm)",
    ]
    assert finished.calls == []
