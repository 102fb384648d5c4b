import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.spreadsheet import escaped, unescaped

CELLS = st.text(alphabet="'\"=+-@＝\t\r\nab,;", max_size=8)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "\na", "＝1", "＋1", "－1", "＠a", '"=1', "'=1"],
)
def test_formula_is_escaped(cell: str) -> None:
    assert escaped(cell) == f"'{cell}"


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=3))
def test_no_part_is_formula_with_any_delimiter(rows: list[list[str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerows(map(escaped, row) for row in rows)
    parts = re.split(r"[,;\t\r\n]", file.getvalue())
    assert [part for part in parts if re.match('"*[=+@＝-]', part)] == []


def test_each_part_of_cell_is_escaped() -> None:
    assert escaped("ned;=1,-2\t'+3") == "ned;'=1,'-2\t''+3"


@pytest.mark.parametrize("cell", ["", "a", "a=1", "'", "'a", "''a", "a, -b", "2024-03-03"])
def test_other_cells_stay_unchanged(cell: str) -> None:
    assert escaped(cell) == unescaped(cell) == cell


def test_unescaped_keeps_cell_without_quote() -> None:
    assert unescaped("=1") == "=1"


@given(CELLS)
def test_unescaped_reverses_escaped(cell: str) -> None:
    assert unescaped(escaped(cell)) == cell
