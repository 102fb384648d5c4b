"""A table is one file: budgets flow from drop to PostgreSQL, and only their contract knows them."""

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.test.examination import examine
from functions.transform.transformation import transform
from shared import parquet
from shared.endings import Outcome
from shared.odcs import load_all
from shared.staging import Staging
from shared.verdict import Verdict
from tests.fixtures.aws import STAGING, land
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKOUT = Path(__file__).parent.parent
TABLE = "projectbudgets"
KEY = "table=projectbudgets/year=2024/month=3/day=3/budgets.csv"
HEADER = "Projekt;Geschäftsfeld;Budget €;Personentage;Beginn;Abrechenbar;Bemerkung"
LINES = [
    HEADER,
    "bizdev;Beratung;12500,00;25;01.03.2024;ja;",
    'transit;Öffentliche Hand;0,125;-;1. März 2024;nein;"fix; nach ""Aufwand"""',
    "website;Entwicklung;-;;-;ja;ohne Budget",
    "planned-1;Beratung;1;1;01.01.2099;ja;",
    "Bizdev;Beratung;1;1;01.03.2024;ja;",
    "bizdev;Beratung;1;1;01.03.2024;ja;",
    "sales;Vertrieb;1;1;01.03.2024;ja;",
    "a;Beratung;12.500,00;1;01.03.2024;ja;",
    "b;Beratung;1;2,5;01.03.2024;ja;",
    "c;Beratung;1;100001;01.03.2024;ja;",
    "d;Beratung;1;1;30.02.2024;ja;",
    "e;Beratung;1;1;2024-03-01;ja;",
    "f;Beratung;1;1;01.03.2024;Ja;",
    "g;Beratung;1;1;01.03.2024;ja",
    *(f"good-{n};Beratung;1;1;01.03.2024;ja;" for n in range(16, 22)),
]
LOADED = [
    # project, business_unit, budget_eur, person_days, starts_on, billable, source_line
    ["bizdev", "Beratung", Decimal("12500.00"), 25, dt.date(2024, 3, 1), True, 2],
    ["transit", "Öffentliche Hand", Decimal("0.13"), None, dt.date(2024, 3, 1), False, 3],
    ["website", "Entwicklung", None, None, None, True, 4],
    ["planned-1", "Beratung", Decimal("1.00"), 1, dt.date(2099, 1, 1), True, 5],
    *(
        [f"good-{n}", "Beratung", Decimal("1.00"), 1, dt.date(2024, 3, 1), True, n]
        for n in range(16, 22)
    ),
]
REJECTED = [
    # line, column, rule, value
    (6, "Projekt", "pattern", "Bizdev"),
    (7, "Projekt", "unique", "bizdev"),
    (8, "Geschäftsfeld", "known_business_unit", "Vertrieb"),
    (9, "Budget €", "number", "12.500,00"),
    (10, "Personentage", "integer", "2,5"),
    (11, "Personentage", "minimum/maximum", "100001"),
    (12, "Beginn", "date", "30.02.2024"),
    (13, "Beginn", "date", "2024-03-01"),
    (14, "Abrechenbar", "boolean", "Ja"),
    (15, None, "columnCount", None),
]


def file_of(lines: list[str]) -> bytes:
    return "\r\n".join(lines).encode("cp1252")


def records(jsonl: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in jsonl.decode().splitlines()]


def process(body: bytes, s3: "S3Client") -> tuple[Verdict, Staging]:
    """Put a file through Transform and Test."""
    contract, staging = load_all()[TABLE], Staging(STAGING, land(s3, body, KEY))
    transformed = transform([body], contract, staging)
    if transformed.outcome == Outcome.REFUSED:
        return transformed, staging
    return examine(staging, transformed.as_result(), [body], contract, hard=False), staging


