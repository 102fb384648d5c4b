import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from functions.transform.casts import Cast, Known, arrow_type, cast
from functions.transform.header import match_header
from shared.column_types import TYPES
from shared.contract import Contract
from shared.dialect import Dialect
from shared.odcs import load_all
from shared.rows import read_table
from shared.verdict import Refusal
from tests.fixtures.contracts import READINGS, TOKENS, column

CONTRACT = load_all()["dailycheckins"]
AT = "2019-09-27 00:00:00 UTC"


def cast_text(
    *rows: str, header: str = "", contract: Contract = CONTRACT, known: Known | None = None
) -> Cast:
    header = header or contract.dialect.delimiter.join(contract.header)
    table = read_table(["\n".join([header, *rows]).encode()], contract)
    assert not isinstance(table, Refusal)
    (found,) = table.chunks
    assert not isinstance(found, Refusal)
    places = match_header(table.header, table.width, table.line, contract)
    assert not isinstance(places, Refusal)
    return cast(found(), places, contract, known)


def test_known_reasons_are_those_of_another_chunk() -> None:
    known: Known = {}
    found = [cast_text(f"ned,soon,{text},x", known=known) for text in ("much", "more", "much")]

    assert {*known} == {("timestamp", "soon"), ("hours", "much"), ("hours", "more")}
    assert found[2].suspects.equals(found[0].suspects)
    assert found[1].suspects.equals(cast_text("ned,soon,more,x").suspects)


def test_row_with_two_problems_counts_once() -> None:
    result = cast_text("ned,soon,much,x", "ned", f"ned,{AT},1,x")

    assert result.suspect_rows == 2
    suspects = result.suspects.to_pylist()
    assert [(each["line"], each["column"]) for each in suspects] == [
        (2, "timestamp"),
        (2, "hours"),
        (3, None),
    ]
    assert result.clean["line"].to_pylist() == [4]
    assert suspects[2] == {
        "line": 3,
        "raw": "ned",
        "column": None,
        "value": None,
        "rule": "columnCount",
        "reason": "1 value instead of 4",
        "rawBase64": None,
    }


