from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.transform.totals import read
from shared.contract import Contract
from shared.control_totals import Claim, Statement, Sum
from shared.dialect import Dialect, Footer
from shared.verdict import Refusal
from tests.fixtures.contracts import column
from tests.processing import process

AMOUNTS = Contract(
    table="t",
    relation="t",
    version="1",
    decimal_mark=",",
    dialect=Dialect(delimiter=";", footer=Footer(pattern="^T;(?P<rows>.*);(?P<sum_amount>.*)")),
    columns=(
        column("name", "string", "text"),
        column("Betrag", "number", "numeric(5,2)", physical_name="amount", group_char="."),
        column("count", "integer", "smallint"),
    ),
)
DIGITS = st.text("0123456789", min_size=1, max_size=38)
NUMBERS = st.tuples(st.sampled_from(["", "-", "+", "0" * 50]), DIGITS, DIGITS).map(
    lambda parts: f"{parts[0]}{parts[1]},{parts[2][:30]}"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NUMBERS, min_size=1), st.integers(8, 500), st.sampled_from([0, 1]))
def test_sum_of_wide_numbers_is_exact(
    tmp_path: Path, numbers: list[str], size: int, unit: int
) -> None:
    total = sum(Fraction(each.replace(",", ".")) for each in numbers)
    stated = int(total * 10**30) + unit
    text = f"{'-' * (stated < 0)}{abs(stated):031}"
    rows = "".join(f"x;{each};1\n" for each in numbers)
    body = f"name;Betrag;count\n{rows}T;{len(numbers)};{text[:-30]},{text[-30:]}\n"

    found = process(tmp_path, body.encode(), AMOUNTS, size=size)

    assert (found.refused is None) == (unit == 0 and abs(stated) < 10**68), found.refused


def test_parts_of_sum_are_added_exactly() -> None:
    parts = [Decimal("1e43"), Decimal("1e-30"), Decimal("-1e43")]

    assert sum(map(Sum, parts), start=Sum()) == Sum(Decimal("1e-30"))


@pytest.mark.parametrize(
    ("name", "value", "total"),
    [
        *(("rows", value, 12) for value in ("12", " 0012 ", 12)),
        *(("size", value, "a number of digits only") for value in ("1.5", "-1", 1.5, -1, True)),
        *(("rows", text, "a number of digits only") for text in (Decimal("1.5"), "٣")),
        ("rows", {}, "a number of digits only"),
        ("md5", "AB" * 16, "ab" * 16),
        ("md5", "ab" * 32, "32 hexadecimal digits"),
        ("sha256", 5, "64 hexadecimal digits"),
        *(("sum_amount", value, Decimal("1234.5")) for value in ("1.234,50", "+01234,5")),
        *(("sum_count", value, Decimal(-3)) for value in ("-3", -3, Decimal("-3.0"))),
        *(
            ("sum_amount", value, "a number as in the column 'Betrag'")
            for value in (
                "1,234.5",
                "1e3",
                "\ud800",
                "1" * 39,
                Decimal("1e999999999"),
                10**99,
                False,
                [1],
            )
        ),
    ],
)
def test_total_is_read_as_text_or_number(
    name: str, value: object, total: int | str | Decimal
) -> None:
    found = read(Statement("it", {name: value}), AMOUNTS)

    if isinstance(found, Refusal):
        assert found.reason.endswith(f" for {name}, but must have {total}")
    else:
        assert found == Claim("it", {name: total})


@pytest.mark.parametrize("name", ["Rows", "etag", "sum_name", "sum_Betrag", "name"])
def test_unknown_total_is_refused(name: str) -> None:
    assert read(Statement("it", {name: "1"}), AMOUNTS) == Refusal(
        f"it has the field {name!r}, which is no control total: select only control totals in the "
        "contract's manifest"
    )


@pytest.mark.parametrize("value", [None, "", "  "])
def test_total_without_value_is_refused(value: str | None) -> None:
    found = read(Statement("it", {"rows": value}), AMOUNTS)

    assert isinstance(found, Refusal)
    assert found.reason.startswith("it has no value for rows, but must have a number")
