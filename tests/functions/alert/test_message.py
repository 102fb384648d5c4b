import json
import re
from typing import Any

import boto3
import pytest

from functions.alert.message import compose, is_wanted, publish
from shared.endings import Kind, Outcome
from shared.settings import AlertOn
from shared.verdict import Verdict
from tests.fixtures.aws import REGION
from tests.fixtures.wording import Wording

ID = "20240303-4f0c2a91be"
ARN = f"arn:aws:states:eu-west-1:123456789012:execution:tm:dailycheckins-{ID}"
LOADED = {
    "ingestedID": ID,
    "ingestedTable": "dailycheckins",
    "state": "load",
    "status": "success",
    "bucket": "landing",
    "sourceKey": "table=dailycheckins/year=2024/month=3/day=3/f.csv",
    "versionId": "v1",
    "size": 1,
    "dataDate": "2024-03-03",
    "executionArn": ARN,
    "rowsRead": 20500,
    "rowsLoaded": 19489,
    "rowsRejected": 1011,
}
FAILED = {name: value for name, value in LOADED.items() if not name.startswith("rows")} | {
    "status": "fail"
}
BROKEN = FAILED | {"haltReason": "Boom: no disk"}
UNMATCHED = {
    "ingestedID": "unmatched-4f0c2a91be",
    "ingestedTable": "unmatched",
    "state": "trigger",
    "status": "rejected",
    "sourceKey": "ключ\n" + "long " * 60,
    "versionId": "v1",
    "haltReason": "the key is not of the form table=…",
}
MISSING = {
    "ingestedID": "20240303-missing",
    "ingestedTable": "dailycheckins",
    "state": "trigger",
    "status": "missing",
    "sourceKey": "table=dailycheckins/year=2024/month=3/day=3/",
    "dataDate": "2024-03-03",
    "haltReason": "no file for 2024-03-03 has landed",
}
WAITING = FAILED | {
    "state": "trigger",
    "status": "waiting",
    "haltReason": "the file waits for its manifest 'f.csv.ctl', which has not landed or has "
    "vouched for another version of the file",
}


def rule(column: str | None, name: str, count: int, line: int, **more: str) -> dict[str, Any]:
    examples = [{"line": line, "value": "raw"}, {"line": line + 1, "value": "raw"}]
    reason = f"{column} breaks {name}"
    made = {"column": column, "rule": name, "reason": reason, "severity": "error"}
    return made | {"count": count, "examples": examples} | more


REPORT = {
    "rules": [
        rule("user", "required", 1005, 15799),
        rule(None, "columnCount", 3, 7),
        rule("hours", "number", 2, 9),
        rule("project", "maxLength", 1, 11),
        rule("hours", "hours_within_a_day", 1, 2918, severity="warning"),
    ]
}
ALERTS: dict[str, tuple[Kind, dict[str, Any], Any]] = {
    "loaded": (Kind.LOADED, LOADED | {"rowsLoaded": 20500, "rowsRejected": 0}, None),
    "loaded-no-row": (
        Kind.LOADED,
        LOADED | {"rowsRead": 0, "rowsLoaded": 0, "rowsRejected": 0},
        None,
    ),
    "loaded-with-rejects": (Kind.LOADED_WITH_REJECTS, LOADED, REPORT),
    "superseded": (
        Kind.SUPERSEDED,
        LOADED | {"status": "superseded", "rowsLoaded": 0, "haltReason": "version v2 is newer"},
        REPORT,
    ),
    "refused": (
        Kind.REFUSED,
        FAILED
        | {"state": "transform", "haltReason": "line 1 lacks the column hours"}
        | {"advice": "- name: hours\n  customProperties:\n  - property: optional\n    value: true"},
        None,
    ),
    "failed-tests": (
        Kind.FAILED_TESTS,
        FAILED
        | {name: LOADED[name] for name in ("rowsRead", "rowsRejected")}
        | {"state": "test", "haltReason": "1011 of 20500 rows failed"},
        REPORT,
    ),
    "failed-tests-no-row": (
        Kind.FAILED_TESTS,
        FAILED
        | {"state": "test", "haltReason": "the number of rows is 1; rule some requires at least 2"},
        None,
    ),
    "broken-in-test": (Kind.BROKEN, BROKEN | {"state": "test"}, None),
    "broken-in-load": (Kind.BROKEN, BROKEN, None),
    "crashed": (Kind.CRASHED, FAILED | {"haltReason": "the function crashed (exit 137)"}, None),
    "timed-out": (Kind.TIMED_OUT, FAILED | {"haltReason": "the run exceeded its timeout"}, None),
    "aborted": (Kind.ABORTED, FAILED | {"haltReason": "an operator stopped the run"}, None),
    "rejected": (Kind.REJECTED, UNMATCHED, None),
    "rejected-lost-event": (Kind.REJECTED, UNMATCHED | {"foundBy": "watch"}, None),
    "missing": (Kind.MISSING, MISSING, None),
    "missing-came-and-failed": (
        Kind.MISSING,
        MISSING
        | {"haltReason": f"it landed, but ingestion {ID} ended with test/fail", "failedID": ID},
        None,
    ),
    "missing-manifest": (Kind.MISSING, WAITING, None),
}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_text_of_every_outcome(name: str, wording: Wording) -> None:
    kind, item, report = ALERTS[name]

    alert = compose(item, report, kind)

    wording(name, f"{alert.subject}\n\n{alert.text}")
    assert len(alert.subject) <= 99
    assert alert.subject.isascii()
    assert alert.subject.isprintable()
    assert alert.subject.endswith(f", {kind.lower()}")
    assert "raw" not in re.sub("`raw`", "", alert.text + json.dumps(alert.record["topRejects"]))


