import csv
import json
from pathlib import Path
from typing import Any

from functions.test.rejects import Reject, RejectFiles


def reject(line: int = 2, rule: str = "r", **changes: Any) -> Reject:
    """Return a reject of the column `c`, with `changes`."""
    fields: dict[str, Any] = {"column": "c", "value": None, "severity": "error", "raw": ""}
    fields |= {"reason": f"{rule} is broken"} | changes
    return Reject("k", "v", line, rule=rule, **fields)


def test_reject_files_contain_every_record(tmp_path: Path) -> None:
    with RejectFiles(tmp_path) as files:
        files.write([reject(), reject(line=3, raw='a "b",\nё')])
        files.write([reject(line=4, raw="=cmd()", value="@a")])

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
    with RejectFiles(tmp_path) as files:
        files.write([reject(), reject(line=3, raw="\\xe9", rawBase64="6Q==")])

    records = [json.loads(line) for line in files.jsonl.read_text("utf-8").splitlines()]
    assert [record.get("rawBase64") for record in records] == [None, "6Q=="]
    assert "rawBase64" not in records[0]
    with files.csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.keys() for row in rows] == [records[0].keys()] * 2
    assert rows[1]["raw"] == "\\xe9"
