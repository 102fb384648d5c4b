"""CONTRIBUTING's table "How to add…": its files exist, and incomplete additions fail as it says."""

import fnmatch
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.checkout import CHECKOUT
from tests.programs import Done, run

TABLE = (CHECKOUT / "CONTRIBUTING.md").read_text("utf-8").partition("## How to add…")[2]
ROWS = {
    cells[0]: tuple(re.findall(r"[\w/.*-]+(?=`)|mypy", cell) for cell in cells[1:])
    for line in TABLE.partition("\n## ")[0].splitlines()
    if (cells := line.strip("| ").split(" | ")) and len(cells) == 3 and "`" in line
}


class Edit(NamedTuple):
    """Insertion of a text before another text, which occurs once in the file."""

    path: str
    before: str
    new: str


BEGINNINGS = {
    "a column type": [
        Edit("shared/column_types.py", '"string", "integer"', '"duration", '),
        Edit(
            "shared/column_types.py",
            "TYPES = {",
            '_TYPES["duration"] = dataclasses.replace(_TYPES["boolean"], stored_as={"days": 4})\n',
        ),
        Edit("shared/column_types.py", "import datetime as dt", "import dataclasses\n"),
    ],
    "a kind of rule": [
        Edit("shared/column_types.py", '"length", "pattern"', '"trimmed", '),
        Edit(
            "shared/quality.py",
            "AnyRule = ",
            'class Trimmed(Rule):\n    kind: Literal["trimmed"] = "trimmed"\n\n\n',
        ),
        Edit("shared/quality.py", "Required | Length", "Trimmed | "),
    ],
    "a kind of alert": [
        Edit("shared/endings.py", '    LOADED = "Loaded"', '    EXPIRED = "Expired"\n'),
        Edit("shared/endings.py", "    Kind.LOADED: ", "    Kind.EXPIRED: Ending(Status.FAIL),\n"),
    ],
    "a state": [Edit("shared/endings.py", '    LOAD = "load"', '    PUBLISH = "publish"\n')],
    "a function": [
        Edit("functions/publish/handler.py", "", '"""Event.\n\nAnswer.\n"""\n'),
        Edit("functions/publish/__init__.py", "", ""),
    ],
    "a route": [
        Edit(
            "functions/api/ingestions.py",
            "    return router",
            '    router.get("/days")(lambda: [])\n',
        )
    ],
}


TESTS = sorted({name for _, fails in ROWS.values() for name in fails if name.startswith("tests/")})


class Copy:
    """Copy of the checkout, for incomplete additions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def apply(self, edits: list[Edit]) -> None:
        for path, before, new in edits:
            file = self.folder / path
            file.parent.mkdir(exist_ok=True)
            text = file.read_text("utf-8") if before else ""
            assert text.count(before) == 1, (path, before)
            file.write_text(text.replace(before, new + before), "utf-8")

    def python(self, *arguments: str) -> Done:
        own = {"PYTHONPATH": str(self.folder), "MYPY_CACHE_DIR": ".mypy"}
        return run(sys.executable, *arguments, cwd=self.folder, env={**os.environ, **own})

    def failing(self) -> set[str]:
        """Return the files of `TESTS` in which a test without services fails."""
        ran = self.python("-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "pure", *TESTS)
        assert ran.returncode in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}, ran.stdout
        return set(re.findall(r"^FAILED (\S+?)::", ran.stdout, re.MULTILINE))


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    folder = tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".venv*", ".git", ".tm", ".terraform")
    shutil.copytree(CHECKOUT, folder, ignore=left_out)
    # With its cache, mypy checks only the edited files.
    cache = CHECKOUT / os.environ.get("MYPY_CACHE_DIR", ".mypy_cache")
    if cache.exists():
        shutil.copytree(cache, folder / ".mypy")
    yield Copy(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize("addition", ROWS)
def test_files_to_edit_exist(addition: str) -> None:
    edited, _ = ROWS[addition]

    assert edited
    for pattern in edited:
        assert [*CHECKOUT.glob(pattern)], pattern


def test_each_addition_has_beginning() -> None:
    assert BEGINNINGS.keys() == ROWS.keys()


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_incomplete_additions_fail(copy: Copy) -> None:
    """Begin all additions in one copy, because mypy and pytest take a minute."""
    assert not copy.failing()
    assert not copy.python("-m", "mypy").returncode
    for addition, (_, fails) in ROWS.items():
        first, *more = BEGINNINGS[addition]
        copy.apply([first])
        for module in (name for name in fails if name.startswith("shared.")):
            assert copy.python("-c", f"import {module}").returncode, module
        copy.apply(more)

    assert copy.failing() == set(TESTS)
    types = copy.python("-m", "mypy")
    found = set(re.findall(r"^(\S+?):\d+: error", types.stdout, re.MULTILINE))
    explained = {
        addition: {file for each in edited for file in fnmatch.filter(found, each)}
        for addition, (edited, fails) in ROWS.items()
        if "mypy" in fails
    }
    assert all(explained.values()), types.stdout
    assert set().union(*explained.values()) == found, types.stdout
