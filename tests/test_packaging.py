"""Tests of the installed package, without a checkout.

Each environment has the wheel and exactly the libraries that the wheel requires with some extras.
They are linked from the environment of the tests, so pip's choice of versions is not tested.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.version import VERSION
from tests.checkout import CHECKOUT
from tests.programs import Done, run

pytestmark = pytest.mark.programs

FOLDERS = ("cli", "contracts", "functions", "local", "shared", "terraform", "tm_pipeline")
EXTRAS = {"tm up": "local", "tm down": "local", "tm check": "check"}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
CALLS = """
import os, sys
os.environ |= {"HOME": os.getcwd()}
from typer.testing import CliRunner
from tm_pipeline import __main__ as package
sys.path.insert(0, os.path.dirname(package.__file__))
from cli.main import app
for command in sys.argv[1:]:
    result = CliRunner().invoke(app, command.split())
    print(result.stderr.splitlines()[0] if result.stderr else repr(result.exception))
"""
FILE = "user,timestamp,hours,project\n,2024-03-03 09:00:00 UTC,1,wall\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    left_out = shutil.ignore_patterns("__pycache__", ".terraform*")
    for name in (*FOLDERS, "requirements"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=left_out)
    for name in ("LICENSE", "pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, source)
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    subprocess.run([*PIP, "wheel", *options, source], check=True)
    [made] = folder.glob("*.whl")
    return made


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the package, and a folder to work in with the file f.csv."""

    venv: Path
    work: Path

    @property
    def site(self) -> Path:
        [site] = self.venv.glob("lib/*/site-packages")
        return site

    def tm(self, *arguments: str) -> Done:
        """Run `tm` without the user's settings."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.work)}
        return run(self.venv / "bin" / "tm", *arguments, cwd=self.work, env=own)

    def python(self, *arguments: str) -> Done:
        return run(self.venv / "bin" / "python", *arguments, cwd=self.work)


Install = Callable[..., Installed]


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """A function that creates an environment with some extras."""

    def made(*extras: str) -> Installed:
        folder = tmp_path_factory.mktemp("-".join(("installed", *extras)))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        work = folder / "work"
        work.mkdir()
        (work / "f.csv").write_text(FILE)
        installed = Installed(folder / "venv", work)
        python = ("--python", str(installed.venv / "bin" / "python"))
        subprocess.run([*PIP, *python, "install", "--no-deps", "--no-index", wheel], check=True)
        [metadata] = installed.site.glob("tm_pipeline-*.dist-info")
        for name in required(importlib.metadata.Distribution.at(metadata), frozenset(extras)):
            link(importlib.metadata.distribution(name), installed.site)
        return installed

    return made


@pytest.fixture(scope="module")
def plain(install: Install) -> Installed:
    return install()


def required(
    of: importlib.metadata.Distribution, extras: frozenset[str], found: set[str] | None = None
) -> set[str]:
    """Return the names of all direct and indirect requirements of a distribution with extras."""
    found = set() if found is None else found
    for text in of.requires or ():
        each = Requirement(text)
        applies = each.marker is None or any(
            each.marker.evaluate({"extra": extra}) for extra in extras or {""}
        )
        name = canonicalize_name(each.name)
        if applies and (name not in found or each.extras):
            found.add(name)
            required(importlib.metadata.distribution(name), frozenset(each.extras), found)
    return found


def link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """Link the top-level files of a distribution into another site-packages folder."""
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution.locate_file(top))))


def test_wheel_contains_one_complete_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    patterns = [f"{folder}/**/*.py" for folder in FOLDERS]
    patterns += [f"terraform/*.{suffix}" for suffix in ("tf", "json", "sh")]
    patterns += ["contracts/*.odcs.yaml", "functions/*/*.json", "shared/*.pem"]
    paths = [path.relative_to(CHECKOUT) for each in patterns for path in CHECKOUT.glob(each)]

    assert names == {
        str(path if path.parts[0] == "tm_pipeline" else "tm_pipeline" / path) for path in paths
    }


def test_wheel_has_version_and_licence(plain: Installed) -> None:
    [metadata] = plain.site.glob("tm_pipeline-*.dist-info")
    of_wheel = importlib.metadata.Distribution.at(metadata)

    assert of_wheel.version == VERSION
    assert of_wheel.metadata["License-Expression"] == "Apache-2.0"
    assert (metadata / "licenses" / "LICENSE").read_text() == (CHECKOUT / "LICENSE").read_text()
    for shown in (plain.tm("--version"), plain.python("-m", "tm_pipeline", "--version")):
        assert (shown.returncode, shown.stdout) == (0, f"tm {VERSION}\n"), shown.stderr


def test_commands_run_without_extras_except_three(plain: Installed) -> None:
    shown = plain.tm("--help")
    assert shown.returncode == 0, shown.stderr
    commands = [
        *("backfill --from 2024-03-01 --to 2024-03-02", "doctor", "drop f.csv", "remove key"),
        *("rejects 20240303-0", "rejects fix 20240303-0 f.csv", "replay 20240303-0", "smoke"),
        *("rows dailycheckins ned", "sql", "status", "user ned"),
    ]
    done = plain.python("-c", CALLS, *commands)
    # Every import has succeeded when this error appears.
    expected = ["tm: No laptop cloud is running"] * len(commands)
    assert [line.rpartition(":")[0] for line in done.stdout.splitlines()] == expected, done.stderr


@pytest.mark.parametrize("command", EXTRAS)
def test_command_reports_missing_extra(command: str, plain: Installed) -> None:
    arguments = ["f.csv"] if command == "tm check" else []

    done = plain.tm(*command.split()[1:], *arguments)

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line == (
        f"tm: `{command}` needs the package awswrangler, which is not installed: "
        f'pip install "tm-pipeline[{EXTRAS[command]}]"'
    )


def test_check_extra_uses_bundled_contracts(install: Install) -> None:
    installed = install("check")

    done = installed.tm("check", "f.csv", "--hard-testing", "--json")

    assert done.returncode == 1, done.stderr
    assert "user is missing" in done.stdout
    assert not (installed.site / "ministack").exists()
