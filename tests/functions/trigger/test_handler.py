import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.trigger.handler import handler
from shared.endings import Status
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog
from shared.odcs import load_all
from tests.fixtures.aws import KEY, LANDING, REGION, ingestion_of, lambda_context, land
from tests.fixtures.contracts import contract_set

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS = Path(__file__).parents[2] / "events"

pytestmark = pytest.mark.usefixtures("state_machine")


def event(*keys: str) -> dict[str, Any]:
    """Return S3's event with these URL-encoded keys."""
    sample = json.loads((EVENTS / "s3_object_created.json").read_text("utf-8"))
    (record,) = sample["Records"]
    records = []
    for key in keys:
        landed = record["s3"]["object"] | {"key": key, "versionId": f"v-{key}"}
        records.append(record | {"s3": record["s3"] | {"object": landed}})
    return {"Records": records}


def without_version(key: str, version: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return S3's event of a bucket where versioning is not yet effective."""
    made = event(key)
    (record,) = made["Records"]
    del record["s3"]["object"]["versionId"]
    record["s3"]["object"] |= version or {}
    return made


def of_eventbridge(key: str, bucket: str = LANDING, version: str | None = None) -> dict[str, Any]:
    """Return S3's sample event of EventBridge.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    sample: dict[str, Any] = json.loads((EVENTS / "eventbridge_object_created.json").read_text())
    sample["detail"]["bucket"]["name"] = bucket
    sample["detail"]["object"]["key"] = key
    if version is None:
        del sample["detail"]["object"]["version-id"]
    else:
        sample["detail"]["object"]["version-id"] = version
    return sample


def inputs(state_machine: str) -> list[dict[str, Any]]:
    client = boto3.client("stepfunctions", region_name=REGION)
    return [
        json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        for each in client.list_executions(stateMachineArn=state_machine)["executions"]
    ]


def test_trigger_decodes_keys(state_machine: str) -> None:
    encoded = "table%3Ddailycheckins/year%3D2024/month%3D3/day%3D3/a+b%2B%D1%91.csv"

    handler(event(encoded), lambda_context())

    (started,) = inputs(state_machine)
    assert started["source"]["key"] == "table=dailycheckins/year=2024/month=3/day=3/a b+ё.csv"


def test_trigger_takes_event_of_eventbridge_with_plain_key(state_machine: str) -> None:
    key = "table=dailycheckins/year=2024/month=3/day=3/a b+%2Bё.csv"

    assert handler(of_eventbridge(key, version="v1"), lambda_context()) == {"started": 1}

    (started,) = inputs(state_machine)
    assert started["source"] == {"bucket": LANDING, "key": key, "versionId": "v1", "size": 5}
    by_notification = Source(LANDING, key, "v1", 5)
    assert started["ingestedID"] == ingestion_of(by_notification).id


@pytest.mark.parametrize("made", [event, of_eventbridge])
def test_trigger_ignores_objects_that_it_does_not_read(
    made: Callable[..., dict[str, Any]],
    state_machine: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another account's event must not make the functions read another bucket."""
    monkeypatch.setenv("LANDING_PREFIXES", '["incoming/", "table="]')
    other = json.loads(json.dumps(made(KEY)).replace(LANDING, "another"))

    assert handler(other, lambda_context()) == {"ignored": 1}
    assert handler(made("elsewhere/f.csv"), lambda_context()) == {"ignored": 1}

    found = [vars(each) for each in caplog.records if each.message == "not landed"]
    assert [(each["bucket"], each["sourceKey"]) for each in found] == [
        ("another", KEY),
        (LANDING, "elsewhere/f.csv"),
    ]
    assert inputs(state_machine) == []


@pytest.mark.parametrize(
    "other",
    [
        of_eventbridge(KEY) | {"detail-type": "Object Deleted"},
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"},
    ],
)
def test_trigger_ignores_other_events(other: dict[str, Any], state_machine: str) -> None:
    assert handler(other, lambda_context()) == {}
    assert inputs(state_machine) == []


def test_trigger_admits_every_record(state_machine: str) -> None:
    result = handler(
        event(KEY, KEY, KEY.replace("day=3", "day=4"), "nonsense", "table=x/"), lambda_context()
    )

    assert result == {"started": 3, "rejected": 1, "ignored": 1}
    assert len(inputs(state_machine)) == 2, "one run for a version that is delivered twice"


@pytest.mark.parametrize(
    "landed",
    [
        *map(partial(without_version, KEY), ({}, {"versionId": None}, {"versionId": "null"})),
        of_eventbridge(KEY),
        of_eventbridge(KEY, version="null"),
    ],
)
def test_trigger_takes_newest_version_if_event_has_none(
    landed: dict[str, Any], state_machine: str, s3: "S3Client"
) -> None:
    land(s3, b"older")
    newest = land(s3, b"the newest")

    assert handler(landed, lambda_context()) == {"started": 1}

    (started,) = inputs(state_machine)
    assert started["source"] == newest.as_event()["source"]


def test_trigger_rejects_only_files_of_invalid_contract(
    log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = contract_set(load_all(), {"budgets": "budgets.odcs.yaml: column 'a': it is broken"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: found)

    result = handler(event(KEY, KEY.replace("dailycheckins", "budgets")), lambda_context())

    assert result == {"started": 1, "rejected": 1}
    (item,) = log.with_status(Status.REJECTED)
    assert item["haltReason"] == (
        "the contract of table 'budgets' is invalid: budgets.odcs.yaml: column 'a': it is broken"
    )


def test_trigger_ignores_missing_object(
    state_machine: str, s3: "S3Client", caplog: pytest.LogCaptureFixture
) -> None:
    land(s3, b"x")
    s3.delete_object(Bucket=LANDING, Key=KEY)

    records = [*event("another")["Records"], *without_version(KEY)["Records"]]

    assert handler({"Records": records}, lambda_context()) == {"rejected": 1, "ignored": 1}

    (line,) = (vars(record) for record in caplog.records if record.message == "not there")
    assert line["sourceKey"] == KEY
    messages = [record.message for record in caplog.records]
    assert messages == ["not there", "rejected"], "logged before any ingestion"
    assert inputs(state_machine) == []
