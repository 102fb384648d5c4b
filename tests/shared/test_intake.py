import datetime as dt
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract import Contract
from shared.endings import State, Status
from shared.errors import NoticeUndelivered
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from shared.intake import Admission, Intake
from shared.landing_key import LandingKey
from shared.odcs import load_all
from tests.fixtures.aws import KEY, landed_at
from tests.fixtures.contracts import contract_set
from tests.fixtures.messaging import Received, intake_of
from tests.shared.test_gate import crash

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DAY = dt.date(2024, 3, 3)
SOURCE = Source("landing", KEY, "v1", 10)


def changed(table: str, **changes: Any) -> Contract:
    """Return a changed sample contract."""
    unchanged = load_all()[table].model_dump(exclude_unset=True)
    return Contract.model_validate(unchanged | {"sla": None} | changes)


@pytest.fixture
def intake(log: IngestionLog, state_machine: str) -> Intake:
    return intake_of(log, state_machine, 5)


def test_admit_logs_and_starts_version(intake: Intake) -> None:
    assert intake.admit(SOURCE) == Admission.STARTED

    (item,) = intake.log.with_status(Status.RUNNING)
    described = intake.gate.stepfunctions.describe_execution(executionArn=item["executionArn"])
    assert names(intake) == [described["name"]]
    assert json.loads(described["input"])["source"]["versionId"] == "v1"


def test_admit_ignores_duplicate_event(intake: Intake) -> None:
    for _ in range(3):
        intake.admit(SOURCE)

    assert len(names(intake)) == 1


def test_admit_knows_version_whose_state_has_begun(intake: Intake) -> None:
    intake.admit(SOURCE)
    (item,) = intake.log.with_status(Status.RUNNING)
    ingestion = Ingestion.from_item(item)
    intake.log.enter(ingestion, Run(item["executionArn"]), State.TRANSFORM)

    assert intake.admit(SOURCE) == Admission.KNOWN


def item_of(intake: Intake) -> dict[str, Any]:
    (item,) = (each for status in Status for each in intake.log.with_status(status))
    return item


def stop(intake: Intake, run: Run) -> None:
    intake.gate.stepfunctions.stop_execution(executionArn=run.execution_arn)


def names(intake: Intake) -> list[str]:
    machine = intake.gate.state_machine_arn
    executions = intake.gate.stepfunctions.list_executions(stateMachineArn=machine)["executions"]
    return sorted(each["name"] for each in executions)


def test_replay_starts_another_run_of_same_item(intake: Intake) -> None:
    intake.admit(SOURCE)
    first = Run.from_item(item_of(intake))
    stop(intake, first)

    second = intake.replay(item_of(intake))
    assert isinstance(second, Run)
    stop(intake, second)
    third = intake.replay(item_of(intake))
    assert isinstance(third, Run)

    assert names(intake) == [f"{first.execution_name}{suffix}" for suffix in ("", "-r2", "-r3")]
    assert item_of(intake)["executionArn"] == third.execution_arn
    assert (item_of(intake)["status"], item_of(intake)["attempt"]) == ("running", 3)
    for run in (first, second, third):
        described = intake.gate.stepfunctions.describe_execution(executionArn=run.execution_arn)
        assert json.loads(described["input"])["ingestedID"] == item_of(intake)["ingestedID"]


def test_replay_ignores_running_execution(intake: Intake) -> None:
    intake.admit(SOURCE)

    assert intake.replay(item_of(intake)) is None
    assert len(names(intake)) == 1


def test_concurrent_replays_start_one_run(intake: Intake) -> None:
    intake.admit(SOURCE)
    read = item_of(intake)
    stop(intake, Run.from_item(read))

    assert intake.replay(read) is not None
    assert intake.replay(read) is None
    assert len(names(intake)) == 2


