"""Tests of `tm check`, which needs no cloud and no credentials."""

import json
from pathlib import Path

import pytest

from shared.dialect import Dialect, Footer
from shared.odcs import load_all
from shared.quality import RowCount
from tests.fixtures.contracts import NOTES, contract_set, requiring_manifests
from tests.fixtures.operator import one_line, tm

HEADER = "user,timestamp,hours,project\n"
AT = "2019-09-27 00:00:00 UTC"


@pytest.fixture(autouse=True)
def without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every call of AWS fail."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


def written(folder: Path, *rows: str) -> Path:
    path = folder / "checkins.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), "utf-8")
    return path


def test_check_accepts_good_file(tmp_path: Path) -> None:
    result = tm("check", written(tmp_path, f"ned,{AT},1,x"))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "1 rows read: 1 clean, 0 rejected. Warnings: 0. Exact repeats: 0."
    assert lines[-1] == "The file would be loaded."
    assert "severity" not in result.stdout


def test_check_counts_ignored_rows_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = Dialect(skip_empty_rows=True, footer=Footer(pattern="TOTAL"))
    contract = load_all()["dailycheckins"].model_copy(update={"dialect": dialect})
    monkeypatch.setattr(
        "shared.odcs.load_all", lambda: contract_set({"dailycheckins": contract}, {})
    )

    found = tm("check", written(tmp_path, f"ned,{AT},1,x", ",,,", ",,,", "TOTAL"))

    assert found.stdout.splitlines()[0].endswith(" Ignored: 2 empty rows and 1 footer line.")


def test_check_verifies_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, f"ned,{AT},1.5,x")
    manifest = tmp_path / "any name"
    manifest.write_text("1 1.50\n")
    without = tm("check", file, "--manifest", manifest)
    required = requiring_manifests(pattern="(?P<rows>.*) (?P<sum_hours>.*)")
    monkeypatch.setattr("shared.odcs.load_all", lambda: required)

    verified = tm("check", file, "--manifest", manifest)
    unchecked = tm("check", file)
    manifest.write_text("1 1.51\n")
    differing = tm("check", file, "--manifest", manifest)

    assert verified.stdout.splitlines()[0].endswith(" Verified: 2 control totals.")
    assert verified.stdout.splitlines()[-1] == "The file would be loaded."
    assert unchecked.stdout.endswith("Its manifest was not checked: pass it with --manifest.\n")
    assert differing.stdout == (
        "The file would not be loaded. Transform would refuse it: the manifest 'any name' says a "
        "sum of 1.51 for hours, but the file has 1.5: upload the complete file, or correct the "
        "totals\n"
    )
    assert "dailycheckins has no manifest: leave out --manifest" in one_line(without)


def test_check_shows_rejected_rows_with_reasons(tmp_path: Path) -> None:
    rows = [f"ned,{AT},lots of [b],x"] * 21 + [f"{each},{AT},25,x" for each in ("", *["ned"] * 25)]
    path = written(tmp_path, *rows)

    result = tm("check", path)

    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == ("47 rows read: 25 clean, 22 rejected. Warnings: 26. Exact repeats: 24.")
    start = next(number for number, line in enumerate(lines) if line.split()[:1] == ["line"])
    assert lines[start + 1].split()[:5] == ["2", "hours", "lots", "of", "[b]"]
    assert lines[start + 20].split()[0] == "21"
    assert lines[start + 21] == "… and 28 more; --json prints all"

    assert lines[-1] == "The file would be loaded without the rejected rows."

    hard = tm("check", path, "--hard-testing")
    assert hard.exit_code == 1
    assert hard.stdout.splitlines()[-1].startswith(
        "The file would not be loaded. Test would halt it: 22 of 47 rows failed: hours is not"
    )


def test_check_refuses_file_that_violates_contract(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    result = tm("check", path)
    assert result.exit_code == 1
    assert result.stdout == (
        "The file would not be loaded. Transform would refuse it: the file is empty\n"
    )
    assert json.loads(tm("check", path, "--json").stdout) == {
        "wouldBeLoaded": False,
        "outcome": "refused",
        "reason": "the file is empty",
        "advice": None,
        "report": None,
        "rejects": [],
        "mayBeRefused": [],
    }


def test_check_advises_lines_that_accept_the_file(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(f"user,timestamp,hours,project,{'team' * 60}\n", "utf-8")

    refused, *lines = tm("check", path).stdout.splitlines()

    assert refused.startswith("The file would not be loaded. Transform would refuse it: line 1")
    assert lines[0] == "To accept such files:"
    assert "\n".join(lines[1:]) == json.loads(tm("check", path, "--json").stdout)["advice"]


def test_check_accepts_file_without_rows_if_contract_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (RowCount(name="any", minimum=0),)
    contract = load_all()["dailycheckins"].model_copy(update={"row_counts": rows})
    found = contract_set({"dailycheckins": contract}, {})
    monkeypatch.setattr("shared.odcs.load_all", lambda: found)

    result = tm("check", written(tmp_path), "--hard-testing")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == (
        "The file would be loaded: it has no rows, which its contract allows."
    )


def test_check_json_contains_report_and_rejects(tmp_path: Path) -> None:
    path = written(tmp_path, f"ned,{AT},1,x", *[f",{AT},1,\u2028"] * 30)
    found = json.loads(tm("check", path, "--json").stdout)
    assert not found["wouldBeLoaded"]
    assert (found["report"]["rowsRead"], found["report"]["rowsRejected"]) == (31, 30)
    assert [each["line"] for each in found["rejects"]] == list(range(3, 33))
    assert found["rejects"][0]["raw"] == f",{AT},1,\u2028"
    assert found["rejects"][0]["sourceKey"] == "checkins.csv"


def test_check_reports_invalid_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = contract_set(load_all(), {"budgets": "budgets.odcs.yaml: column 'a': it is broken"})
    monkeypatch.setattr("shared.odcs.load_all", lambda: found)

    file = written(tmp_path, f"ned,{AT},1,x")
    assert tm("check", file, "--table", "dailycheckins").exit_code == 0
    result = tm("check", file, "--table", "budgets")
    assert one_line(result) == "tm: budgets.odcs.yaml: column 'a': it is broken"


def test_check_lists_rows_that_postgresql_may_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For PostgreSQL's actual behaviour, see tests/functions/load/test_refusals.py."""
    width = len(NOTES.header)
    rows = [["short"] * width, ["ß" * 1400, *["short"] * (width - 1)], ["long" * 5] * width]
    path = tmp_path / "notes.csv"
    path.write_text("\n".join(map(",".join, [NOTES.header, *rows])), "utf-8")
    monkeypatch.setattr("shared.odcs.load_all", lambda: contract_set({"notes": NOTES}, {}))

    result = tm("check", path, "--table", "notes")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-3:] == [
        "The file would be loaded.",
        "PostgreSQL may refuse the row at line 3: its entry in the index on c0 has 2,801 bytes "
        "before compression, and the limit is 2,704 after compression.",
        "PostgreSQL may refuse the row at line 4: it has 9,000 bytes even with its long values "
        "moved out, and the limit is 8,160.",
    ]
