import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.trigger.handler import handler
from shared.progress import Log, Status
from tests.fixtures.aws import KEY, REGION, lambda_context

EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture(autouse=True)
def state_machine(log: Log, monkeypatch: pytest.MonkeyPatch) -> str:
    wait = {"Type": "Wait", "Seconds": 60, "End": True}
    arn = boto3.client("stepfunctions", region_name=REGION).create_state_machine(
        name="tm",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}),
        roleArn="arn:aws:iam::123456789012:role/tm",
    )["stateMachineArn"]
    monkeypatch.setenv("STATE_MACHINE_ARN", arn)
    return arn


def event(*keys: str) -> dict[str, Any]:
    """S3's own event, with these (URL-encoded) keys."""
    sample = json.loads((EVENTS / "s3_object_created.json").read_text("utf-8"))
    (record,) = sample["Records"]
    records = []
    for key in keys:
        landed = record["s3"]["object"] | {"key": key, "versionId": f"v-{key}"}
        records.append(record | {"s3": record["s3"] | {"object": landed}})
    return {"Records": records}


def inputs(state_machine: str) -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions", region_name=REGION)
    return [
        json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        for each in client.list_executions(stateMachineArn=state_machine)["executions"]
    ]


def test_an_object_starts_a_run(state_machine: str, log: Log) -> None:
    sample = json.loads((EVENTS / "s3_object_created.json").read_text("utf-8"))

    assert handler(sample, lambda_context()) == {"started": 1}

    (started,) = inputs(state_machine)
    assert started["ingestedTable"] == "dailycheckins"
    assert started["dataDate"] == "2024-03-03"
    (item,) = log.with_status(Status.RUNNING)
    assert item["ingestedID"] == started["ingestedID"]


def test_keys_are_decoded_as_s3_encodes_them(state_machine: str) -> None:
    encoded = "table%3Ddailycheckins/year%3D2024/month%3D3/day%3D3/a+b%2B%D1%91.csv"

    handler(event(encoded), lambda_context())

    (started,) = inputs(state_machine)
    assert started["source"]["key"] == "table=dailycheckins/year=2024/month=3/day=3/a b+ё.csv"


def test_every_record_counts(state_machine: str) -> None:
    result = handler(
        event(KEY, KEY, KEY.replace("day=3", "day=4"), "nonsense", "table=x/"), lambda_context()
    )

    assert result == {"started": 3, "rejected": 1, "ignored": 1}
    assert len(inputs(state_machine)) == 2, "the same version twice is one run"


def test_s3s_test_event_is_nothing(state_machine: str) -> None:
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"}

    assert handler(test, lambda_context()) == {}
    assert inputs(state_machine) == []
