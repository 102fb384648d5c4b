"""Every command as a person calls it, on AWS as moto plays it."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import responses
from rich.console import Console

from cli import drop
from shared.endings import State, Status
from shared.ingestion import Ingestion, Run, Source, unmatched_id
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from tests.fixtures.aws import LANDING, STAGING, land, run_of
from tests.fixtures.operator import API, OUTPUTS, deploy, one_line, tm

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "checkins.csv"
    path.write_bytes(b"user,timestamp,hours,project\n")
    return path


def test_without_a_stack_each_command_says_how_to_get_one(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TM_STACK", raising=False)
    monkeypatch.setenv("TM_HOME", str(tmp_path / "home"))
    days = ["--from", "2024-03-01", "--to", "2024-03-31"]
    for arguments in (
        ["status"],
        ["user", "ned"],
        ["drop", str(file)],
        ["replay", "20240303-0"],
        ["backfill", *days],
    ):
        assert one_line(tm(*arguments)).startswith(
            "tm: No laptop cloud is up: start one with `tm up`"
        )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["drop"], "Missing argument"),
        (["drop", "absent.csv"], "does not exist"),
        (["drop", ".", "--table", "x"], "is a directory"),
        (["drop", __file__, "--date", "03.03.2024"], "does not match the format"),
        (["drop", __file__, "--table", "salaries"], "no contract for 'salaries'"),
        (["user"], "Missing argument"),
        (["replay"], "Missing argument"),
        (["status", "--stack", "absent"], "does not exist"),
        (["dorp"], "No such command"),
    ],
)
def test_a_wrong_call_is_a_usage_error(arguments: list[str], complaint: str) -> None:
    result = tm(*arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", "").split())


def test_a_folder_without_the_stacks_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, {"region": "eu-west-1"}, monkeypatch)
    assert "Terraform has no outputs of this stack in" in one_line(tm("status"))


def test_a_folder_that_terraform_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, {}, monkeypatch)
    (tmp_path / "terraform").write_text("#!/bin/sh\nprintf '\\nError: No backend\\n' >&2; exit 1\n")
    assert one_line(tm("status")).endswith(f"`terraform output` failed in {tmp_path}: No backend")


@pytest.mark.usefixtures("stack")
def test_outputs_that_a_root_module_passes_on_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, {"pipeline": OUTPUTS, "other": "thing"}, monkeypatch)
    assert tm("status", "--json").stdout == "[]\n"


def test_what_aws_refuses_is_one_line(
    tmp_path: Path, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, OUTPUTS, monkeypatch)
    assert one_line(tm("status")).startswith("tm: AWS: ")


@pytest.mark.usefixtures("stack")
def test_drop_puts_the_file_under_its_partition_key(s3: "S3Client", file: Path) -> None:
    result = tm("drop", file, "--date", "2024-03-03")
    assert result.exit_code == 0, result.stderr
    key = "table=dailycheckins/year=2024/month=3/day=3/checkins.csv"
    stored = s3.get_object(Bucket=LANDING, Key=key)
    assert stored["Body"].read() == file.read_bytes()
    source = Source(LANDING, key, stored["VersionId"], file.stat().st_size)
    landing_key = LandingKey.parse(key)
    assert landing_key is not None
    assert Ingestion.of(source, landing_key).id in result.stdout


@pytest.mark.usefixtures("stack")
def test_drop_takes_today_for_the_date(s3: "S3Client", file: Path) -> None:
    days = {time.strftime("%Y/%m/%d", time.gmtime())}
    tm("drop", file)
    days.add(time.strftime("%Y/%m/%d", time.gmtime()))
    [stored] = s3.list_objects_v2(Bucket=LANDING)["Contents"]
    key = LandingKey.parse(stored["Key"])
    assert key is not None
    assert key.date.strftime("%Y/%m/%d") in days


@pytest.mark.usefixtures("stack")
def test_drop_into_a_bucket_that_keeps_no_versions(s3: "S3Client", file: Path) -> None:
    suspended: Any = {"Status": "Suspended"}
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration=suspended)

    line = one_line(tm("drop", file, "--date", "2024-03-03", "--follow"))

    assert "day=3/checkins.csv will be rejected: S3 stored the object without a version" in line
    assert "drop the file again after that time" in line


def succeed(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    log.enter(ingestion, run, State.TRANSFORM)
    log.passed(ingestion, run, State.TRANSFORM, {"rowsRead": 20500})
    log.enter(ingestion, run, State.TEST)
    log.passed(ingestion, run, State.TEST, {"rowsRejected": 5})
    log.enter(ingestion, run, State.LOAD)
    counts = {"rowsRead": 20500, "rowsLoaded": 20495, "rowsRejected": 5}
    log.finish(ingestion, run, State.LOAD, Status.SUCCESS, counts)


def halt(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    log.enter(ingestion, run, State.TEST)
    counts = {"rowsRead": 3, "rowsRejected": 1}
    log.finish(ingestion, run, State.TEST, Status.FAIL, counts, "1 row has no user")


def supersede(log: IngestionLog, ingestion: Ingestion, run: Run) -> None:
    log.finish(ingestion, run, State.LOAD, Status.SUPERSEDED, {}, "a newer version is loaded")


@pytest.fixture
def pipeline(s3: "S3Client", log: IngestionLog, request: pytest.FixtureRequest) -> Iterator[None]:
    """Does to the first object that lands what the test's parameter says."""

    def work() -> None:
        while not (landed := s3.list_object_versions(Bucket=LANDING).get("Versions")):
            time.sleep(0.05)
        body = s3.get_object(Bucket=LANDING, Key=landed[0]["Key"])["Body"].read()
        source = Source(LANDING, landed[0]["Key"], landed[0]["VersionId"], len(body))
        key = LandingKey.parse(source.key)
        assert key is not None
        ingestion = Ingestion.of(source, key)
        run = run_of(ingestion)
        log.open(ingestion, run)
        request.param(log, ingestion, run)
        end = f"{run.name}/SUCCEEDED"
        log.claim_alert(ingestion.id, ingestion.table, end, "request")
        log.alert_sent(ingestion.id, ingestion.table, end, "request")

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


