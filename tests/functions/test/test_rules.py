import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from functions.test.rules import Judge, keys_for, repeating_lines
from functions.transform.casts import schema
from shared.column import Column
from shared.column_types import TYPES, Kind, RuleKind
from shared.contract import Contract
from shared.quality import UniqueRows
from tests.fixtures.contracts import READINGS, column

NOW = dt.datetime(2024, 3, 3, 12, tzinfo=dt.UTC)


def contract_of(kind: str, rule: dict[str, Any], timezone: str = "Etc/UTC") -> Contract:
    like = next(each for each in READINGS.columns if each.kind == kind)
    named = {"name": "c", "physical_name": "c", "rules": [{"name": "r"} | rule]}
    column = Column.model_validate(like.model_dump(exclude_unset=True) | named)
    return Contract(table="t", relation="t", version="1", columns=(column,), timezone=timezone)


def part(contract: Contract, *values: object, first: int = 2) -> pa.Table:
    rows = [{"c": value, "line": first + i} for i, value in enumerate(values)]
    return pa.Table.from_pylist(rows, schema=schema(contract))


def violations(contract: Contract, *parts: pa.Table) -> list[list[dict[str, Any]]]:
    """Return the violations in all parts of a file."""
    keys = (keys_for(contract, each) for each in parts)
    judge = Judge(contract, NOW, repeating_lines(contract, keys, Path("unused")))
    encoded = [pa.table([*map(dictionary_of, each.columns)], each.column_names) for each in parts]
    found = [judge.violations(each).to_pylist() for each in parts]
    assert found == [judge.violations(each).to_pylist() for each in encoded]
    return found


def dictionary_of(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.dictionary_encode() if pa.types.is_string(values.type) else values


def failed(contract: Contract, *values: object) -> list[object]:
    lines = {each["line"] for each in violations(contract, part(contract, *values))[0]}
    return [value for i, value in enumerate(values) if i + 2 in lines]


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("logical_type", "rule", "values", "wrong"),
    [
        ("string", {"kind": "length", "minimum": 2}, ["a", "ab", "", None], ["a", ""]),
        ("string", {"kind": "length", "minimum": 1, "maximum": 2}, ["", "ё", "abc"], ["", "abc"]),
        ("string", {"kind": "pattern", "regex": "a|b+"}, ["a", "bb", "ab", "", None], ["ab", ""]),
        ("string", {"kind": "pattern", "regex": "a"}, ["a\n", "xa"], ["a\n", "xa"]),
        ("string", {"kind": "allowed", "values": ["x", "y"]}, ["x", "y", "X", None], ["X"]),
        ("integer", {"kind": "range", "minimum": 1, "maximum": 3}, [0, 1, 3, 4, None], [0, 4]),
        ("integer", {"kind": "range", "minimum": "0.5"}, [0, 1], [0]),
        (
            "number",
            {"kind": "range", "maximum": "0.125"},
            [Decimal("0.12"), Decimal("0.13")],
            [Decimal("0.13")],
        ),
        (
            "date",
            {"kind": "range", "minimum": "2020-01-01", "maximum": "2020-12-31"},
            [
                dt.date(2019, 12, 31),
                dt.date(2020, 1, 1),
                dt.date(2020, 12, 31),
                dt.date(2021, 1, 1),
            ],
            [dt.date(2019, 12, 31), dt.date(2021, 1, 1)],
        ),
        (
            "timestamp",
            {"kind": "range", "minimum": "2020-01-01"},
            [at(2019, 12, 31, 23, 59, 59, 999_999), at(2020, 1, 1)],
            [at(2019, 12, 31, 23, 59, 59, 999_999)],
        ),
        (
            "timestamp",
            {"kind": "range", "minimum": "2020-01-01T00:00:00+02:00"},
            [at(2019, 12, 31, 21, 59), at(2019, 12, 31, 22)],
            [at(2019, 12, 31, 21, 59)],
        ),
        (
            "timestamp",
            {"kind": "not_in_future"},
            [NOW, NOW + dt.timedelta(microseconds=1), None],
            [NOW + dt.timedelta(microseconds=1)],
        ),
        (
            "date",
            {"kind": "not_in_future"},
            [dt.date(2024, 3, 3), dt.date(2024, 3, 4), None],
            [dt.date(2024, 3, 4)],
        ),
        (
            "float",  # the column's type is real, which rounds values and bounds
            {"kind": "range", "minimum": "0.1", "maximum": "0.3"},
            [0.1, 0.3, 0.09999999, 0.30000004, None],
            [0.09999999, 0.30000004],
        ),
        (
            "time",
            {"kind": "range", "minimum": "08:00", "maximum": "17:30:00.5"},
            [dt.time(7, 59), dt.time(8), dt.time(17, 30, 0, 500_000), dt.time(17, 31), None],
            [dt.time(7, 59), dt.time(17, 31)],
        ),
        ("uuid", {"kind": "unique"}, ["a", "b", "a"], ["a"]),
        ("string", {"kind": "unique"}, ["a", "b", None, None, "a", "a"], ["a", "a"]),
        ("string", {"kind": "required"}, ["a", "", None], [None]),
    ],
)
def test_rule_finds_violations(
    logical_type: str, rule: dict[str, Any], values: list[object], wrong: list[object]
) -> None:
    found = failed(contract_of(logical_type, rule), *values)

    assert found[-len(wrong) :] == wrong
    if rule["kind"] != "unique":
        assert found == wrong


