"""Tests of `tm contract`, which drafts a contract from files and needs no cloud."""

import gzip
import itertools
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.drafting import moments, names
from shared import contract_yaml, odcs
from shared.column import Column
from shared.contract import Contract
from shared.naming import physical_names
from shared.yaml_text import flow
from tests.fixtures.operator import tm

TYPES: list[tuple[list[str], str, dict[str, Any]]] = [
    (["1", "-2", ""], "smallint", {}),
    (["1000"], "integer", {}),
    (["1", "123456789"], "bigint", {}),
    (["9" * 18], "bigint", {}),
    (["9" * 20], "numeric(21,0)", {}),
    (["9" * 40, "1"], "double precision", {}),
    (["1.5", "-12.25"], "numeric(5,2)", {}),
    (["1.0", "2.0"], "numeric(3,1)", {}),
    (["0.30000000000000004"], "double precision", {}),
    (["1e-300", "5"], "double precision", {}),
    (["1,234.50", "12.00"], "numeric(7,2)", {"group_char": ","}),
    (["1,234,567"], "integer", {"group_char": ","}),
    (["$5", "-$1.50"], "numeric(4,2)", {"bare_number": False}),
    (["5 EUR", "12 EUR"], "smallint", {"bare_number": False}),
    (["$5", "€5"], "text", {}),
    (["PAL0708", "PAL0910"], "text", {}),
    (["(5)", "6"], "smallint", {"number_styles": ("parentheses",)}),
    (["5-", "6"], "smallint", {"number_styles": ("trailingMinus",)}),
    ([".5", "6"], "numeric(3,1)", {"number_styles": ("omittedZero",)}),
    ([" 5", "6 "], "smallint", {"trim": True}),
    (["007", "12"], "text", {}),
    (["+491701234567"], "text", {}),
    (["NA", "5", ""], "smallint", {"null_tokens": ("", "NA")}),
    (["NA", "x"], "text", {}),
    (["NA", ""], "text", {}),
    (["", ""], "text", {}),
    (["yes", "No"], "boolean", {"true_tokens": ("yes",), "false_tokens": ("No",)}),
    (["TRUE"], "boolean", {"true_tokens": ("TRUE",), "false_tokens": ("FALSE",)}),
    (["NO", "NO"], "text", {}),
    (["0", "1"], "smallint", {}),
    (["6b9f2a2e-0000-4000-8000-000000000001"], "uuid", {}),
    (["{}", "[1]"], "jsonb", {}),
    (["{", "[1]"], "text", {}),
    (["x\u2028y", "#: {"], "text", {}),
]
FORMATS = [
    (["2024-02-29"], "date", ["yyyy-MM-dd"]),
    (["2024-02-29", "2024-3-1"], "date", ["yyyy-M-d"]),
    (["13/02/2024", "01/02/2024"], "date", ["dd/MM/yyyy"]),
    (["2/13/2024", "1/2/2024"], "date", ["M/d/yyyy"]),
    (["1.2.24"], "date", ["d.M.yy"]),
    (["31.12.2024", "2024-02-29"], "date", ["dd.MM.yyyy", "yyyy-MM-dd"]),
    (["5 May 2024"], "date", ["d MMM yyyy", "d MMMM yyyy"]),
    (["5 Jan 2024"], "date", ["d MMM yyyy"]),
    (["5. März 2024", "1. Dezember 2024"], "date", ["d. MMMM yyyy"]),
    (["2024-01", "2024-12"], "date", ["yyyy-MM"]),
    (["2024Q1"], "date", ["yyyy'Q'Q"]),
    (["2024-02-29T10:00Z", "2024-02-29 10:00:00.5"], "timestamp", ["iso8601"]),
    (
        ["2024-02-29 10:00:00 UTC", "2024-02-29 10:00:00.123 UTC", "2024-02-29 10:00:00.12345 UTC"],
        "timestamp",
        ["yyyy-MM-dd HH:mm:ss[.SSSSSS][.SSSSS][.SSSS][.SSS] VV"],
    ),
    (["31.12.2024 9:05"], "timestamp", ["dd.MM.yyyy H:mm"]),
    (["12/31/2024 9:05 PM"], "timestamp", ["MM/dd/yyyy h:mm a"]),
    (["10/Oct/2000:13:55:36 -0700"], "timestamp", ["d/MMM/yyyy:HH:mm:ss XX"]),
    (["09:30", "23:59"], "time", ["HH:mm"]),
    (["2024-13-01"], "string", []),
    (["01/02/2024"], "string", []),
    (["13/02/2024", "02/13/2024"], "string", []),
    (["01-02-03"], "string", []),
    (["2024", "1999"], "integer", []),
    (["20240229", "20241231"], "integer", []),
]
CHECKS = [
    (["01/02/2024"], "date in each of the formats dd/MM/yyyy and MM/dd/yyyy: ask which"),
    (["01-02-03"], "in each of the formats yy-MM-dd and dd-MM-yy and MM-dd-yy:"),
    (["2024-01-01 10:00"], "a time without a time zone is read as UTC"),
    (["1.2.24"], "yy is a year from 2000 to 2099"),
    (["2024-01-01T10:00:00.1234567Z"], "digits beyond microseconds are cut"),
    (["NA", "x"], "× 'NA' mean missing?"),
    ([" x"], "201 values have white space around them"),
    (["", "NA"], "it has no values, so its type is unknown"),
    (["0", "1"], "it has only 0 and 1"),
    (["20240229", "20241231"], "all values are also a date in the format yyyyMMdd"),
    (["1700000000"], "also a timestamp of this century in the format epochSeconds"),
    (["1700000000000"], "also a timestamp of this century in the format epochMillis"),
    (["1,234"], "if it is the decimal mark, set decimalMark: ','"),
    (["$5"], "the text around numbers is dropped, e.g. in '$5'"),
    ([*map(str, range(200)), "n.b."], "all but 1 of 201 values are of the type integer; the"),
    (["2024-01-01"] * 200 + ["soon"], "all but 1 of 201 values are a date; the others are no"),
]
CASES = [values for values, *_ in (*TYPES, *FORMATS, *CHECKS)]
"""The values of a column each, which repeat until all columns are equally long."""


