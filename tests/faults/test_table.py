"""Tests of docs/faults.md: each row names existing tests, each test of this folder has a row."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = ["Fault", "Automatic reaction", "Table", "Log", "Alert", "Your action", "Test"]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "faults.md").read_text("utf-8")
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [row for row in cells if row != HEAD]


def named(row: list[str]) -> set[tuple[str, str]]:
    return set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[-1]))


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    return {name for name in names if name.startswith("test_")}


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in rows()])
def test_row_is_complete_and_names_existing_tests(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    assert all(row)
    assert named(row)
    for path, name in named(row):
        assert name in names_in(ROOT / path), f"{path}::{name}"


def test_every_fault_test_has_row() -> None:
    documented = {each for row in rows() for each in named(row)}
    folder = Path(__file__).parent
    for path in set(folder.glob("test_*.py")) - {Path(__file__)}:
        place = path.relative_to(ROOT).as_posix()
        missing = names_in(path) - {name for at, name in documented if at == place}
        assert not missing, f"{place}: no row of docs/faults.md names {missing}"
