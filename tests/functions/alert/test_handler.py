import copy
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.alert.handler import handler
from shared import settings
from shared.endings import Outcome, State, Status
from shared.errors import InvalidEvent
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog, told
from shared.staging import Staging
from shared.verdict import Verdict
from tests.fixtures.aws import REGION, STAGING, lambda_context

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS = Path(__file__).parents[2] / "events"
Messages = Callable[[], list[dict[str, Any]]]
LOADED = {"outcome": "ok", "reason": None, "rowsRead": 2, "rowsLoaded": 2, "rowsRejected": 0}
OLDER = {"outcome": "superseded", "reason": "an older version", "rowsLoaded": 0}


@pytest.fixture
def messages(s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch) -> Messages:
    """What a subscriber of the topic gets, so far."""
    sns, sqs = boto3.client("sns", region_name=REGION), boto3.client("sqs", region_name=REGION)
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="tap")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:tap")
    monkeypatch.setenv("TOPIC_ARN", topic)

    def received() -> list[dict[str, Any]]:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(json.loads(m["Body"])["Message"]) for m in answer.get("Messages", ())]

    return received


@pytest.fixture
def event() -> dict[str, Any]:
    failed: dict[str, Any] = json.loads((EVENTS / "execution_failed.json").read_text("utf-8"))
    return failed


@pytest.fixture
def ingestion(event: dict[str, Any]) -> Ingestion:
    return Ingestion.from_event(json.loads(event["detail"]["input"]))


@pytest.fixture
def run(event: dict[str, Any]) -> Run:
    return Run(event["detail"]["executionArn"])


