"""Load on a real PostgreSQL: it finds refused rows even if PostgreSQL does not name them."""

import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from functions.load import refusals
from functions.load.handler import handler
from shared import parquet
from shared.errors import StatementFailed
from shared.ingestion import Ingestion
from shared.ingestion_log import IngestionLog
from shared.staging import Staging, part_name
from tests.fixtures.aws import KEY, STAGING, lambda_context, land, run_of
from tests.fixtures.contracts import NOTES
from tests.fixtures.database import Database, migrate_to
from tests.functions.load.test_load import stage_part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WIDTH = len(NOTES.header)
RANDOM = random.Random(0)
ROWS = 100


def _random_text(length: int) -> str:
    return "".join(RANDOM.choices([chr(n) for n in range(0x4E00, 0x9F00)], k=length))


SHORT = ("short",) * WIDTH
TOO_LONG_FOR_THE_INDEX = (_random_text(4000), *SHORT[1:])
LONG_BUT_COMPRESSIBLE = ("a" * 50_000, *SHORT[1:])
LONG_WITHOUT_INDEX = ("short", _random_text(40_000), *SHORT[2:])
TOO_WIDE = tuple(_random_text(100) for _ in range(WIDTH))


@pytest.fixture
def notes(
    database: Database, log_table: str, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> Database:
    migrate_to(NOTES)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.loader.secret_arn)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {"notes": NOTES})
    return database


def staged(s3: "S3Client", rows: dict[int, tuple[str, ...]]) -> dict[str, Any]:
    """Stage rows by line, and open the log item; return Load's event."""
    ingestion = land(s3, b"a file", KEY.replace("dailycheckins", "notes"))
    IngestionLog.of("tm-log").open(ingestion, run_of(ingestion))
    values = [pa.array(texts, pa.string()) for texts in zip(*rows.values(), strict=True)]
    part = pa.table([*values, pa.array(rows, pa.int64())], names=[*NOTES.physical_names, "line"])
    return stage_part(ingestion, part)


def refused(event: dict[str, Any], part: int = 0) -> dict[int, str]:
    uri = Staging(STAGING, Ingestion.from_event(event)).refused_prefix + part_name(part)
    return {each["line"]: each["reason"] for each in parquet.read(uri).to_pylist()}


def test_load_finds_exactly_the_refused_rows(notes: Database, s3: "S3Client") -> None:
    rows = dict.fromkeys(range(2, ROWS + 2), SHORT)
    rows |= {9: TOO_LONG_FOR_THE_INDEX, 10: LONG_BUT_COMPRESSIBLE, 11: LONG_WITHOUT_INDEX}
    rows |= {50: TOO_WIDE, 51: TOO_WIDE, ROWS + 1: TOO_LONG_FOR_THE_INDEX}

    verdict = handler(event := staged(s3, rows), lambda_context())

    assert verdict["outcome"] == "rows_refused"
    assert verdict["rowsRefused"] == 4
    assert verdict["reason"].startswith("PostgreSQL refuses 4 rows, the first at line 9: index row")
    reasons = refused(event)
    assert list(reasons) == [9, 50, 51, ROWS + 1]
    assert "index row" in reasons[9]
    assert "row is too big" in reasons[50]
    assert notes.run("SELECT count(*) FROM notes") == [[0]]
    assert notes.run("SELECT count(*) FROM source") == [[0]]


def test_load_limits_refused_rows_per_call(
    notes: Database, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MAX_ROWS", 3)
    event = staged(s3, dict.fromkeys(range(2, 7), TOO_WIDE))

    first = handler(event, lambda_context())
    assert list(refused(event)) == [2, 3, 4]
    # Test has not rejected them here, so Load finds the same rows again.
    second = handler(event | {"load": first}, lambda_context())

    assert (first["refusedParts"], second["refusedParts"]) == (1, 2)
    assert list(refused(event, part=1)) == [2, 3, 4]


def test_load_fails_if_rows_are_refused_only_together(notes: Database, s3: "S3Client") -> None:
    """No row is rejected. The run fails with PostgreSQL's message."""
    notes.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM added) > 1 THEN RAISE 'one at a time'; END IF; RETURN NULL; "
        "END $$"
    )
    notes.run(
        "CREATE TRIGGER refuse AFTER INSERT ON notes_rows REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
    )

    with pytest.raises(StatementFailed, match="one at a time"):
        handler(staged(s3, dict.fromkeys(range(2, 5), SHORT)), lambda_context())

    assert notes.run("SELECT count(*) FROM notes") == [[0]]