@pytest.mark.usefixtures("stack", "pipeline")
@pytest.mark.parametrize("pipeline", [succeed], indirect=True)
def test_follow_prints_one_line_a_transition_and_the_sums(file: Path) -> None:
    result = tm("drop", file, "--date", "2024-03-03", "--follow")
    assert result.exit_code == 0, result.stderr
    _, _, *lines = result.stdout.splitlines()
    transitions = [line.split("Z", 1)[1].split() for line in lines[:-3]]
    assert [words[:2] for words in transitions] == [
        ["trigger", "success"],
        ["transform", "running"],
        ["transform", "success"],
        ["test", "running"],
        ["test", "success"],
        ["load", "running"],
        ["load", "success"],
    ]
    assert lines[-3] == "load: success   20,500 read, 20,495 loaded, 5 rejected"
    assert lines[-2].startswith(f"Rejected rows: s3://{STAGING}/state=failed_tests/")
    assert lines[-1] == "Alert: sent to the topic's subscribers"


@pytest.mark.usefixtures("stack", "pipeline")
@pytest.mark.parametrize("pipeline", [succeed], indirect=True)
def test_follow_on_a_terminal_keeps_one_table_of_the_states(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(drop, "console", terminal)
    result = tm("drop", file, "--follow")
    assert result.exit_code == 0, result.stderr
    assert isinstance(terminal.file, io.StringIO)
    rows = [line.split() for line in terminal.file.getvalue().splitlines() if line]
    last = {row[0]: row for row in rows}
    assert [last[state][1] for state in State] == ["success"] * 4
    assert last["load"][-6:] == ["20,500", "read,", "20,495", "loaded,", "5", "rejected"]


@pytest.mark.usefixtures("stack", "pipeline")
@pytest.mark.parametrize(
    ("pipeline", "end", "reason"),
    [
        (halt, "test: fail   3 read, 1 rejected", "1 row has no user"),
        (supersede, "load: superseded", "a newer version is loaded"),
    ],
    indirect=["pipeline"],
)
def test_follow_fails_if_it_was_not_loaded(file: Path, end: str, reason: str) -> None:
    result = tm("drop", file, "--follow")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert end in lines
    assert f"Reason: {reason}" in lines
    assert result.stderr == ""


@pytest.mark.usefixtures("stack")
def test_follow_says_when_nobody_took_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop, "_BEGINS_WITHIN", 0.5)
    assert "trigger has not seen the file" in one_line(tm("drop", file, "--follow"))


