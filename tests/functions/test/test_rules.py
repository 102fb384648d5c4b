import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from functions.test.rules import violations
from functions.transform.casts import schema
from shared.odcs import load_all

CONTRACT = load_all()["dailycheckins"]
GOOD = {
    "user": "ned",
    "timestamp": dt.datetime(2019, 9, 27, tzinfo=dt.UTC),
    "hours": Decimal("8.00"),
    "project": None,
}


def found(**changes: object) -> list[tuple[int, str | None, str, str, str | None]]:
    rows = [GOOD | {"line": 2}, GOOD | changes | {"line": 3}, GOOD | {"line": 4}]
    table = pa.Table.from_pylist(rows, schema=schema(CONTRACT))
    return [
        (each.line, each.column, each.rule, each.severity, each.value)
        for each in violations(table, CONTRACT)
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"user": None}, [(3, "user", "required", "error", None)]),
        ({"timestamp": None}, [(3, "timestamp", "required", "error", None)]),
        ({"hours": None}, [(3, "hours", "required", "error", None)]),
        ({"user": "ё" * 100}, []),
        ({"user": "ё" * 101}, [(3, "user", "maxLength", "error", "ё" * 101)]),
        ({"project": "x" * 101}, [(3, "project", "maxLength", "error", "x" * 101)]),
        ({"hours": Decimal("0.00")}, []),
        ({"hours": Decimal("24.00")}, []),
        ({"hours": Decimal("24.01")}, [(3, "hours", "hours_within_a_day", "warning", "24.01")]),
        ({"hours": Decimal("-0.01")}, [(3, "hours", "hours_within_a_day", "warning", "-0.01")]),
        (
            {"user": None, "hours": Decimal(30)},
            [
                (3, "user", "required", "error", None),
                (3, "hours", "hours_within_a_day", "warning", "30.00"),
            ],
        ),
    ],
)
def test_each_rule(changes: dict[str, object], expected: list[object]) -> None:
    assert found(**changes) == expected
