"""A second table, from upload to PostgreSQL, which only its contract mentions."""

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

from shared.endings import Outcome
from shared.odcs import load_all
from tests.checkout import CHECKOUT
from tests.fixtures.pipeline import Pipeline
from tests.processing import process

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


def test_contract_alone_defines_casts_and_rules(tmp_path: Path) -> None:
    found = process(tmp_path, file_of(LINES), load_all()[TABLE])

    assert found.verdict.outcome == Outcome.OK
    assert (found.verdict.counts["rowsRead"], found.verdict.counts["rowsRejected"]) == (20, 10)
    assert [[*row.values(), line] for line, row in found.loaded.items()] == LOADED
    assert [
        (each["line"], each["column"], each["rule"], each["value"])
        for each in found.rejects
        if each["severity"] == "error"
    ] == REJECTED
    (warning,) = [each for each in found.rejects if each["severity"] == "warning"]
    assert (warning["line"], warning["rule"]) == (5, "begun_already")
    assert {each["raw"] for each in found.rejects} <= {*LINES}


def test_only_contract_mentions_table() -> None:
    names = re.compile(r"project_?budgets|Personentage|person_days")
    mentioning = [
        path
        for folder in ("functions", "shared", "terraform", "cli")
        for path in (CHECKOUT / folder).rglob("*.*")
        if path.suffix in {".py", ".tf", ".json", ".sh"} and names.search(path.read_text("utf-8"))
    ]
    assert mentioning == []


def drop(pipeline: Pipeline, file: Path, lines: list[str]) -> str:
    """Upload a file with these lines, follow its run, and return the command's output."""
    file.write_bytes(file_of(lines))
    options = ("--table", TABLE, "--date", "2024-03-03", "--follow")
    done = pipeline.laptop.tm("drop", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rows_are_loaded_from_upload_to_postgresql(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "budgets.csv"

    assert "20 read, 10 loaded, 10 rejected" in drop(pipeline, file, LINES)
    rows = pipeline.query(
        "SELECT project, business_unit, budget_eur, person_days, starts_on, billable, "
        "source_line FROM project_budgets JOIN source ON source.id = source_id "
        "WHERE source_key = :key ORDER BY source_line",
        key=KEY,
    )
    assert rows == LOADED
    columns = pipeline.query(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'project_budgets'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    assert dict(columns) == {
        "project": "character varying(40)",
        "business_unit": "text",
        "budget_eur": "numeric(12,2)",
        "person_days": "integer",
        "starts_on": "date",
        "billable": "boolean",
        "source_id": "integer",
        "source_line": "integer",
        "load_id": "integer",
    }

    drop(pipeline, file, [HEADER, "bizdev;Beratung;1,5;;;nein;"])

    assert pipeline.query(
        "SELECT project, budget_eur, billable FROM project_budgets "
        "JOIN source ON source.id = source_id WHERE source_key = :key",
        key=KEY,
    ) == [["bizdev", Decimal("1.50"), False]]
