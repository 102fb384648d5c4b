"""Lines of JSON; tests/test_bad_input.py and generated files test whole files."""

import time

import pytest

from shared.dialect import Dialect
from shared.json_lines import MAX_DEPTH, Fault, Objects, is_deep
from tests.fixtures.contracts import any_file

CONTRACT = any_file(Dialect(), file_format="jsonLines")
SIZE = 1_000_000


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        ("[" * MAX_DEPTH, False),
        ("[" * (MAX_DEPTH + 1), True),
        ("[]" * 500, False),
        ('"' + "[" * 500, False),
        ('"' + r"\"[" * 500, False),
        ('"\\\\"' + "{" * 101, True),
        ("]" * 9 + "[" * 101, False),
    ],
)
def test_depth_counts_open_brackets_outside_of_texts(text: str, deep: bool) -> None:
    assert is_deep(text) is deep


@pytest.mark.parametrize(
    "part",
    [
        *('"a":1,', '"b":[{}],', '"A ":1,"a":2,', r'"\ud800":"\ud800",', '"', r"\"", r'"\"[', "["),
        *("{", '["', '{"a":', "\\", " ", '"é":"\\"",'),
    ],
)
def test_hostile_line_takes_linear_time(part: str) -> None:
    body = ("{" + part * (SIZE // len(part))).encode()
    objects = Objects(CONTRACT)

    start = time.process_time()
    for line in (body, body.removesuffix(b",") + b"}"):
        [found] = objects.read([line])
        assert isinstance(found, Fault | list)
        assert len(str(found)) < SIZE

    assert time.process_time() - start < 10


def test_keys_that_differ_in_each_row_do_not_fill_the_memory() -> None:
    objects = Objects(CONTRACT)

    rows = objects.read(b'{"a":%d,"key %d":1}' % (i, i) for i in range(20_000))

    assert [row for row in rows if row] == [[str(i), None] for i in range(20_000)]
    assert len(objects._places) == 10_000
