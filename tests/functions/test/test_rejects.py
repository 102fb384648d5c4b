import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.test import rejects
from functions.test.rejects import FIELDS, SCHEMA, RejectFiles, batches
from shared.ingestion import Source
from shared.spreadsheet import escaped

SOURCE = Source("landing", "k", "v", 1)


def reject(line: int = 2, rule: str = "r", **changes: Any) -> dict[str, Any]:
    """Return a reject of the column `c`, with `changes`."""
    fields: dict[str, Any] = {"column": "c", "value": None, "severity": "error", "raw": ""}
    return fields | {"line": line, "rule": rule, "reason": f"{rule} is broken"} | changes


def table(*records: dict[str, Any]) -> pa.Table:
    """Return rejects as `RejectFiles` and `Report` take them."""
    return pa.Table.from_pylist([*records], schema=SCHEMA)


def test_reject_files_contain_every_record(tmp_path: Path) -> None:
    with RejectFiles(tmp_path, SOURCE) as files:
        files.write(files.lines_of(table(reject(), reject(line=3, raw='a "b",\nё'))))
        files.write(files.lines_of(table(reject(line=4, raw="=cmd()", value="@a"))))

    records = [json.loads(line) for line in files.jsonl.read_text("utf-8").splitlines()]
    assert [record["line"] for record in records] == [2, 3, 4]
    assert records[1]["raw"] == 'a "b",\nё'
    with files.csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["line"] for row in rows] == ["2", "3", "4"]
    assert rows[1]["raw"] == 'a "b",\nё'
    assert (rows[2]["raw"], rows[2]["value"]) == ("'=cmd()", "'@a"), "they are no formulas"
    assert records[2]["raw"] == "=cmd()"
    assert rows[0].keys() == records[0].keys()


def test_only_rejects_jsonl_contains_undecodable_bytes(tmp_path: Path) -> None:
    with RejectFiles(tmp_path, SOURCE) as files:
        files.write(files.lines_of(table(reject(), reject(line=3, raw="\\xe9", rawBase64="6Q=="))))

    records = [json.loads(line) for line in files.jsonl.read_text("utf-8").splitlines()]
    assert [record.get("rawBase64") for record in records] == [None, "6Q=="]
    assert "rawBase64" not in records[0]
    with files.csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.keys() for row in rows] == [records[0].keys()] * 2
    assert rows[1]["raw"] == "\\xe9"


TEXTS = st.none() | st.text(max_size=8) | st.text("'\"=+-@＝\t\r\n\b\x7f\u2028\\,;a", max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.none() | st.just("6Q==")), min_size=1, max_size=5))
def test_reject_files_equal_those_of_standard_library(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str | None, str | None, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("rejects")
    records = [
        reject(value=value, column=column, raw=value or "", rawBase64=base64)
        for value, column, base64 in texts
    ]
    with RejectFiles(folder, SOURCE) as files:
        files.write(files.lines_of(table(*records)))

    lines, file = [], io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(FIELDS[:-1])
    for each in records:
        fields = {"sourceKey": "k", "versionId": "v"} | {name: each[name] for name in SCHEMA.names}
        writer.writerow(escaped(str(fields[name] or "")) for name in FIELDS[:-1])
        if fields["rawBase64"] is None:
            del fields["rawBase64"]
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    assert files.jsonl.read_bytes().decode() == "".join(lines)
    assert files.csv.read_bytes().decode() == file.getvalue()


def test_batches_limit_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejects, "_BATCH_BYTES", 2_000)
    found = table(*(reject(line, raw="x" * size) for line, size in enumerate([0, 0, 0, 5_000, 0])))

    divided = [*batches(found)]

    assert pa.concat_tables(divided).equals(found)
    assert [len(each) for each in divided] == [3, 2]
