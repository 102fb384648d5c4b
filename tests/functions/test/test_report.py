from decimal import Decimal
from typing import Any

import pytest

from functions.test.report import Report
from shared.contract import Contract
from tests.functions.test.test_rejects import reject, table
from tests.functions.test.test_rules import contract_of


def limited(**threshold: Any) -> Contract:
    return contract_of("string", {"kind": "required", "threshold": threshold})


def test_report_counts_row_once_for_several_rules() -> None:
    report = Report(limited(limit=100), rows_read=10)

    report.add(table(reject(2), reject(2, "s"), reject(3, severity="warning")))
    report.add(table(reject(4)))

    assert (report.rejected, report.warnings) == (2, 1)
    assert report.summary == (
        "2 of 10 rows failed: r is broken (3×, first at line 2); s is broken (1×, first at line 2)"
    )


@pytest.mark.parametrize(
    ("threshold", "failed", "kept"),
    [
        ({"limit": 3}, 2, True),
        ({"limit": 3}, 3, False),
        ({"limit": "2.5", "unit": "percent"}, 2, True),
        ({"limit": "2.5", "unit": "percent"}, 3, False),
    ],
)
def test_report_checks_threshold(threshold: dict[str, Any], failed: int, kept: bool) -> None:
    report = Report(limited(**threshold), rows_read=100)

    report.add(table(*(reject(line) for line in range(2, 2 + failed))))

    assert bool(report.halts) is not kept
    (entry,) = report.as_json()["thresholds"]
    assert (entry["failed"], entry["kept"]) == (failed, kept)


@pytest.mark.parametrize(
    ("limit", "rejected", "halts"),
    [
        ("50", 5, []),
        ("50", 6, ["more than 50% of the rows are rejected"]),
        ("0", 0, []),
        ("0", 1, ["more than 0% of the rows are rejected"]),
        ("12.5", 2, ["more than 12.5% of the rows are rejected"]),
        ("100", 9, []),
        ("100", 10, ["every row is rejected"]),
    ],
)
def test_report_checks_percentage_of_rejects(limit: str, rejected: int, halts: list[str]) -> None:
    contract = contract_of("string", {"kind": "required"})
    contract = contract.model_copy(update={"max_rejected_percent": Decimal(limit)})
    report = Report(contract, rows_read=10)

    report.add(table(*(reject(line, rule=f"r{line}") for line in range(2, 2 + rejected))))

    assert report.halts == halts


def test_report_names_allowed_threshold() -> None:
    report = Report(limited(limit=1, unit="percent"), rows_read=100)
    report.add(table(reject(2)))

    assert report.halts == ["1 of 100 rows fail r of c; allowed: fewer than 1%"]
    assert str(report.summary).startswith(report.halts[0])


def test_report_gives_first_rows_as_examples() -> None:
    report = Report(limited(limit=100), rows_read=100)
    report.add(table(*(reject(line, value=str(line)) for line in range(2, 50))))

    (rule,) = report.as_json()["rules"]
    assert rule["count"] == 48
    assert rule["examples"] == [{"line": n, "value": str(n)} for n in range(2, 7)]


def test_report_truncates_quotes() -> None:
    """Alert reads the report with 256 MB of memory, and copies reasons into the message."""
    report = Report(limited(limit=100), rows_read=100)
    long = "ё" * 1024**2
    report.add(table(reject(2, value=long, reason=long), reject(2, "s")))

    (cut, _) = report.as_json()["rules"]
    assert cut["reason"].endswith("… (1,048,305 more characters)")
    assert cut["examples"][0]["value"].endswith("… (1,048,405 more characters)")
    assert str(report.summary).endswith("; s is broken (1×, first at line 2)")
