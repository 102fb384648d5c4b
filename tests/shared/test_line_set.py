import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.line_set import LineSet

LINES = st.lists(st.integers(1, 100))


@given(st.lists(LINES), LINES, st.sampled_from([0, 10**12]))
def test_set_has_the_lines_that_were_added(
    added: list[list[int]], asked: list[int], first: int
) -> None:
    added, asked = (
        [[first + line for line in each] for each in added],
        [first + line for line in asked],
    )
    found = LineSet()
    for lines in added:
        found.add(np.array(lines, np.int64))

    expected = set().union(*added)
    assert len(found) == len(expected)
    assert found.lines.tolist() == sorted(expected)
    assert LineSet.of_bytes(bytes(found)).lines.tolist() == sorted(expected)
    assert found.among(np.array(asked, np.int64)).tolist() == [line in expected for line in asked]
