import json
import time
from random import Random

import pytest

from functions.transform.jsonb import MAX_DIGITS, problem
from shared.json_lines import MAX_DEPTH
from tests.fixtures.database import Database

NESTED = "[" * MAX_DEPTH + "]" * MAX_DEPTH
TOO_DEEP = f"has more than {MAX_DEPTH} levels"
TOO_LONG = f"has a number of more than {MAX_DIGITS:,} digits before or after the decimal point"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, None) for text in ("1", '"a"', "null", '{"a": [1.5e3, -0]}', NESTED, '"[["')),
        *((text, None) for text in (r'"\ud834\udd1e"', r'"\\u0000"', r'"\\\\ud800"', "1e999")),
        (f'{{"a": {NESTED}}}', TOO_DEEP),
        (f'{{"a": [{NESTED}], "a": 1}}', TOO_DEEP),
        ("[" * 100_000, TOO_DEEP),
        (r'"\u0000"', r"contains \u0000, which PostgreSQL cannot store"),
        (r'{"\\\uD800": 1}', r"contains \uD800, which PostgreSQL cannot store"),
        (r'"\udd1e\ud834"', r"contains \udd1e, which PostgreSQL cannot store"),
        *((text, TOO_LONG) for text in ("1e1000", "1e-1001", "9" * 1001, "1e99999999999999999999")),
        *(
            (text, "is not valid JSON")
            for text in ("", "{", "01", "NaN", "-Infinity", '"a\n"', '{"a": 1,}', "1 2", '"\\x"')
        ),
    ],
)
def test_problem_says_why_postgresql_would_refuse_text(text: str, expected: str | None) -> None:
    assert problem(text, must_be_object=False) == expected


def test_problem_finds_value_that_is_no_object() -> None:
    assert problem("[{}]", must_be_object=True) == "is not a JSON object"


@pytest.mark.parametrize("part", ['"', r"\"", '"\\', "[1,", '{"a":', r'"\u0000', "9", '"a":1,'])
def test_problem_takes_linear_time(part: str) -> None:
    def seconds(length: int) -> float:
        texts = [before + part * (length // len(part)) for before in ("", '"', '{"":"')]
        began = time.process_time()
        for text in texts:
            problem(text, must_be_object=False)
            problem(json.dumps(text), must_be_object=False)
        return time.process_time() - began

    assert seconds(100_000) < 0.5 + 40 * seconds(10_000)


DOCUMENTS = [
    *(
        '{"a": [1.5e3, null, -0], "b": {"a": ""}, "a": true}',
        '["\\ud834\\udd1e", "\\u00e9\\n", 1E-7]',
    ),
    *(" 10 ", '"\\\\\\"\\/"', '[[], {}, [{}], "é𝄞"]', '"\\\\ud834\\udd1e"', "false", "-12.5e+3"),
]
CHANGES = [*'[]{}:,"\\ue-+.0 \t\x1f\x7f', r"\u00", r"\ud8", "null", "", "", ""]


def test_postgresql_agrees_which_changed_texts_are_valid(database: Database) -> None:
    random = Random(1)
    texts = []
    for _ in range(5_000):
        text = random.choice(DOCUMENTS)
        for _ in range(random.randint(0, 3)):
            at = random.randint(0, len(text))
            text = text[:at] + random.choice(CHANGES) + text[at + random.randint(0, 2) :]
        texts.append(text)

    found = database.run(
        "SELECT text, pg_input_is_valid(text, 'jsonb') FROM unnest(CAST(:texts AS text[])) AS text",
        texts=texts,
    )

    wrong = [(t, ok) for t, ok in found if ok != (problem(t, must_be_object=False) is None)]
    assert wrong == []
    assert 500 < sum(is_valid for _, is_valid in found) < 4_500
