"""Targets of the Makefile that do more than call one tool."""

import os
import shutil
from pathlib import Path

import pytest

from tests.programs import Done, run

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without an environment, and a PATH without Python."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "shared").mkdir()
    for name in ("requirements.txt", "pyproject.toml", "shared/version.py"):
        (tmp_path / name).touch()
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("make", "sh", "awk", "touch", "mkdir", "cat", "chmod"):
        found = shutil.which(name)
        assert found, name
        (commands / name).symlink_to(found)
    return tmp_path


def make(checkout: Path, target: str, *more: str) -> Done:
    return run("make", target, *more, cwd=checkout, env={"PATH": str(checkout / "bin")})


def python(checkout: Path, name: str, *, recent: bool) -> None:
    """Put a fake Python into PATH that creates an environment and records its calls."""
    command = checkout / "bin" / name
    command.write_text(
        f"""#!/bin/sh
case "$*" in
  *version_info*) exit {0 if recent else 1} ;;
  *venv*) mkdir -p .venv/bin; cat "$0" > .venv/bin/python; chmod +x .venv/bin/python ;;
esac
echo "{name} $*" >> calls
"""
    )
    command.chmod(0o755)


def test_setup_uses_recent_python_and_checks_hashes(checkout: Path) -> None:
    for is_old in (False, True):
        if is_old:
            python(checkout, "python3", recent=False)
        finished = make(checkout, "setup")
        assert finished.returncode != 0
        assert finished.stderr.startswith(
            "make: Python 3.11 or newer is not in PATH: install it.\n"
        )
    python(checkout, "python3.12", recent=True)
    finished = make(checkout, "setup")
    assert finished.returncode == 0, finished.stderr
    calls = (checkout / "calls").read_text()
    assert "python3.12 -m venv" in calls
    assert "--require-hashes --requirement requirements.txt" in calls
    assert "--no-deps --no-build-isolation --editable ." in calls


def test_setup_runs_again_only_after_lock_or_project_changed(checkout: Path) -> None:
    python(checkout, "python3", recent=True)
    make(checkout, "setup")
    (checkout / "calls").unlink()
    make(checkout, "setup")
    assert not (checkout / "calls").exists()
    stamp = (checkout / ".venv" / ".ready").stat().st_mtime
    os.utime(checkout / "requirements.txt", (stamp + 1, stamp + 1))
    make(checkout, "setup")
    assert (checkout / "calls").exists()


def test_help_lists_every_target(checkout: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {line.split()[1] for line in makefile.splitlines() if line.startswith(".PHONY:")}
    listed = {line.split()[1] for line in make(checkout, "help").stdout.splitlines()}
    assert listed == targets


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ("", []),
        ("all", ["--upgrade"]),
        ("boto3 uv", ["--upgrade-package=boto3", "--upgrade-package=uv"]),
    ],
)
def test_lock_upgrades_only_named_packages(given: str, flags: list[str], checkout: Path) -> None:
    python(checkout, "python3", recent=True)
    make(checkout, "setup")

    shown = make(checkout, "lock", "--dry-run", f"UPGRADE={given}")

    assert shown.returncode == 0, shown.stderr
    assert [word for word in shown.stdout.split() if word.startswith("--upgrade")] == flags
