"""`docs/architecture.md` names every folder, and every field of the records that it describes."""

import datetime as dt
import re

import pytest

from functions.alert.message import compose
from functions.migrate import ddl
from functions.test.rejects import FIELDS
from functions.transform.casts import SUSPECT_SCHEMA
from shared import ingestion_log
from shared.column_types import TYPES
from shared.endings import Kind, State, Status
from shared.ingestion import Ingestion, Run, Source
from tests.checkout import CHECKOUT, FUNCTIONS

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
INGESTION = Ingestion(
    "20240303-0123456789", "orders", dt.date(2024, 3, 3), Source("landing", "key", "version", 1)
)
RUN = Run("arn:aws:states:eu-central-1:1:execution:tm:orders", contracts="0123")
INPUT = RUN.input_of(INGESTION)
ITEM = ingestion_log._new(INGESTION, RUN, {}, Status.RUNNING)
TABLES = (ddl.SOURCE, ddl.LOAD[0], ddl.SCHEMA_VERSION, ddl.REPLACEMENT)


def section(title: str) -> str:
    """Return the text below a heading, to the next one."""
    [text] = re.findall(rf"^##+ {re.escape(title)}$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.mark.parametrize(
    ("title", "names"),
    [
        (
            "Execution input",
            [*INPUT.keys() - {"source"}, *(f"source.{key}" for key in INPUT["source"])],
        ),
        ("DynamoDB log item", [*ITEM, *ingestion_log.TOTALS, "haltReason", "steps", *Status]),
        ("Staged Parquet", [*SUSPECT_SCHEMA.names, *TYPES]),
        ("`rejects.jsonl`", [*FIELDS]),
        ("SNS message", [*compose(ITEM, None, Kind.LOADED).record, *ingestion_log.TOTALS]),
        (
            "PostgreSQL",
            [name for sql in TABLES for name in re.findall(r"^    ([a-z_]+) ", sql, re.M)],
        ),
        ("Flow", FUNCTIONS),
        ("States", [state.capitalize() for state in State if state is not State.TRIGGER]),
    ],
)
def test_page_names_every_field(title: str, names: list[str]) -> None:
    text = section(title)
    words = set(re.findall(r"[\w.]+", text))
    assert [name for name in names if name not in words] == []


def test_page_lists_every_folder() -> None:
    folders = {path.name for path in CHECKOUT.glob("[!.]*/") if path.suffix != ".egg-info"}
    made = {"__pycache__", "build"}
    assert set(re.findall(r"^\| `([a-z_]+)/` ", PAGE, re.MULTILINE)) == folders - made
