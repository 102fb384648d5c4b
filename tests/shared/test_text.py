import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import REASON, bounded, listed, one_line, quoted


@given(st.text(min_size=0, max_size=300), st.integers(min_value=40, max_value=200))
def test_bounded_text_keeps_limit_and_beginning(text: str, limit: int) -> None:
    cut = bounded(text, limit)

    assert len(cut) <= limit
    assert bounded(cut, limit) == cut
    if len(text) <= limit:
        assert cut == text
    else:
        kept, _, mark = cut.rpartition("… (")
        assert text.startswith(kept)
        assert mark == f"{len(text) - len(kept):,} more characters)"


def test_bounded_text_names_omitted_length() -> None:
    assert bounded("x" * 2_000) == "x" * 2_000
    assert bounded("x" * 14_319).endswith("xxx… (12,345 more characters)")
    assert len(bounded("x" * 14_319)) == REASON


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user", "'user'"),
        ("a\x1b[31m\n", r"'a\x1b[31m\n'"),
        ("ё", "'ё'"),
        ("x" * 200, "'" + "x" * 26 + "… (175 more characters)"),
    ],
)
def test_quoted_text_escapes_nonprintable_characters(text: str, shown: str) -> None:
    assert quoted(text) == shown


@given(st.text(st.characters(), max_size=300), st.integers(min_value=40, max_value=200))
def test_one_line_is_printable(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert line.isprintable()
    assert len(line) <= limit


def test_one_line_keeps_printable_characters() -> None:
    assert one_line("ё  b\n\tc\x1b[31m\u202e\ud800") == r"ё b c\x1b[31m\u202e\ud800"


def test_long_list_is_truncated() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b, … (1 more)"
    assert (
        listed([str(n) for n in range(50_000)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (49,990 more)"
    )