@pytest.mark.usefixtures("stack")
def test_follow_says_when_nobody_closed_the_log(
    file: Path, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_ENDS_WITHIN", 0.5)
    put = drop.put

    def put_and_open(*arguments: Any) -> Ingestion:
        ingestion = put(*arguments)
        log.open(ingestion, run_of(ingestion))
        return ingestion

    monkeypatch.setattr(drop, "put", put_and_open)
    assert "still says running" in one_line(tm("drop", file, "--follow"))


@pytest.mark.usefixtures("stack")
def test_follow_sees_that_the_key_was_refused(
    file: Path, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_ALERT_WITHIN", 0.1)
    put = drop.put

    def put_and_reject(*arguments: Any) -> Ingestion:
        ingestion = put(*arguments)
        log.reject(ingestion.source, "no contract there")
        return ingestion

    monkeypatch.setattr(drop, "put", put_and_reject)
    result = tm("drop", file, "--follow")
    assert result.exit_code == 1
    assert "trigger: rejected" in result.stdout
    assert "Alert: none within" in result.stdout


@pytest.fixture
def items(stack: None, s3: "S3Client", log: IngestionLog) -> list[Ingestion]:
    """Two ingestions in the log: one loaded, one refused for its key."""
    loaded = land(s3, b"x")
    log.open(loaded, run_of(loaded))
    succeed(log, loaded, run_of(loaded))
    log.reject(Source(LANDING, "stray.csv", "v1", 1), "fits no contract")
    return [loaded]


def test_status_as_json_is_an_array_with_counts_as_numbers(items: list[Ingestion]) -> None:
    result = tm("status", "--json")
    listed = json.loads(result.stdout)
    assert {item["ingestedID"]: item["status"] for item in listed} == {
        items[0].id: "success",
        unmatched_id(Source(LANDING, "stray.csv", "v1", 1)): "rejected",
    }
    [loaded] = [item for item in listed if item["status"] == "success"]
    assert (loaded["rowsRead"], loaded["rowsLoaded"], loaded["rowsRejected"]) == (20500, 20495, 5)
    assert loaded["history"][0]["state"] == "trigger"
    assert isinstance(loaded["steps"], list)
    assert [item["updatedAt"] for item in listed] == sorted(
        (item["updatedAt"] for item in listed), reverse=True
    )


def test_status_of_one_shows_its_history(items: list[Ingestion]) -> None:
    assert [item["ingestedID"] for item in json.loads(tm("status", items[0].id, "--json").stdout)]
    shown = tm("status", items[0].id).stdout
    assert items[0].source.key in shown
    assert "20,500 read, 20,495 loaded, 5 rejected" in shown
    assert "transform  success" in shown


def test_status_lists_all(items: list[Ingestion]) -> None:
    shown = tm("status").stdout
    assert items[0].id in shown
    assert "unmatched" in shown


@pytest.mark.usefixtures("items")
def test_status_of_an_unknown_id_is_one_line() -> None:
    assert one_line(tm("status", "20240101-0")) == (
        "tm: The log has no ingestion 20240101-0: `tm status` lists them all."
    )


def row(number: int, hours: str = "1.50") -> dict[str, str]:
    timestamp = f"2019-09-27T00:00:00.{number:06}Z"
    return {"user": "ned", "project": "bizdev", "hours": hours, "timestamp": timestamp}


def page(rows: list[dict[str, str]], cursor: str | None, match: dict[str, str]) -> None:
    responses.get(
        f"{API}/get",
        json={"response": rows, "next": cursor},
        match=[
            responses.matchers.query_param_matcher({"user": "ned", "limit": "1000"} | match),
            responses.matchers.header_matcher({"x-api-key": "the-key"}),
        ],
    )


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_gives_all_pages_as_one_array() -> None:
    page([row(1), row(2)], "more", {})
    page([row(3)], None, {"cursor": "more"})
    assert json.loads(tm("user", "ned", "--json").stdout) == [row(1), row(2), row(3)]


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_begins_again_if_rows_were_replaced_on_the_way() -> None:
    page([row(1), row(2)], "more", {})
    gone("more")
    page([row(3)], "other", {})
    page([row(4)], None, {"cursor": "other"})
    assert json.loads(tm("user", "ned", "--json").stdout) == [row(3), row(4)]


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_does_not_begin_again_for_ever() -> None:
    page([row(1)], "more", {})
    gone("more")
    assert one_line(tm("user", "ned")) == (
        "tm: Files with rows of ned were replaced each of the 10 times that the rows were read: "
        "try again when fewer files are loaded"
    )
    assert len(responses.calls) == 20


def gone(cursor: str) -> None:
    match = responses.matchers.query_param_matcher(
        {"user": "ned", "limit": "1000", "cursor": cursor}
    )
    responses.get(f"{API}/get", json={"detail": "replaced"}, status=410, match=[match])


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_for_people_is_the_newest_rows_and_the_sums() -> None:
    page([row(number) for number in range(1387)], None, {})
    lines = tm("user", "ned").stdout.splitlines()
    assert lines[-1] == "ned: 1,387 rows, 2,080.50 h"
    assert "00.001386Z" in lines[1]
    assert len(lines) == 1 + 20 + 2


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_without_rows() -> None:
    page([], None, {})
    assert tm("user", "ned").stdout == "No rows of ned.\n"


@pytest.mark.usefixtures("stack")
@responses.activate
def test_user_waits_for_a_database_or_a_function_that_wakes_up() -> None:
    for _ in range(6):
        responses.get(f"{API}/get", status=503, headers={"Retry-After": "0"})
    page([row(1)], None, {})
    assert json.loads(tm("user", "ned", "--json").stdout) == [row(1)]


@pytest.mark.usefixtures("stack")
@responses.activate
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"json": {"message": "Forbidden"}, "status": 403}, "refused with 403: Forbidden"),
        ({"json": {"detail": "No key."}, "status": 403}, "refused with 403: No key."),
        ({"body": "oops", "status": 500}, "refused with 500: oops"),
    ],
)
def test_what_the_api_refuses_is_one_line(answer: dict[str, Any], line: str) -> None:
    responses.get(f"{API}/get", **answer)
    assert one_line(tm("user", "ned")) == f"tm: The look-up API {line}"


@pytest.mark.usefixtures("stack")
@responses.activate
def test_an_api_that_is_away_is_one_line() -> None:
    assert one_line(tm("user", "ned")).startswith("tm: The look-up API cannot be reached: ")