def drafted(folder: Path, *files: str, exit_code: int = 0) -> tuple[str, Contract]:
    """Return the draft for files of the table `t`, as text and parsed."""
    paths = [folder / f"{number}.csv" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_text(content, "utf-8")
    result = tm("contract", *paths, "--table", "t")
    assert result.exit_code == exit_code, result.stderr
    return result.stdout, odcs.parse("t.odcs.yaml", result.stdout.encode())


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Contract]:
    """Return the draft of a file with a column for each of `CASES`."""
    rows = max(map(len, CASES))
    columns = [itertools.islice(itertools.cycle(values), rows) for values in CASES]
    header = ",".join(f"c{number}" for number in range(len(CASES)))
    body = (",".join(f'"{value}"' for value in row) for row in zip(*columns, strict=True))
    return drafted(tmp_path_factory.mktemp("wide"), "\n".join([header, *body]))


def column_of(values: list[str], wide: tuple[str, Contract]) -> tuple[str, Column]:
    """Return the comments on the column with these values, without line ends, and the column."""
    text, contract = wide
    name = f"c{CASES.index(values)}"
    before = text[: text.index(f"      - name: {name}\n")].splitlines()
    comments = [*itertools.takewhile(lambda line: line.startswith("      #"), reversed(before))]
    joined = " ".join(line.strip(" #") for line in reversed(comments))
    return joined, contract.column(name)


@pytest.mark.parametrize(("values", "stored", "options"), TYPES)
def test_contract_finds_narrowest_type(
    values: list[str], stored: str, options: dict[str, Any], wide: tuple[str, Contract]
) -> None:
    _, column = column_of(values, wide)
    found = {name: getattr(column, name) for name in options}
    assert (column.physical_type, found) == (stored, options)
    assert column.required == ("" not in values and "null_tokens" not in options)


@pytest.mark.parametrize(("values", "kind", "patterns"), FORMATS)
def test_contract_finds_formats(
    values: list[str], kind: str, patterns: list[str], wide: tuple[str, Contract]
) -> None:
    _, column = column_of(values, wide)
    assert (column.kind, [each.pattern for each in column.formats]) == (kind, patterns)


@pytest.mark.parametrize(("values", "check"), CHECKS)
def test_contract_marks_what_files_do_not_settle(
    values: list[str], check: str, wide: tuple[str, Contract]
) -> None:
    assert check in column_of(values, wide)[0]


def test_contract_finds_key(tmp_path: Path) -> None:
    rows = "".join(f"k{number},{number}\n" for number in range(20))
    text, contract = drafted(tmp_path, f"name,n\n{rows}")
    kinds = [[rule.kind for rule in each.rules] for each in contract.columns]
    assert kinds == [["required", "unique"], ["required"]]
    assert "check: all 20 values differ: is each value unique in a file?" in text


def test_contract_requires_no_column_if_rows_are_too_wide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.drafting.draft._MAX_REQUIRED", 3)
    _, contract = drafted(tmp_path, "a,b\n1,2\n3,4\n")
    assert not any(each.required for each in contract.columns)


def test_contract_finds_decimal_mark_of_table(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, "a;b;c;d\n1,5;1.234;1.5;,5\n2,25;5;2;1\n")
    assert contract.decimal_mark == ","
    assert [each.physical_type for each in contract.columns] == [
        "numeric(4,2)",
        "integer",
        "text",
        "numeric(3,1)",
    ]
    assert "all values are numbers with the decimal mark '.', but the table has ','" in text


def test_contract_marks_groups_that_look_like_decimals(tmp_path: Path) -> None:
    text, contract = drafted(tmp_path, "a;b\n1.234;x\n5.678;y\n")
    assert contract.column("a").physical_type == "numeric(5,3)"
    assert "set decimalMark: ',' in the table and groupChar: '.'" in re.sub(r"\n *#  ", "", text)


