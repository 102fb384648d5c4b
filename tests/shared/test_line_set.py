import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.line_set import LineSet

LINES = st.lists(st.integers(1, 100))


@given(st.lists(LINES), LINES)
def test_set_has_the_lines_that_were_added(added: list[list[int]], asked: list[int]) -> None:
    found = LineSet()
    for lines in added:
        found.add(np.array(lines, np.int64))

    expected = set().union(*added)
    assert len(found) == len(expected)
    assert found.among(np.array(asked, np.int64)).tolist() == [line in expected for line in asked]