def test_a_function_that_died_is_closed_and_told(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.open(ingestion, run)
    log.enter(ingestion, run, State.TRANSFORM)

    assert handler(event, lambda_context()) == {"sent": True}

    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    assert (item["state"], item["status"]) == ("transform", "fail")
    (message,) = messages()
    assert message["status"] == "Ingestion Fail"
    assert message["latestState"] == "transform"
    assert message["reason"] == "SourceUnreadable: cannot read version v1"
    assert message["repair"].endswith(f"tm replay {ingestion.id}")


@pytest.mark.parametrize(
    ("detail", "kind", "reason"),
    [
        ({"status": "TIMED_OUT", "error": None, "cause": None}, "Timed Out", "took longer than"),
        ({"error": "States.Timeout", "cause": None}, "Timed Out", "took longer than it may"),
        ({"error": "Sandbox.Timedout", "cause": "600 s"}, "Timed Out", "600 s"),
        ({"status": "ABORTED", "error": "x", "cause": "by Ned"}, "Aborted", "by hand: by Ned"),
        ({"status": "ABORTED", "error": None, "cause": None}, "Aborted", "no cause"),
        ({"error": "Lambda.Unknown", "cause": "exit 137"}, "Crashed", "died (Lambda.Unknown: exit"),
        ({"error": "Runtime.ExitError", "cause": "signal: killed"}, "Crashed", "signal: killed"),
        ({"error": "DatabaseUnavailable", "cause": "no answer"}, "Broken", "no answer"),
        ({"error": "ClientError", "cause": "AccessDenied"}, "Broken", "ClientError: AccessDenied"),
    ],
)
@pytest.mark.parametrize("state", [None, State.TRANSFORM, State.TEST, State.LOAD])
def test_every_other_end_has_its_reason(
    detail: dict[str, Any],
    kind: str,
    reason: str,
    state: State | None,
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
) -> None:
    log.open(ingestion, run)
    if state is not None:
        log.enter(ingestion, run, state)
    event["detail"] |= detail

    handler(event, lambda_context())

    (message,) = messages()
    assert (message["kind"], message["latestState"]) == (kind, state or "trigger")
    assert reason in message["reason"]
    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    assert item["history"][-1]["status"] == "fail"
    assert item["history"][-1]["reason"] == message["reason"]


def test_a_verdict_stays_what_the_function_wrote(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.open(ingestion, run)
    log.leave(ingestion, run, State.TRANSFORM, Verdict(Outcome.REFUSED, "the file is empty"))
    event["detail"] |= {"error": "Refused", "cause": "the file is empty"}

    handler(event, lambda_context())

    (message,) = messages()
    assert message["reason"] == "the file is empty"
    assert "tm drop FILE" in message["repair"]


def test_success_with_rejects_names_them(
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
    s3: "S3Client",
) -> None:
    log.open(ingestion, run)
    counts = {"rowsRead": 3, "rowsLoaded": 2, "rowsRejected": 1}
    log.leave(ingestion, run, State.LOAD, Verdict(Outcome.OK, counts=counts))
    rule = {
        "column": "user",
        "rule": "required",
        "reason": "user is missing",
        "severity": "error",
        "count": 1,
        "examples": [{"line": 3, "value": None}],
    }
    key = Staging(STAGING, ingestion).report.removeprefix(f"s3://{STAGING}/")
    s3.put_object(Bucket=STAGING, Key=key, Body=json.dumps({"rules": [rule]}).encode())
    event["detail"] |= {"status": "SUCCEEDED", "error": None, "cause": None, "output": "{}"}

    handler(event, lambda_context())

    (message,) = messages()
    assert message["status"] == "Ingestion Success"
    assert (message["rowsRead"], message["rowsLoaded"], message["rowsRejected"]) == (3, 2, 1)
    [reject] = message["topRejects"]
    assert (reject["column"], reject["rule"], reject["line"]) == ("user", "required", 3)
    assert message["repair"].endswith(f"tm rejects fix {ingestion.id} rejects.csv")


def test_success_that_load_could_not_log_is_closed(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.open(ingestion, run)
    event["detail"] |= {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED})}

    handler(event, lambda_context())

    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    assert (item["state"], item["status"], item["rowsLoaded"]) == ("load", "success", 2)
    assert messages()[0]["rowsLoaded"] == 2


def test_an_end_is_told_once_however_often_it_is_delivered(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.open(ingestion, run)

    assert handler(event, lambda_context("first")) == {"sent": True}
    assert handler(event, lambda_context("second")) == {"sent": False}
    assert handler(event, lambda_context("first")) == {"sent": False}
    assert len(messages()) == 1


def test_a_call_that_died_before_the_message_sends_it_when_retried(
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log.open(ingestion, run)
    with monkeypatch.context() as broken:
        broken.setattr("functions.alert.announcement.publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            handler(event, lambda_context("first"))
    assert messages() == []

    assert handler(event, lambda_context("first")) == {"sent": True}
    assert len(messages()) == 1


def test_a_run_that_was_started_by_hand_is_told_too(
    event: dict[str, Any], messages: Messages
) -> None:
    assert handler(event, lambda_context()) == {"sent": True}
    assert messages()[0]["status"] == "Ingestion Fail"


@pytest.mark.parametrize(
    ("detail", "wanted"),
    [
        (
            {},
            {
                "status": "Ingestion Fail",
                "latestState": "transform",
                "reason": "SourceUnreadable: cannot read version v1 (it was run again since)",
            },
        ),
        (
            {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED})},
            {"status": "Ingestion Success", "latestState": "load", "rowsLoaded": 2, "reason": None},
        ),
        (
            {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED | OLDER})},
            {"status": "Ingestion Success", "latestState": "load", "reason": "an older version"},
        ),
    ],
    ids=["failed", "succeeded", "superseded"],
)
def test_an_end_that_is_heard_of_after_the_replay_began(
    detail: dict[str, Any],
    wanted: dict[str, Any],
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
) -> None:
    log.open(ingestion, run)
    log.enter(ingestion, run, State.TRANSFORM)
    again = Run(f"{run.execution_arn}-r2")
    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    log.reopen(item, again)
    log.enter(ingestion, again, State.TEST)
    before = log.get(ingestion.id, ingestion.table)
    event["detail"] |= detail

    assert handler(event, lambda_context()) == {"sent": True}

    (message,) = messages()
    assert wanted.items() <= message.items()
    assert message["executionArn"] == run.execution_arn
    after = log.get(ingestion.id, ingestion.table)
    assert before is not None
    assert after is not None
    assert before | {"alerts": after["alerts"]} == after, "the item is the replay's"