def read(s3: "S3Client", uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_rows_are_cast_and_judged_by_the_contract_alone(s3: "S3Client") -> None:
    verdict, staging = process(file_of(LINES), s3)

    assert verdict.outcome == Outcome.OK
    assert (verdict.counts["rowsRead"], verdict.counts["rowsRejected"]) == (20, 10)
    (part,) = [parquet.read(uri) for uri in parquet.parts(staging.clean_prefix)]
    assert [[*row.values()] for row in part.to_pylist()][:4] == LOADED[:4]
    found = records(read(s3, staging.rejects))
    assert [
        (each["line"], each["column"], each["rule"], each["value"])
        for each in found
        if each["severity"] == "error"
    ] == REJECTED
    (warning,) = [each for each in found if each["severity"] == "warning"]
    assert (warning["line"], warning["rule"]) == (5, "begun_already")
    assert {each["raw"] for each in found} <= {*LINES}


def test_columns_come_in_any_order(s3: "S3Client") -> None:
    columns = [line.split(";") for line in (LINES[0], LINES[1])]
    body = file_of([";".join(reversed(row)) for row in columns])

    verdict, staging = process(body, s3)

    assert verdict.outcome == Outcome.OK
    (part,) = [parquet.read(uri) for uri in parquet.parts(staging.clean_prefix)]
    assert [[*row.values()] for row in part.to_pylist()] == LOADED[:1]


@pytest.mark.parametrize(("negative", "outcome"), [(4, Outcome.OK), (5, Outcome.FAILED_TESTS)])
def test_a_threshold_halts_also_with_soft_testing(
    negative: int, outcome: Outcome, s3: "S3Client"
) -> None:
    rows = [
        f"p{i};Beratung;{'-1' if i < negative else '1'},00;1;01.03.2024;ja;" for i in range(100)
    ]

    verdict, _ = process(file_of([HEADER, *rows]), s3)

    assert verdict.outcome == outcome
    assert verdict.counts["rowsRejected"] == negative
    if outcome == Outcome.FAILED_TESTS:
        assert verdict.reason is not None
        assert verdict.reason.startswith(
            "5 of 100 rows fail budget_not_negative of Budget €, fewer than 5% may"
        )


def test_too_many_rows_halt(s3: "S3Client") -> None:
    rows = [f"p{i};Beratung;1;1;01.03.2024;ja;" for i in range(10_001)]

    verdict, _ = process(file_of([HEADER, *rows]), s3)

    assert verdict.outcome == Outcome.FAILED_TESTS
    assert verdict.reason == (
        "the file holds 10001 rows, a_plausible_number_of_projects asks for 1 to 10000"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("\n".join(LINES).encode(), "missing: 'Budget €', 'Geschäftsfeld'"),
        (file_of([HEADER.replace("Budget €;", ""), *LINES[1:]]), "missing: 'Budget €'"),
        (file_of([HEADER, "bizdev;x"]) + b"\x81", "line 2 is not cp1252 text: byte 0x81"),
    ],
    ids=["utf-8", "header", "byte"],
)
def test_a_file_that_is_not_the_contracts_is_refused(
    body: bytes, reason: str, s3: "S3Client"
) -> None:
    verdict, _ = process(body, s3)

    assert verdict.outcome == Outcome.REFUSED
    assert verdict.reason is not None
    assert reason in verdict.reason


def test_only_the_contract_knows_the_table() -> None:
    names = re.compile(r"project_?budgets|Personentage|person_days")
    knowing = [
        path
        for folder in ("functions", "shared", "terraform", "cli")
        for path in (CHECKOUT / folder).rglob("*.*")
        if path.suffix in {".py", ".tf", ".json", ".sh"} and names.search(path.read_text("utf-8"))
    ]
    assert knowing == []


def test_from_drop_to_postgresql(laptop: Laptop, tmp_path: Path) -> None:
    pipeline = Pipeline(laptop)
    path = tmp_path / "budgets.csv"
    path.write_bytes(file_of(LINES))

    done = laptop.tm("drop", str(path), "--table", TABLE, "--date", "2024-03-03", "--follow")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 read, 10 loaded, 10 rejected" in done.stdout
    assert (
        pipeline.query(
            "SELECT project, business_unit, budget_eur, person_days, starts_on, billable, "
            "source_line FROM project_budgets JOIN source ON source.id = source_id "
            "WHERE source_key = :key ORDER BY source_line",
            key=KEY,
        )
        == LOADED
    )
    assert dict(
        pipeline.query(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'project_budgets'::regclass AND attnum > 1 AND NOT attisdropped"
        )
    ) == {
        "project": "character varying(40)",
        "business_unit": "text",
        "budget_eur": "numeric(12,2)",
        "person_days": "integer",
        "starts_on": "date",
        "billable": "boolean",
        "source_id": "integer",
        "source_line": "integer",
    }


def test_a_corrected_export_replaces_its_rows(laptop: Laptop, tmp_path: Path) -> None:
    pipeline = Pipeline(laptop)
    path = tmp_path / "corrected.csv"
    for lines in (LINES, [HEADER, "bizdev;Beratung;1,5;;;nein;"]):
        path.write_bytes(file_of(lines))
        done = laptop.tm("drop", str(path), "--table", TABLE, "--date", "2024-03-04", "--follow")
        assert done.returncode == 0, done.stdout + done.stderr

    assert pipeline.query(
        "SELECT project, budget_eur, billable FROM project_budgets "
        "JOIN source ON source.id = source_id WHERE source_key LIKE '%/day=4/corrected.csv'"
    ) == [["bizdev", Decimal("1.50"), False]]