def test_alert_texts_cover_every_kind() -> None:
    assert {kind for kind, *_ in ALERTS.values()} == set(Kind)


def test_alert_advises_upload_with_key_of_pattern() -> None:
    item = FAILED | {"state": "transform", "sourceKey": "erp/new budgets.csv\nRows: 1"}

    text = compose(item, None, Kind.REFUSED).text

    assert "upload it again: tm drop FILE --key 'erp/new budgets.csv\\nRows: 1'" in text
    assert "\nRows" not in text


def test_alert_record_has_documented_fields() -> None:
    record = compose(LOADED, REPORT, Kind.LOADED_WITH_REJECTS).record

    assert record["status"] == "Ingestion Success"
    assert record["latestState"] == "load"
    same = ("ingestedID", "rowsRead", "rowsLoaded", "rowsRejected", "executionArn")
    assert {name: record[name] for name in same} == {name: LOADED[name] for name in same}
    assert record["topRejects"][0] == {
        "column": "user",
        "rule": "required",
        "reason": "user breaks required",
        "count": 1005,
        "line": 15799,
    }
    assert len(record["topRejects"]) == 3


@pytest.mark.parametrize(
    ("alert_on", "unwanted"),
    [
        (AlertOn.ALL, set()),
        (AlertOn.FAILURES, {Kind.LOADED, Kind.LOADED_WITH_REJECTS, Kind.SUPERSEDED}),
        (AlertOn.FAILURES_AND_REJECTS, {Kind.LOADED, Kind.SUPERSEDED}),
    ],
)
def test_alert_on_selects_outcomes(alert_on: AlertOn, unwanted: set[Kind]) -> None:
    assert {kind for kind in Kind if not is_wanted(kind, LOADED, alert_on)} == unwanted


def test_lost_s3_event_is_reported_once_for_every_alert_on() -> None:
    found = LOADED | {"foundBy": "watch"}
    again = found | {"executionArn": f"{ARN}-r2"}

    assert is_wanted(Kind.LOADED, found, AlertOn.FAILURES)
    assert not is_wanted(Kind.LOADED, again, AlertOn.FAILURES)
    note = "Note: the S3 event of this file was lost; watch found the file and started a run"
    assert note in compose(found, None, Kind.LOADED).text
    assert "Note:" not in compose(again, None, Kind.LOADED).text


@pytest.mark.parametrize("character", ["\x01", '"', "ё", "😀"])
def test_alert_fits_sns_size_limit(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SNS limits both forms together to 262,144 bytes."""
    sns = boto3.client("sns", region_name=REGION)
    sent: list[str] = []
    monkeypatch.setattr(sns, "publish", lambda **message: sent.append(message["Message"]))
    verdict = Verdict(Outcome.REFUSED, character * 300_000)
    item = FAILED | {"haltReason": verdict.reason, "sourceKey": character * 1_024}
    report = {"rules": [rule(character * 63, "r", 9, 2, reason=character * 300)] * 9}

    publish(sns, "topic", compose(item | {"rowsRejected": 9}, report, Kind.REFUSED))

    assert "more characters)" in sent[0]
    assert len(sent[0].encode()) < 100_000