def test_unique_rejects_repeats_in_every_part() -> None:
    contract = contract_of("string", {"kind": "unique"})
    parts = (
        part(contract, "a", "b", "a", first=2),
        part(contract, "c", "b", None, first=5),
        part(contract, "c", "d", None, first=8),
    )

    found = violations(contract, *parts)

    assert [[(each["line"], each["reason"]) for each in of] for of in found] == [
        [(line, "c repeats a value of an earlier row")] for line in (4, 6, 8)
    ]


def test_unique_checks_columns_separately() -> None:
    unique = {"name": "unique", "kind": "unique"}
    columns = tuple(column(name, "string", "text", rules=(unique,)) for name in "ab")
    contract = Contract(table="t", relation="t", version="1", columns=columns)
    rows = {"a": "x", "b": "y", "line": 2}, {"a": "y", "b": "y", "line": 3}

    first, second = violations(
        contract, *(pa.Table.from_pylist([row], schema=schema(contract)) for row in rows)
    )

    assert first == []
    assert [each["column"] for each in second] == ["b"]


def test_unique_rows_compares_columns_together_in_every_part() -> None:
    columns = (column("a", "string", "text"), column("b", "number", "numeric(3,1)"))
    rule = UniqueRows(name="pair", columns=("b", "a"), severity="warning")
    contract = Contract(table="t", relation="t", version="1", columns=columns, unique_rows=(rule,))
    parts: list[list[tuple[str | None, int | None]]] = [
        [("x", 1), ("x", 2), ("x", 1), ("", 1), (None, 1), (None, 1)],
        [("x\x01", 1), ("x", 2), ("x", None), ("x", None), ("", 1)],
    ]
    tables = [
        pa.Table.from_pylist(
            [
                {"a": a, "b": None if b is None else Decimal(b), "line": first + n}
                for n, (a, b) in enumerate(rows)
            ],
            schema=schema(contract),
        )
        for first, rows in zip((2, 8), parts, strict=True)
    ]

    found = [each for of in violations(contract, *tables) for each in of]

    assert [(each["line"], each["value"]) for each in found] == [
        (4, "1.0, x"),
        (9, "2.0, x"),
        (12, "1.0, "),
    ]
    reason = "b, a repeat the values of an earlier row"
    texts = [(each["column"], each["rule"], each["severity"], each["reason"]) for each in found]
    assert {*texts} == {("b, a", "pair", "warning", reason)}


@pytest.mark.parametrize(
    ("logical_type", "rule", "value", "reason"),
    [
        ("string", {"kind": "required"}, None, "c is missing"),
        ("string", {"kind": "length", "maximum": 1}, "ab", "c does not have at most 1 characters"),
        ("string", {"kind": "length", "minimum": 3}, "ab", "c does not have at least 3 characters"),
        ("integer", {"kind": "range", "minimum": 1, "maximum": 2}, 3, "c is not between 1 and 2"),
        ("integer", {"kind": "range", "minimum": 1}, 0, "c is not at least 1"),
        ("string", {"kind": "pattern", "regex": "a+"}, "b", "c does not match a+"),
        ("string", {"kind": "allowed", "values": ["x", "y"]}, "z", "c is not one of x, y"),
        (
            "string",
            {"kind": "allowed", "values": [f"country {n}" for n in range(200)]},
            "nowhere",
            f"c is not one of {', '.join(f'country {n}' for n in range(10))}, … (190 more)",
        ),
        ("timestamp", {"kind": "not_in_future"}, at(2100, 1, 1), "c is in the future"),
        ("float", {"kind": "range", "maximum": "0.1"}, 0.2, "c is not at most 0.1"),
    ],
)
def test_violation_states_requirement(
    logical_type: str, rule: dict[str, Any], value: object, reason: str
) -> None:
    contract = contract_of(logical_type, rule | {"severity": "warning"})
    good = None if rule["kind"] != "required" else "x"

    (found,) = violations(contract, part(contract, good, value))

    assert found == [
        {
            "line": 3,
            "column": "c",
            "value": None if value is None else str(value),
            "rule": "r",
            "severity": "warning",
            "reason": reason,
        }
    ]


def test_not_in_future_uses_timezone_of_contract() -> None:
    late = contract_of("date", {"kind": "not_in_future"}, timezone="Pacific/Kiritimati")

    assert failed(late, dt.date(2024, 3, 4), dt.date(2024, 3, 5)) == [dt.date(2024, 3, 5)]


ARGUMENTS: dict[str, dict[str, Any]] = {
    "length": {"minimum": 1},
    "pattern": {"regex": "a"},
    "allowed": {"values": ["a"]},
}
BOUNDS: dict[Kind, Any] = {"integer": 1, "number": 1, "float": 1, "time": "08:00"}


@pytest.mark.parametrize("kind", get_args(RuleKind))
@pytest.mark.parametrize("of", TYPES)
def test_every_valid_rule_can_be_checked(of: Kind, kind: RuleKind) -> None:
    rule = {"kind": kind} | ARGUMENTS.get(kind, {})
    if kind == "range":
        rule["minimum"] = BOUNDS.get(of, "2020-01-01")
    if kind not in TYPES[of].rules:
        with pytest.raises(ValueError, match=f"does not apply to the type {of}"):
            contract_of(of, rule)
    else:
        assert failed(contract_of(of, rule), None) == [None] * (kind == "required")
