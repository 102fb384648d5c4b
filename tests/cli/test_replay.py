"""Tests of `tm replay` on AWS simulated by moto."""

from unittest import mock

import boto3
import pytest

from cli import drop
from local.tap import Alert
from shared.ingestion import Run
from shared.ingestion_log import IngestionLog
from shared.intake import Intake
from shared.odcs import load_all
from tests.fixtures.aws import KEY, REGION, STAGING, land, run_of
from tests.fixtures.contracts import contract_set, requiring_manifests
from tests.fixtures.operator import MOST, Cloud, have_contracts, one_line, tm


def test_replay_starts_next_run_on_same_item(cloud: Cloud) -> None:
    ingestion = cloud.ingest(b"good")

    for attempt in (2, 3):
        result = tm("replay", ingestion.id)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"Started dailycheckins-{ingestion.id}-r{attempt}\n"
        cloud.turn()

    assert cloud.runs() == [ingestion.id, f"{ingestion.id}-r2", f"{ingestion.id}-r3"]
    item = cloud.item(ingestion)
    assert (item["attempt"], item["status"]) == (3, "success")


def test_replay_follow_shows_only_new_run(cloud: Cloud) -> None:
    ingestion = cloud.ingest(b"good")

    result = tm("replay", ingestion.id, "--follow")

    assert result.exit_code == 0, result.stderr
    _, *lines = result.stdout.splitlines()
    assert [line.split("Z", 1)[1].split()[:2] for line in lines[:-3]] == [
        ["trigger", "queued"],
        ["trigger", "success"],
        ["transform", "running"],
        ["load", "success"],
    ]
    assert lines[-3] == "load: success   10 read, 9 loaded, 1 rejected"
    assert lines[-2].startswith(f"Rejected rows: s3://{STAGING}/state=failed_tests/")
    assert lines[-1] == "Alert: sent to the topic's subscribers"


@pytest.mark.parametrize(
    ("word", "end"), [("refused", "transform: fail"), ("stale", "load: superseded")]
)
def test_replay_follow_fails_if_file_is_not_loaded(cloud: Cloud, word: str, end: str) -> None:
    older = cloud.ingest(word.encode())
    cloud.ingest(b"newer")
    result = tm("replay", older.id, "--follow")
    assert (result.exit_code, result.stderr) == (1, "")
    assert {end, f"Reason: it is {word}"} <= {*result.stdout.splitlines()}


def test_replay_ignores_alert_of_earlier_run(
    cloud: Cloud, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_ALERT_WITHIN", 0)
    with mock.patch.object(log, "alert_sent", wraps=log.alert_sent) as sent:
        ingestion = cloud.ingest(b"good")
        sent.side_effect = lambda *_: False
        result = tm("replay", ingestion.id, "--follow")
    assert result.stdout.splitlines()[-1].startswith("Alert: none within")


def test_replay_shows_alert_of_new_run_on_laptop(cloud: Cloud, log: IngestionLog) -> None:
    ingestion = cloud.ingest(b"good")
    item = cloud.item(ingestion)
    body = {"ingestedID": ingestion.id, "executionArn": item["executionArn"]}
    others = [{**body, "executionArn": f"{item['executionArn']}-r2"}, {**body, "ingestedID": "x"}]
    alerts = [Alert(f"Alert {number}", each) for number, each in enumerate([body, *others])]
    stack = mock.Mock(log=log)
    stack.tap.alerts.return_value = alerts

    assert drop._alert(stack, item) == "Alert 0"


def test_replay_starts_run_that_never_started(cloud: Cloud, log: IngestionLog) -> None:
    ingestion = cloud.ingest(b"good")
    log.reopen(cloud.item(ingestion), Run(f"{run_of(ingestion).execution_arn}-r2"))

    assert tm("replay", ingestion.id).stdout == f"Started dailycheckins-{ingestion.id}-r2\n"
    assert cloud.runs() == [ingestion.id, f"{ingestion.id}-r2"]


def test_replay_refuses_table_without_contract(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = cloud.ingest(b"good")
    have_contracts(contract_set({}, {}), monkeypatch)
    assert one_line(tm("replay", ingestion.id)) == (
        "tm: The stack no longer has a contract for dailycheckins: deploy one, then try again."
    )


def test_replay_waits_when_gate_is_full(cloud: Cloud) -> None:
    ingestion = cloud.ingest(b"good")
    for number in range(MOST):
        cloud.start(b"good", f"table=dailycheckins/year=2024/month=3/day=3/{number}.csv")

    result = tm("replay", ingestion.id)

    assert result.exit_code == 0, result.stderr
    shown = " ".join(result.stdout.split())
    assert " is queued. 1 file waits for a run (5 running, max_concurrency is 5)" in shown
    followed = tm("replay", ingestion.id, "--follow")
    assert followed.exit_code == 0, followed.stderr
    assert "load: success" in followed.stdout


def test_replay_may_waive_manifest(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    have_contracts(requiring_manifests(), monkeypatch)
    ingestion = land(cloud.s3, b"good")
    events = boto3.client("events", region_name=REGION)
    Intake(requiring_manifests(), cloud.gate(), events, cloud.s3).admit(ingestion.source)
    waived = ("replay", ingestion.id, "--without-manifest")

    assert one_line(tm("replay", ingestion.id)) == (
        f"tm: No manifest vouches for {ingestion.id}: its manifest '{KEY}.ctl' has not landed. "
        f"Upload its manifest, or load the file without it: `tm {' '.join(waived)}`."
    )
    assert "1 file waits for a manifest: `tm status --status waiting`." in tm("status").stdout
    assert f"Why: the file waits for its manifest '{KEY}.ctl'" in (
        " ".join(tm("status", ingestion.id).stdout.split())
    )
    assert tm(*waived).stdout == f"Started dailycheckins-{ingestion.id}\n"
    shown = tm("status", ingestion.id).stdout
    assert "Run 1" in shown
    assert "Run 2" not in shown

    have_contracts(load_all(), monkeypatch)
    assert one_line(tm(*waived)) == (
        "tm: The contract of dailycheckins requires no manifest: leave out --without-manifest."
    )
