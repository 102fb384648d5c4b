import json
from typing import Any

import boto3
import pytest

from shared.alerts import compose, publish
from tests.fixtures.aws import REGION

ARN = "arn:aws:states:eu-west-1:123456789012:execution:tm:dailycheckins-20240303-4f0c2a91be"
ITEM = {
    "ingestedID": "20240303-4f0c2a91be",
    "ingestedTable": "dailycheckins",
    "state": "load",
    "status": "success",
    "sourceKey": "table=dailycheckins/year=2024/month=3/day=3/f.csv",
    "versionId": "v1",
    "dataDate": "2024-03-03",
    "executionArn": ARN,
    "rowsRead": 20500,
    "rowsLoaded": 20495,
    "rowsRejected": 5,
}
REPORT = {
    "rules": [
        {
            "column": "user",
            "rule": "required",
            "severity": "error",
            "reason": "user is missing",
            "count": 5,
            "examples": [{"line": 15799, "value": None}],
        },
        {
            "column": "hours",
            "rule": "hours_within_a_day",
            "severity": "warning",
            "reason": "hours is not between 0 and 24",
            "count": 1,
            "examples": [{"line": 2918, "value": "30.00"}],
        },
    ]
}


def test_success() -> None:
    alert = compose(ITEM, REPORT, file_at_fault=False)

    assert alert.subject == "Ingestion Success: dailycheckins 2024-03-03"
    assert alert.record["status"] == "Ingestion Success"
    assert alert.record["latestState"] == "load"
    assert alert.record["ingestedID"] == "20240303-4f0c2a91be"
    assert alert.record["topRejects"] == [
        {"column": "user", "rule": "required", "count": 5, "line": 15799}
    ]
    assert alert.record["repair"] is None
    assert "Rows: 20500 read, 20495 loaded, 5 rejected" in alert.text
    assert "Rejected: 5 × required of user, first at line 15799" in alert.text


def test_a_refused_file_is_the_suppliers_to_correct() -> None:
    item = ITEM | {"state": "transform", "status": "fail", "haltReason": "the file is empty"}

    alert = compose(item, None, file_at_fault=True)

    assert alert.record["status"] == "Ingestion Fail"
    assert alert.record["reason"] == "the file is empty"
    assert "tm drop FILE --table dailycheckins --date 2024-03-03" in alert.record["repair"]
    assert alert.record["repair"].endswith("tm replay 20240303-4f0c2a91be")
    assert "Why: the file is empty" in alert.text
    assert "The table: nothing was loaded; what it holds of this file's earlier" in alert.text


def test_a_broken_function_is_ours_to_mend() -> None:
    item = ITEM | {"state": "load", "status": "fail", "haltReason": "Boom: no disk"}

    record = compose(item, None, file_at_fault=False).record

    assert record["repair"].endswith("run it again: tm replay 20240303-4f0c2a91be")
    assert record["executionArn"] == ARN


def test_only_where_load_broke_off_may_the_table_have_changed() -> None:
    broken = ITEM | {"status": "fail", "haltReason": "Boom: no disk"}

    in_test = compose(broken | {"state": "test"}, None, file_at_fault=False)
    in_load = compose(broken | {"state": "load"}, None, file_at_fault=False)

    assert in_test.record["unchanged"].startswith("nothing was loaded")
    assert in_load.record["unchanged"].startswith("Load broke off")
    assert "never a mix" in in_load.text


def test_a_rejected_key() -> None:
    item = {
        "ingestedID": "unmatched-1",
        "ingestedTable": "unmatched",
        "state": "trigger",
        "status": "rejected",
        "sourceKey": "ключ " * 60,
        "versionId": "v1",
        "haltReason": "no such form",
    }

    alert = compose(item, None, file_at_fault=True)

    assert len(alert.subject) <= 100
    assert alert.subject.isascii()
    assert alert.record["console"] is None
    assert "tm drop FILE --table T" in alert.text


@pytest.mark.usefixtures("aws")
def test_both_forms_reach_the_topic() -> None:
    sns, sqs = boto3.client("sns", region_name=REGION), boto3.client("sqs", region_name=REGION)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="tap")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:tap")
    alert = compose(ITEM, None, file_at_fault=False)

    publish(sns, topic, alert)

    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    body: dict[str, Any] = json.loads(message["Body"])
    assert body["Subject"] == alert.subject
    assert json.loads(body["Message"]) == alert.record
