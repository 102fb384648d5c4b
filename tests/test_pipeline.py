"""End-to-end tests of the pipeline on the laptop cloud."""

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from local import sample
from shared.text import REASON
from tests.fixtures.aws import steps
from tests.fixtures.pipeline import AT, Pipeline, checkins, key_of


@pytest.fixture(scope="module")
def sampled(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, uploaded and followed with the operator's command."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    sample.write(path, 2_000, seed=7)
    done = pipeline.laptop.tm("drop", str(path), "--date", "2024-03-01", "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2,000 read, 1,995 loaded, 5 rejected" in done.stdout
    assert "Ingestion Success: dailycheckins 2024-03-01" in done.stdout
    return path


def good_rows(path: Path) -> list[list[str]]:
    """Return the sample's good rows, determined without the pipeline's code."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    bad = ("2019-02-30 00:00:00 UTC", "a few")
    return [row for row in rows if len(row) == 4 and row[0] and not {*bad} & {*row}]


@pytest.mark.usefixtures("sampled")
def test_log_has_every_state_of_sample(pipeline: Pipeline) -> None:
    items = json.loads(pipeline.laptop.tm("status", "--json").stdout)
    (item,) = [each for each in items if each["sourceKey"].endswith("/sample.csv")]

    assert (item["state"], item["status"]) == ("load", "success")
    assert steps(item) == [
        ("trigger", "queued"),
        ("trigger", "success"),
        ("transform", "running"),
        ("transform", "success"),
        ("test", "running"),
        ("test", "success"),
        ("load", "running"),
        ("load", "success"),
    ]
    assert (item["rowsRead"], item["rowsLoaded"], item["rowsRejected"]) == (2000, 1995, 5)
    (alert,) = pipeline.alerts(item["ingestedID"])
    assert alert["status"] == "Ingestion Success"
    assert alert["rowsLoaded"] == 1995
    rules = {"required", "timestamp", "number", "columnCount"}
    assert {reject["rule"] for reject in alert["topRejects"]} <= rules


def test_table_has_good_rows_of_sample(pipeline: Pipeline, sampled: Path) -> None:
    ((count, hours),) = pipeline.query(
        "SELECT count(*), sum(hours) FROM daily_checkins JOIN source ON source.id = source_id "
        "WHERE source_key LIKE '%/sample.csv'"
    )

    rows = good_rows(sampled)
    assert count == len(rows)
    assert hours == sum(
        (Decimal(row[2]) + Decimal("0.0001")).quantize(Decimal("0.01")) for row in rows
    )


def test_api_returns_user_page_by_page(pipeline: Pipeline, sampled: Path) -> None:
    user = good_rows(sampled)[0][0]
    expected = [row for row in good_rows(sampled) if row[0] == user]

    by_command = json.loads(pipeline.laptop.tm("user", user, "--json").stdout)
    pages = []
    parameters = {"user": user, "limit": "7"}
    while True:
        page = pipeline.get("/get", **parameters).json()
        pages.append(page["response"])
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]

    assert len(by_command) == len(expected)
    assert by_command == [row for page in pages for row in page]
    assert all(len(page) == 7 for page in pages[:-1])
    assert sorted(row["project"] for row in by_command) == sorted(row[3] for row in expected)


def test_api_refuses_request_without_key_or_user(pipeline: Pipeline) -> None:
    assert pipeline.ask("/get", None, {"user": "ned"}).status_code == 403
    assert pipeline.ask("/get", "wrong", {"user": "ned"}).status_code == 403
    answer = pipeline.get("/get")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "The parameter 'user' is missing."
    nobody = pipeline.get("/get", user="nobody'; DROP TABLE source; --")
    assert nobody.json() == {"response": [], "next": None}


def test_line_of_15_mib_is_refused_with_one_alert(pipeline: Pipeline) -> None:
    """The reason fits every size limit between Transform and the alert."""
    line = ",".join(f"колонка {number} {'x' * 1500}" for number in range(9_900))

    refused = pipeline.ingest(line, day=7)

    assert len(line.encode()) > 14 * 1024**2
    assert (refused["state"], refused["status"]) == ("transform", "fail")
    reason = refused["haltReason"]
    assert "unknown: 'колонка 0 xxx" in reason
    assert reason.endswith("(9,890 more)")
    assert len(reason) < REASON
    described = pipeline.laptop.aws.client("stepfunctions").describe_execution(
        executionArn=refused["executionArn"]
    )
    assert (described["error"], described["cause"]) == ("Refused", reason)
    (alert,) = pipeline.alerts(refused["ingestedID"])
    assert (alert["kind"], alert["reason"]) == ("Refused", reason)
    shown = pipeline.laptop.tm("status", refused["ingestedID"])
    assert shown.returncode == 0
    assert f"Reason: {reason}" in shown.stdout


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "the file is empty"),
        (
            checkins(f",{AT},1,x", f"ned,{AT},1,x,y"),
            "every row is rejected; 2 of 2 rows failed: user is missing (1×, first at line 2); "
            "5 values instead of 4 (1×, first at line 3)",
        ),
    ],
)
def test_rows_stay_when_newest_version_is_not_loaded(
    pipeline: Pipeline, body: str, reason: str
) -> None:
    pipeline.ingest(checkins(f"ned,{AT},1,x"), day=5)

    refused = pipeline.ingest(body, day=5)

    assert (refused["status"], refused["haltReason"]) == ("fail", reason)
    assert pipeline.loaded(key_of(5)) == [["ned", Decimal("1.00"), 2]]
    (alert,) = pipeline.alerts(refused["ingestedID"])
    assert alert["unchanged"] == "unchanged; no row of this version was loaded"


def test_key_with_special_characters_is_kept(pipeline: Pipeline) -> None:
    item = pipeline.ingest(checkins(f"ned,{AT},1,x"), day=6, name="a b+c%20ё&=?.csv")

    assert item["status"] == "success"
    assert len(pipeline.loaded(key_of(6, "a b+c%20ё&=?.csv"))) == 1
