import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from functions.alert.handler import handler
from shared import settings
from shared.endings import State
from shared.errors import InvalidEvent
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog, is_alert_settled
from tests.fixtures.aws import item_of, lambda_context
from tests.fixtures.messaging import Received

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS = Path(__file__).parents[2] / "events"
LOADED = {"outcome": "ok", "reason": None, "rowsRead": 2, "rowsLoaded": 2, "rowsRejected": 0}
OLDER = LOADED | {"outcome": "superseded", "reason": "an older version", "rowsLoaded": 0}


@pytest.fixture
def messages(s3: "S3Client", log: IngestionLog, alerts: Received) -> Received:
    """The JSON records that SNS delivered."""
    return lambda: [json.loads(alert["Message"]) for alert in alerts()]


@pytest.fixture
def event() -> Any:
    return json.loads((EVENTS / "execution_failed.json").read_text("utf-8"))


@pytest.fixture
def ingestion(event: dict[str, Any]) -> Ingestion:
    return Ingestion.from_event(json.loads(event["detail"]["input"]))


@pytest.fixture
def run(event: dict[str, Any]) -> Run:
    return Run(event["detail"]["executionArn"])


@pytest.mark.parametrize(
    ("state", "detail", "kind", "reason"),
    [
        (State.TRANSFORM, {}, "Broken", "SourceUnreadable: cannot read version v1"),
        (State.TEST, {"error": "Refused", "cause": "it is empty"}, "Refused", "it is empty"),
        (State.LOAD, {"status": "TIMED_OUT", "error": None}, "Timed Out", "the run exceeded the"),
        (State.LOAD, {"error": "States.Timeout", "cause": None}, "Timed Out", "exceeded its"),
        (State.LOAD, {"status": "ABORTED", "cause": "by Ned"}, "Aborted", "the run: by Ned"),
        (None, {"status": "ABORTED", "error": None, "cause": None}, "Aborted", "no cause given"),
        (None, {"error": "Lambda.Unknown", "cause": "137"}, "Crashed", "(Lambda.Unknown: 137)"),
        (State.LOAD, {"error": "DatabaseUnavailable", "cause": "gone"}, "Broken", "gone"),
        (None, {"error": "ClientError", "cause": "denied"}, "Broken", "ClientError: denied"),
    ],
)
def test_alert_gives_reason_of_every_failure(
    state: State | None,
    detail: dict[str, Any],
    kind: str,
    reason: str,
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Received,
) -> None:
    log.open(ingestion, run)
    if state is not None:
        log.enter(ingestion, run, state)
    event["detail"] |= detail

    handler(event, lambda_context())

    (message,) = messages()
    assert (message["kind"], message["latestState"]) == (kind, state or "trigger")
    assert reason in message["reason"]
    last = item_of(log, ingestion)["history"][-1]
    assert (last["status"], last["reason"]) == ("fail", message["reason"])


def test_alert_is_sent_for_manually_started_run(event: dict[str, Any], messages: Received) -> None:
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
                "reason": "SourceUnreadable: cannot read version v1 "
                "(the ingestion has been run again since)",
            },
        ),
        (
            {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED})},
            {"status": "Ingestion Success", "latestState": "load", "rowsLoaded": 2, "reason": None},
        ),
        (
            {"status": "SUCCEEDED", "output": json.dumps({"load": OLDER})},
            {"status": "Ingestion Success", "latestState": "load", "reason": "an older version"},
        ),
    ],
    ids=["failed", "succeeded", "superseded"],
)
def test_alert_describes_run_that_was_replayed_since(
    detail: dict[str, Any],
    wanted: dict[str, Any],
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Received,
) -> None:
    log.enqueue(ingestion, run, found_by="watch")
    log.begin(ingestion, run)
    log.enter(ingestion, run, State.TRANSFORM)
    again = Run(f"{run.execution_arn}-r2")
    log.reopen(item_of(log, ingestion), again)
    log.begin(ingestion, again)
    log.enter(ingestion, again, State.TEST)
    before = item_of(log, ingestion)
    event["detail"] |= detail

    assert handler(event, lambda_context()) == {"sent": True}

    (message,) = messages()
    assert wanted.items() <= message.items()
    assert message["executionArn"] == run.execution_arn
    assert "watch found the file" in message["noticed"]
    after = item_of(log, ingestion)
    assert before | {"alerts": after["alerts"]} == after, "the item of the replay is unchanged"


def test_alert_on_failed_redrive_names_failed_state(
    event: dict[str, Any], ingestion: Ingestion, run: Run, log: IngestionLog, messages: Received
) -> None:
    log.open(ingestion, run)
    log.enter(ingestion, run, State.LOAD)
    handler(event, lambda_context("first"))
    event["detail"] |= {"redriveCount": 1, "error": "Lambda.TooManyRequestsException"}

    assert handler(event, lambda_context("second")) == {"sent": True}

    item = item_of(log, ingestion)
    assert (item["state"], item["status"], item["redrive"]) == ("load", "fail", 1)
    assert messages()[-1]["reason"].startswith("Lambda.TooManyRequestsException")


def test_suppressed_alert_is_never_sent(
    event: dict[str, Any],
    ingestion: Ingestion,
    run: Run,
    log: IngestionLog,
    messages: Received,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALERT_ON", "failures")
    log.open(ingestion, run)
    failed = copy.deepcopy(event)
    event["detail"] |= {"status": "SUCCEEDED", "output": json.dumps({"load": LOADED})}

    assert handler(event, lambda_context("first")) == {"sent": False}
    settled = item_of(log, ingestion)
    monkeypatch.setenv("ALERT_ON", "all")
    settings.read.cache_clear()
    assert handler(event, lambda_context("first")) == {"sent": False}

    assert messages() == []
    assert is_alert_settled(settled), "watch must not repeat it either"
    failed["detail"]["redriveCount"] = 1
    assert handler(failed, lambda_context("redriven")) == {"sent": True}


@pytest.mark.usefixtures("messages")
def test_alert_raises_on_invalid_event() -> None:
    empty = {"detail-type": "Step Functions Execution Status Change", "detail": {}}
    with pytest.raises(InvalidEvent, match="missing or invalid field"):
        handler(empty, lambda_context())
    detail = {"ingestedID": "x", "ingestedTable": "unmatched"}
    with pytest.raises(InvalidEvent, match="without a log item"):
        handler({"detail-type": "Ingestion Rejected", "detail": detail}, lambda_context())


@pytest.mark.parametrize("status", ["FAILED", "ABORTED"])
@pytest.mark.parametrize("as_json", [True, False])
def test_alert_truncates_long_cause(
    status: str,
    as_json: bool,
    event: dict[str, Any],
    ingestion: Ingestion,
    log: IngestionLog,
    messages: Received,
) -> None:
    """The cause is JSON from Lambda, or JSON truncated by Step Functions."""
    cause = json.dumps({"errorMessage": "ё" * 30_000}, ensure_ascii=False)
    detail = {"status": status, "error": "KeyError", "cause": cause if as_json else cause[:-9]}
    event["detail"] |= detail

    handler(event, lambda_context())

    (message,) = messages()
    assert "more characters)" in message["reason"]
    assert len(message["reason"]) < 1_600
    assert item_of(log, ingestion)["haltReason"] == message["reason"]