def test_that_an_event_was_lost_is_said_though_the_replay_began(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.enqueue(ingestion, run, found_by="watch")
    log.begin(ingestion, run)
    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    again = Run(f"{run.execution_arn}-r2")
    log.reopen(item, again)
    log.finish(ingestion, again, State.LOAD, Status.FAIL, {}, "x")
    replayed = copy.deepcopy(event)
    replayed["detail"]["executionArn"] = again.execution_arn

    handler(event, lambda_context("first"))
    handler(replayed, lambda_context("second"))

    said = {each["executionArn"]: each["noticed"] for each in messages()}
    assert "watch found it" in said[run.execution_arn]
    assert said[again.execution_arn] is None


def test_a_redrive_that_came_to_nothing_is_told_with_the_state_that_failed(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Messages
) -> None:
    log.open(ingestion, run)
    log.enter(ingestion, run, State.LOAD)
    handler(event, lambda_context("first"))
    event["detail"] |= {"redriveCount": 1, "error": "Lambda.TooManyRequestsException"}

    assert handler(event, lambda_context("second")) == {"sent": True}

    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    assert (item["state"], item["status"], item["redrive"]) == ("load", "fail", 1)
    assert messages()[-1]["reason"].startswith("Lambda.TooManyRequestsException")


def test_a_rejected_key_is_told(log: IngestionLog, messages: Messages) -> None:
    log.reject(Source("landing", "nonsense", "v1", 1), "no such form")
    (item,) = log.with_status(Status.REJECTED)
    detail = {"ingestedID": item["ingestedID"], "ingestedTable": "unmatched"}
    notice = {"detail-type": "Ingestion Rejected", "source": "tm-pipeline", "detail": detail}

    assert handler(notice, lambda_context("first")) == {"sent": True}
    assert handler(notice, lambda_context("second")) == {"sent": False}

    (message,) = messages()
    assert (message["status"], message["latestState"]) == ("Ingestion Fail", "trigger")
    assert message["reason"] == "no such form"


def test_a_missing_file_is_told(log: IngestionLog, messages: Messages) -> None:
    day = dt.date(2024, 3, 3)
    missing_id = log.miss("dailycheckins", day, "no file of 2024-03-03 has come", failed=None)
    detail = {"ingestedID": missing_id, "ingestedTable": "dailycheckins"}
    notice = {"detail-type": "File Missing", "source": "tm-pipeline", "detail": detail}

    assert handler(notice, lambda_context("first")) == {"sent": True}
    assert handler(notice, lambda_context("second")) == {"sent": False}

    (message,) = messages()
    assert (message["status"], message["kind"]) == ("Ingestion Fail", "Missing")
    assert message["repair"].endswith("tm drop FILE --table dailycheckins --date 2024-03-03")


def test_an_end_that_nobody_wants_to_hear_of_is_settled(
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALERT_ON", "failures")
    log.open(ingestion, run)
    failed = copy.deepcopy(event)
    event["detail"] |= {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED})}

    assert handler(event, lambda_context("first")) == {"sent": False}
    settled = log.get(ingestion.id, ingestion.table)
    # Somebody wants to hear of everything from now on.
    monkeypatch.setenv("ALERT_ON", "all")
    settings.read.cache_clear()
    assert handler(event, lambda_context("first")) == {"sent": False}

    assert messages() == []
    assert settled is not None
    assert told(settled), "so watch does not tell it either"
    failed["detail"]["redriveCount"] = 1
    assert handler(failed, lambda_context("redriven")) == {"sent": True}


@pytest.mark.usefixtures("messages")
def test_what_makes_no_sense_is_an_error() -> None:
    empty = {"detail-type": "Step Functions Execution Status Change", "detail": {}}
    with pytest.raises(InvalidEvent, match="lacks or garbles"):
        handler(empty, lambda_context())
    detail = {"ingestedID": "x", "ingestedTable": "unmatched"}
    with pytest.raises(InvalidEvent, match="not in the log"):
        handler({"detail-type": "Ingestion Rejected", "detail": detail}, lambda_context())


@pytest.mark.parametrize("status", ["FAILED", "ABORTED"])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_cause_of_many_characters_is_cut(
    status: str,
    as_json: bool,
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Messages,
) -> None:
    """As JSON, as Lambda gives it; and as JSON that Step Functions has cut."""
    cause = json.dumps({"errorMessage": "ё" * 30_000}, ensure_ascii=False)
    detail = {"status": status, "error": "KeyError", "cause": cause if as_json else cause[:-9]}
    event["detail"] |= detail

    handler(event, lambda_context())

    (message,) = messages()
    assert "more characters)" in message["reason"]
    assert len(message["reason"]) < 1_600
    item = log.get(ingestion.id, ingestion.table)
    assert item is not None
    assert item["haltReason"] == message["reason"]