OTHER = Contract(
    table="t",
    relation="t",
    version="1",
    dialect=Dialect(delimiter=";", null_sequence=("", "-")),
    decimal_mark=",",
    columns=(
        column("small", "integer", "smallint"),
        column("big", "integer", "bigint"),
        column("price", "number", "numeric(6,2)"),
        column("whole", "number", "numeric(3,0)"),
        column("paid", "boolean", "boolean", **TOKENS),
        column(
            "day",
            "date",
            "date",
            formats=({"pattern": "dd.MM.yyyy"}, {"pattern": "d. MMMM yyyy", "locale": "de"}),
        ),
        column("double", "number", "double precision"),
        column("real", "number", "real"),
        column("time", "time", "time", formats=({"pattern": "HH:mm[.SSS]"}, {"pattern": "h a"})),
        column("spelled", "number", "real", group_char=".", number_styles=("parentheses",)),
        column("uuid", "string", "uuid"),
        column("json", "string", "jsonb"),
        column("object", "object", "jsonb"),
    ),
)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("small", "-32768", -32768),
        ("small", "+0032767", 32767),
        ("small", "-" + "0" * 50 + "7", -7),
        ("small", "-", None),
        ("big", "9223372036854775807", 2**63 - 1),
        ("big", "-9223372036854775808", -(2**63)),
        ("price", "1,5", Decimal("1.50")),
        ("price", "-0,005", Decimal("-0.01")),
        ("price", "12", Decimal("12.00")),
        ("whole", "1,5", Decimal(2)),
        ("whole", "-0,5", Decimal(-1)),
        ("whole", "1,49", Decimal(1)),
        ("whole", "7", Decimal(7)),
        ("paid", "ja", True),
        ("paid", "nein", False),
        ("paid", "", None),
        ("day", "29.02.2024", dt.date(2024, 2, 29)),
        ("day", "3. März 2024", dt.date(2024, 3, 3)),
        ("day", "01.01.0001", dt.date(1, 1, 1)),
        ("double", "1,5e-300", 1.5e-300),
        ("double", "-0", 0.0),
        ("double", "0e-999", 0.0),
        ("double", "+1E+05", 1e5),
        ("spelled", "(1.234,5)", -1234.5),
        ("spelled", "1,5e-3", 0.001500000013038516),
        ("double", "4,9e-324", 5e-324),
        ("double", "0," + "1" * 100_000, 0.1111111111111111),
        ("real", "16777217", 16777216.0),
        ("real", "1,00000017881393432617187501", 1 + 2.0**-22),  # a double is exactly between two
        ("time", "23:59.001", dt.time(23, 59, 0, 1_000)),
        ("time", "12 AM", dt.time(0)),
        ("uuid", "6B9F2A2E-0000-4000-8000-00000000000a", "6b9f2a2e-0000-4000-8000-00000000000a"),
        (
            "json",
            ' {"a" : [1, null], "a": "\\ud834\\udd1e"}',
            ' {"a" : [1, null], "a": "\\ud834\\udd1e"}',
        ),
        ("json", "null", "null"),
        ("object", "{}", "{}"),
    ],
)
def test_cast_accepts_other_types(column: str, text: str, value: object) -> None:
    clean, suspects = cast_one(column, text)

    assert suspects == []
    assert clean[column].to_pylist() == [value]


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("small", "32768", "small is too large for smallint"),
        ("small", "-32769", "small is too large for smallint"),
        ("big", "9223372036854775808", "big is too large for bigint"),
        ("big", "9" * 38, "big is too large for bigint"),
        ("big", "-" + "1234567890" * 4, "big is too large for bigint"),
        ("small", "1,0", "small is not an integer"),
        ("small", "٣", "small is not an integer"),
        ("price", "1.5", "price is not a number (digits, optionally followed by ',' and digits)"),
        *(("price", text, "price is not a number") for text in ("1.000,00", "1٫5")),
        ("price", "9999,995", "price has more than 4 digits before the decimal mark"),
        ("whole", "999,5", "whole has more than 3 digits before the decimal mark"),
        ("paid", "Ja", "paid is not ja or nein"),
        ("paid", "1", "paid is not ja or nein"),
        ("day", "29.02.2023", "day is not a valid date in any of the formats dd.MM.yyyy | d. MMMM"),
        ("day", "3. March 2024", "day is not a valid date in any of the formats"),
        ("day", "01.01.2024 00:00", "day is not a valid date in any of the formats"),
        *(("double", text, "double is not a number") for text in ("NaN", "inf", "1.5", ",5", "1e")),
        ("double", "-1e309", "double is too large or too close to zero for double precision"),
        ("double", "1e-400", "double is too large or too close to zero for double precision"),
        ("real", "3,5e38", "real is too large or too close to zero for real"),
        ("real", "0,1e-45", "real is too large or too close to zero for real"),
        ("time", "24:00", "time is not a valid"),
        ("uuid", "{6b9f2a2e-0000-4000-8000-000000000001}", "uuid is not a UUID such as"),
        ("uuid", "6b9f2a2e000040008000000000000001", "uuid is not a UUID such as"),
        ("json", "{'a': 1}", "json is not valid JSON"),
        ("object", "[]", "object is not a JSON object"),
    ],
)
def test_cast_rejects_invalid_values_of_other_types(column: str, text: str, reason: str) -> None:
    clean, (suspect,) = cast_one(column, text)

    assert len(clean) == 0
    assert (suspect["column"], suspect["value"]) == (column, text)
    assert suspect["rule"] == OTHER.column(column).kind
    assert suspect["reason"].startswith(reason)


def cast_one(
    column: str, text: str, contract: Contract = OTHER
) -> tuple[pa.Table, list[dict[str, Any]]]:
    row = contract.dialect.record(text if name == column else "" for name in contract.header)
    result = cast_text(row, contract=contract)
    return result.clean, result.suspects.to_pylist()