def test_replay_starts_run_that_never_began(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(monkeypatch, "shared.gate.Gate.start", lambda: intake.admit(SOURCE))

    run = intake.replay(item_of(intake))

    assert run is not None
    assert run == Run.from_item(item_of(intake))
    assert names(intake) == [run.execution_name]
    assert item_of(intake)["attempt"] == 1


def test_late_event_starts_crashed_replay(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    intake.admit(SOURCE)
    stop(intake, Run.from_item(item_of(intake)))
    crash(monkeypatch, "shared.gate.Gate.start", lambda: intake.replay(item_of(intake)))

    assert intake.admit(SOURCE) == Admission.STARTED

    assert Run.from_item(item_of(intake)).execution_name in names(intake)
    assert len(names(intake)) == 2


def test_admit_ignores_event_after_end(intake: Intake) -> None:
    intake.admit(SOURCE)
    item = item_of(intake)
    run = Run.from_item(item)
    stop(intake, run)
    intake.log.finish(Ingestion.from_item(item), run, State.TEST, Status.FAIL, {}, "stopped")

    assert intake.admit(SOURCE) == Admission.KNOWN
    assert len(names(intake)) == 1


def test_admit_rejects_key_without_contract(intake: Intake, notices: Received) -> None:
    assert intake.admit(Source("landing", "\x1b" * 1_024, "v1", 10)) == Admission.REJECTED

    (item,) = intake.log.with_status(Status.REJECTED)
    assert item["haltReason"].startswith(r"the key '\x1b\x1b")
    assert item["haltReason"].endswith(
        "/day=<d>/<file>, and no pattern in the `keys` of a contract matches it"
    )
    [event] = notices()
    assert event["detail-type"] == "Ingestion Rejected"
    assert event["detail"] == {"ingestedID": item["ingestedID"], "ingestedTable": "unmatched"}


def test_admit_rejects_second_spelling_until_first_is_removed(intake: Intake) -> None:
    landed = LandingKey("dailycheckins", dt.date(2024, 3, 3), "dailycheckins.csv")
    padded = replace(landed, spelling=KEY.replace("month=3/day=3/", "month=03/day=03/"))
    second, again = (Source("landing", str(padded), version, 10) for version in ("v2", "v3"))
    assert intake.admit(SOURCE) == Admission.STARTED
    assert not intake.is_known(second)

    assert [intake.admit(second), intake.admit(second)] == [Admission.REJECTED] * 2
    assert intake.admit(replace(SOURCE, version_id="v4")) == Admission.STARTED

    assert intake.is_known(second)
    (item,) = intake.log.with_status(Status.REJECTED)
    assert f"the same file and day as '{KEY}', which landed first" in item["haltReason"]
    assert not intake.log.forget_spelling(padded)
    assert intake.log.forget_spelling(landed)
    assert intake.admit(again) == Admission.STARTED


def test_day_of_landing_is_same_for_each_component(intake: Intake, s3: "S3Client") -> None:
    # Half past midnight in Berlin.
    landed = landed_at(s3, "erp/budgets.csv", dt.datetime(2024, 3, 2, 23, 30, tzinfo=dt.UTC))
    of_event = replace(landed, landed=None)

    assert intake.admit(of_event) == Admission.STARTED

    item = item_of(intake)
    assert (item["ingestedTable"], item["dataDate"]) == ("projectbudgets", "2024-03-03")
    assert (item["ingestedID"], item["ingestedTable"]) == intake.identity(landed)
    intake.admit(landed)
    assert len(names(intake)) == 1
    assert intake.is_known(of_event)
    assert intake.is_known(landed)

    gone = replace(of_event, version_id="gone")
    assert intake.admit(gone) == Admission.IGNORED
    assert not intake.is_known(gone)


def test_key_stays_with_table_for_which_it_landed(intake: Intake) -> None:
    key = "shop/20240303.csv"
    keys = [{"pattern": "shop/(?P<date>[0-9]*).csv", "examples": [key]}]
    of_table = {
        table: replace(intake, contracts=contract_set({table: changed(table, keys=keys)}, {}))
        for table in ("dailycheckins", "projectbudgets")
    }
    first, second = of_table.values()
    one, two, three = (Source("landing", key, version, 10) for version in ("v1", "v2", "v3"))
    assert first.admit(one) == Admission.STARTED

    assert [second.admit(each) for each in (one, two)] == [Admission.REJECTED] * 2

    assert second.is_known(one)
    reasons = [item["haltReason"] for item in intake.log.with_status(Status.REJECTED)]
    assert all("landed first for the table 'dailycheckins'" in reason for reason in reasons)
    assert first.admit(two) == Admission.STARTED
    assert intake.log.forget_spelling(LandingKey("dailycheckins", DAY, "20240303.csv", key))
    assert second.admit(three) == Admission.STARTED


def test_ignored_files_of_a_day_are_reported_once(intake: Intake, notices: Received) -> None:
    keys = ("erp/.budgets.csv", f"{KEY}.filepart", "table=nosuch/_SUCCESS", "a.tmp")
    sources = [Source("landing", key, "v1", 10) for key in keys]
    assert all(intake.is_known(each) for each in sources), "watch ignores them"

    assert {intake.admit(each) for each in sources * 2} == {Admission.IGNORED}

    (item,) = intake.log.with_status(Status.REJECTED)
    assert item["ingestedID"] == f"ignored-{dt.datetime.now(dt.UTC):%Y%m%d}"
    assert item["sourceKey"] == keys[0]
    assert "files with such names are ignored (_SUCCESS, names that" in item["haltReason"]
    [event] = notices()
    assert event["detail"]["ingestedID"] == item["ingestedID"]


def test_admit_starts_one_of_concurrent_spellings(intake: Intake) -> None:
    sources = [
        Source("landing", f"table=dailycheckins/year=2024/month={each}/f.csv", "v1", 10)
        for each in ("3/day=3", "03/day=3", "3/day=03", "03/day=03")
    ]
    with ThreadPoolExecutor(4) as pool:
        admitted = Counter(pool.map(intake.admit, sources))
    assert admitted == {Admission.STARTED: 1, Admission.REJECTED: 3}


def test_admit_raises_if_notice_is_rejected(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    monkeypatch.setattr(intake.events, "put_events", lambda **_: failed)

    with pytest.raises(NoticeUndelivered, match="InternalFailure"):
        intake.admit(Source("landing", "report.csv", "v1", 10))