def test_contract_warns_of_unknown_values_only(tmp_path: Path) -> None:
    rows = "".join(f"{line},{'ab'[line % 2]}\n" for line in range(40))
    _, contract = drafted(tmp_path, f"line,value\n{rows}")
    rule = contract.column("value").rules[-1]
    assert (rule.kind, rule.severity) == ("allowed", "warning")


def test_contract_covers_all_files(tmp_path: Path) -> None:
    days = "day,n\n13/02/2024,1\n"
    text, contract = drafted(tmp_path, "day,note\n01/02/2024,x\n", days, "day\n01/02/2024\n")
    assert contract.header == ("day", "note", "n")
    assert [each.optional for each in contract.columns] == [False, True, True]
    assert contract.column("day").formats[0].pattern == "dd/MM/yyyy"
    assert "3 rows." in text


def test_contract_lists_rows_that_do_not_load(tmp_path: Path) -> None:
    rows = "".join(f"{number},x\n" for number in range(30))
    text, contract = drafted(tmp_path, f"a,b\n1,x\n1,x,y\n{rows}", exit_code=1)
    assert "# '0.csv' line 3: 3 values instead of 2" in text
    assert contract.column("a").physical_type == "smallint"


def test_contract_covers_all_keys_of_json_lines(tmp_path: Path) -> None:
    first = '{"n": 1.5, "on": true, "o": {"k": [1]}}\n' + '{"n": 2, "day": "2024-01-31"}\n' * 39_999
    text, contract = drafted(tmp_path, first, '{"n": null}\n{"n": 3, "late": "1,5"}\n')
    assert (contract.file_format, contract.decimal_mark) == ("jsonLines", ".")
    assert {each.name: each.kind for each in contract.columns} == {
        "n": "number",
        "on": "boolean",
        "o": "json",
        "day": "date",
        "late": "string",
    }
    assert not any(each.required or each.optional for each in contract.columns)
    assert "40,002 rows." in text


def test_contract_refuses_file_without_table(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(gzip.compress(b"a\n1\n" * 1_000)[:-20])
    result = tm("contract", file)
    assert result.exit_code == 1
    assert result.stderr.startswith("tm: x.csv: ")
    assert not result.stdout


def test_contract_writes_file_of_table_once(tmp_path: Path) -> None:
    file = tmp_path / "Orders_2024-03-01.csv"
    file.write_text("a\n1\n")
    folder = tmp_path / "new" / "contracts"
    assert tm("contract", file, "--out", folder).exit_code == 0
    contract = odcs.load(folder / "orders.odcs.yaml")
    assert (contract.table, contract.header) == ("orders", ("a",))
    again = tm("contract", file, "--out", folder)
    assert again.exit_code == 1
    assert "orders.odcs.yaml exists: name another folder" in again.stderr


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("orders.csv.gz", "orders"),
        ("Order Lines (2024).csv", "order_lines_2024"),
        ("sales_2024-03.csv", "sales"),
        ("Größe.csv", "grosse"),
        ("2024-03-01.csv", None),
        ("заказы.csv", None),
        ("source.csv", "t_source"),
        ("pg_x.csv", "t_pg_x"),
    ],
)
def test_table_is_named_by_file(file: str, table: str | None) -> None:
    assert names.table_of(file) == table


def test_physical_names_are_different_and_allowed(tmp_path: Path) -> None:
    header = [
        "id",
        "ID",
        "line",
        "ctid",
        "orderID",
        "HTTPCode",
        "Größe €",
        "1st",
        "",
        "日",
        "a" * 80,
    ]
    found = physical_names([*header, "a" * 90], "t")
    assert found[:6] == ["id", "id_2", "t_line", "t_ctid", "order_id", "http_code"]
    assert found[6:10] == ["grosse", "column_1st", "column_9", "column_10"]
    assert found[10:] == ["a" * 63, "a" * 61 + "_2"]


@pytest.mark.parametrize(
    "value",
    [
        *("yes", "1", "", " x", "a: b", "#x", "- x", "null", "2024-01-01", "'", '"', "\\", "x\ny"),
        *("\u2028\x85\ufeff", "𝄞", "\x7f", "{a}", "é", "*a", "~", "a,b", "0x1F", "1_0", ".inf"),
        unicodedata.normalize("NFD", "é"),
        [{"a": ["x", True, None, 5]}],
    ],
)
def test_yaml_reads_as_written(value: Any) -> None:
    text = flow({"value": value})
    assert "\n" not in text
    assert yaml.safe_load(text) == {"value": value}
    assert contract_yaml.load(text.encode()) == {"value": value}


def test_catalogue_of_formats_is_valid() -> None:
    shapes = ["9/9/9999", "9999-99-99", "A 9, 9999", "9. A 9999", "9999A9", "99999999"]
    for shape in shapes:
        for form in moments.forms([shape], "date"):
            assert form.format.readings("days")
        for form in moments.forms(
            [f"{shape} 9:99:99 A", f"{shape} 99:99:99.999+99:99"], "timestamp"
        ):
            assert form.format.readings("instants")