STYLES = ("exponent", "omittedZero", "parentheses", "trailingMinus")
WHOLE = ("exponent", "omittedZero", "integralDecimal")
SPELLED = Contract(
    table="t",
    relation="t",
    version="1",
    dialect=Dialect(delimiter=";"),
    columns=(
        column("price", "number", "numeric(12,2)", group_char=",", bare_number=False),
        column("spaced", "number", "numeric(12,2)", group_char=" ", trim=True),
        column("styled", "number", "numeric(20,10)", number_styles=STYLES),
        column("all", "number", "numeric(9,1)", bare_number=False, number_styles=STYLES),
        column("whole", "integer", "bigint", group_char="'", number_styles=WHOLE),
        column("scaled", "integer", "smallint", number_styles=("exponent",)),
        column("paid", "boolean", "boolean", **TOKENS, ignore_case=True),
        column("code", "string", "text", null_tokens=("NA",), trim=True),
        column("country", "string", "text", null_tokens=()),
    ),
)
NOT_NUMBER = "is not a number (digits, optionally followed by '.' and digits)"
NOT_INTEGER = "is not an integer (digits only)"


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("price", "1,234,567.50", Decimal("1234567.50")),
        ("price", "1234567.5", Decimal("1234567.50")),
        ("price", "$12.50", Decimal("12.50")),
        ("price", "-$ 12.50", Decimal("-12.50")),
        ("price", "€\u00a0-1,000", Decimal("-1000.00")),
        ("price", "15%", Decimal("15.00")),
        ("price", "12.50 EUR", Decimal("12.50")),
        ("price", "Rs5 रु", Decimal("5.00")),
        ("spaced", " 1 234\u00a0567\u202f890.5\t", Decimal("1234567890.50")),
        ("spaced", "\u3000\u00a0", None),
        ("styled", "1.5e-7", Decimal("0.0000001500")),
        ("styled", "2E+05", Decimal("200000.0000000000")),
        ("styled", "0.00123e3", Decimal("1.2300000000")),
        ("styled", "1e-999999999999", Decimal("0E-10")),
        ("styled", "0e999999999999", Decimal("0E-10")),
        ("styled", "0." + "0" * 100_000 + "5e+0100001", Decimal("5.0000000000")),
        ("styled", "5" + "0" * 100_000 + "e-0100000", Decimal("5.0000000000")),
        ("styled", ".5", Decimal("0.5000000000")),
        ("styled", "-5.", Decimal("-5.0000000000")),
        ("styled", "(5)", Decimal("-5.0000000000")),
        ("styled", "0.5-", Decimal("-0.5000000000")),
        ("all", "($.05e2)", Decimal("-5.0")),
        ("all", "$(5.)", Decimal("-5.0")),
        ("all", "5- EUR", Decimal("-5.0")),
        ("all", "5 e", Decimal("5.0")),
        ("whole", "1'000'000.", 1_000_000),
        ("whole", "-7.000", -7),
        ("whole", "1.5e3", 1500),
        ("whole", "9223372036854775807.0", 2**63 - 1),
        ("scaled", "3E+04", 30_000),
        ("scaled", "500e-2", 5),
        ("paid", "JA", True),
        ("paid", "Nein", False),
        ("code", " x \u00a0", "x"),
        ("code", "NA ", None),
        ("code", "", ""),
        ("country", "NA", "NA"),
    ],
)
def test_cast_accepts_spellings_by_option(column: str, text: str, value: object) -> None:
    clean, suspects = cast_one(column, text, SPELLED)

    assert suspects == []
    assert clean[column].to_pylist() == [value]


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        *(("price", text, NOT_NUMBER) for text in ("1,5", "0,125", "1234,567", ",123", "1,,234")),
        *(
            ("price", text, NOT_NUMBER)
            for text in ("1 2", "EUR", "5 (net)", "£" * 11 + "5", "$-5-")
        ),
        *(("price", text, NOT_NUMBER) for text in ("1.5 ٣", "x²0x1", "1,234567", "5\t")),
        ("price", "$10,000,000,000", "has more than 10 digits before the decimal mark"),
        ("spaced", "1\u2009234", NOT_NUMBER),
        *(("styled", text, NOT_NUMBER) for text in (".", "e5", "5e", "5e+", "1e5.5", "1e5e5")),
        *(("styled", text, NOT_NUMBER) for text in ("(5", "5)", "(-5)", "-5-", "(5)-", "--5")),
        ("styled", "1e999999999999", "has more than 10 digits before the decimal mark"),
        ("styled", "1" + "0" * 131_000, "has more than 10 digits before the decimal mark"),
        ("whole", "1.5", NOT_INTEGER),
        ("whole", "1e-999999999999", NOT_INTEGER),
        ("whole", "1e999999999999", "is too large for bigint"),
        ("scaled", "32.0e3", NOT_INTEGER),
        ("scaled", "3.0", f"{NOT_INTEGER}; to accept it, set numberStyles: [exponent, integral"),
        ("paid", "ja ", "is not ja or nein; to accept it, set trim: true"),
    ],
)
def test_cast_rejects_spellings_beyond_options(column: str, text: str, reason: str) -> None:
    clean, (suspect,) = cast_one(column, text, SPELLED)

    assert len(clean) == 0
    assert (suspect["column"], suspect["value"]) == (column, text)
    assert suspect["reason"].startswith(f"{column} {reason}")


