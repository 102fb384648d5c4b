import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.spreadsheet import escaped, unescaped

CELLS = st.text(alphabet="'=+-@\t\r\nab,", max_size=6)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\ta", "\ra"])
def test_nothing_is_taken_for_a_formula(cell: str) -> None:
    assert escaped(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a", "a=1", "'", "'a", "''a"])
def test_all_else_stays(cell: str) -> None:
    assert escaped(cell) == unescaped(cell) == cell


def test_what_was_never_escaped_stays() -> None:
    assert unescaped("=1") == "=1"


@given(CELLS)
def test_the_way_back_is_exact(cell: str) -> None:
    assert unescaped(escaped(cell)) == cell