@pytest.mark.parametrize(
    ("column", "text", "options"),
    [
        ("price", "1.5", "decimalMark: '.'"),
        ("price", "1.000,00", "groupChar: '.'"),
        ("price", "1.000", "groupChar: '.' or decimalMark: '.'"),
        ("price", " 5", "trim: true or bareNumber: false"),
        ("price", "5 €", "bareNumber: false"),
        ("price", "1e3", "numberStyles: [exponent]"),
        ("price", ",5", "numberStyles: [omittedZero]"),
        ("price", "(5)", "numberStyles: [parentheses]"),
        ("price", "5-", "numberStyles: [trailingMinus]"),
        ("small", "1,0", "numberStyles: [integralDecimal]"),
        ("paid", "Ja", "ignoreCase: true"),
        ("day", "29.02.2024 ", "trim: true"),
        ("price", "1.000,00 €", ""),
        ("small", "1e9", ""),
    ],
)
def test_reason_names_options_that_accept_value(column: str, text: str, options: str) -> None:
    _, (suspect,) = cast_one(column, text)

    assert suspect["reason"].partition("; to accept it, set ")[2] == options


@pytest.mark.parametrize(
    ("precision", "scale", "text", "number"),
    [
        (38, 2, "9" * 36 + ".994", "9" * 36 + ".99"),
        (38, 2, "9" * 36 + ".995", None),
        (38, 2, "-" + "9" * 35 + ".995", "-1" + "0" * 35),
        (38, 0, "9" * 33 + ".6", "1" + "0" * 33),
        (34, 2, "3" + "9" * 30 + ".99999997", "4" + "0" * 30),
        (38, 38, "0." + "9" * 38, "0." + "9" * 38),
        (1, 0, "9.4999", "9"),
        (1, 0, "9.5", None),
        (2, 1, "0.05", "0.1"),
        (2, 1, "-0.04", "0"),
        (31, 1, "+" + "9" * 30, "9" * 30),
        (5, 2, "0.1249999999999999999999", "0.12"),
        (5, 2, "999.994", "999.99"),
        *((5, 2, text, None) for text in ("9" * 38, "9" * 39 + ".5")),
    ],
)
def test_cast_rounds_numbers_of_many_digits(
    precision: int, scale: int, text: str, number: str | None
) -> None:
    hours = CONTRACT.column("hours").model_copy(
        update={"physical_type": f"numeric({precision},{scale})"}
    )
    columns = tuple(hours if each.name == "hours" else each for each in CONTRACT.columns)
    contract = CONTRACT.model_copy(update={"columns": columns})

    clean = cast_text(f"ned,{AT},{text},x", contract=contract).clean

    assert clean["hours"].to_pylist() == ([] if number is None else [Decimal(number)])
    assert clean.schema.field("hours").type.value_type == pa.decimal128(precision, scale)


def test_every_kind_has_arrow_type() -> None:
    found = {each.kind: arrow_type(each) for each in READINGS.columns}

    assert found.keys() == TYPES.keys()
    assert all(isinstance(each, pa.DataType) for each in found.values())
