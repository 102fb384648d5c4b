"""Tests of `tm status`: selection, order and display, on AWS simulated by moto."""

import datetime as dt
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from cli import status
from cli.stack import Stack
from cli.timeline import runs
from shared.endings import State, Status
from shared.ingestion import Run, Source
from shared.ingestion_log import IngestionLog
from tests.fixtures.aws import LANDING, REGION, land, run_of
from tests.fixtures.operator import MOST, Cloud, on_terminal, one_line, tm

NOW = dt.datetime.now(dt.UTC)
BUDGETS = "table=projectbudgets/year=2024/month=3/day=4/budgets.csv"

Put = Callable[..., str]


@pytest.fixture(autouse=True)
def opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open the stack only once, because that is slow and other tests cover it."""
    monkeypatch.setattr(Stack, "open", functools.cache(Stack.open))


@pytest.fixture
def put(stack: None, log_table: str) -> Put:
    """A function that puts an item of some age into the log and returns its ID."""
    table = boto3.resource("dynamodb", region_name=REGION).Table(log_table)

    def put(
        ingested_id: str,
        status: Status = Status.SUCCESS,
        table_name: str = "dailycheckins",
        day: str = "2024-03-03",
        hours: float = 0,
    ) -> str:
        at = f"{NOW - dt.timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.000Z}"
        table.put_item(
            Item={
                "ingestedID": ingested_id,
                "ingestedTable": table_name,
                "dataDate": day,
                "state": "load",
                "status": str(status),
                "updatedAt": at,
                "sourceKey": "key",
                "history": [{"state": "load", "status": str(status), "at": at}],
                "alerts": {},
                **({} if status == Status.SUCCESS else {"haltReason": "it is\nbad [red]"}),
            }
        )
        return ingested_id

    return put


def listed(*arguments: str) -> list[str]:
    result = tm("status", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [item["ingestedID"] for item in json.loads(result.stdout)]


WHY = ("so many words " * 20)[:59] + "…"
LISTS = {
    "": ["new", "failed", "budget", "old"],
    "--status success": ["new", "budget", "old"],
    "--status fail --status missing": ["failed"],
    "--status running": [],
    "--table projectbudgets": ["budget"],
    "--since 24h": ["new", "failed"],
    "--since 3d": ["new", "failed", "budget"],
    f"--since {NOW - dt.timedelta(days=4):%Y-%m-%d}": ["new", "failed", "budget"],
    f"--since {NOW - dt.timedelta(hours=2):%Y-%m-%dT%H:%M:%S}Z": ["new", "failed"],
    "--date 2024-03-04": ["failed", "budget"],
    "--date 2024-03-04 --status fail": ["failed"],
    "--date 2024-03-04 --since 24h": ["failed"],
    "--date 2024-03-04 --table projectbudgets": ["budget"],
    "--status success --since 3d --table dailycheckins": ["new"],
    "--limit 2": ["new", "failed"],
    "--limit 1 --date 2024-03-04": ["failed"],
}


def test_list_is_filtered_and_sorted_newest_first(put: Put) -> None:
    put("old", hours=24 * 10)
    put("failed", Status.FAIL, day="2024-03-04", hours=1)
    put("budget", table_name="projectbudgets", day="2024-03-04", hours=48)
    put("new")

    assert {options: listed(*options.split()) for options in LISTS} == LISTS


def test_list_reads_only_needed_pages(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        put(f"{number:02}", Status.SUCCESS if number % 2 else Status.FAIL, hours=number)
    pages_of = IngestionLog._answers
    read: list[Any] = []

    def by_pages_of_four(self: IngestionLog, query: Any) -> Iterator[Any]:
        for page in pages_of(self, query | {"Limit": 4}):
            read.append(page)
            yield page

    monkeypatch.setattr(IngestionLog, "_answers", by_pages_of_four)

    assert listed("--limit", "30") == [f"{number:02}" for number in range(30)]
    pages = len(read)
    read.clear()
    assert listed("--limit", "2") == ["00", "01"]
    assert pages > len(read)


def test_list_contains_changing_item_once(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("one", Status.SUCCESS)
    [item] = json.loads(tm("status", "one", "--json").stdout)
    before = item | {"status": "running", "updatedAt": "2024-01-01T00:00:00.000Z"}
    pages = IngestionLog._pages

    def also_before(self: IngestionLog, query: Any) -> Iterator[Any]:
        yield from pages(self, query)
        yield before

    monkeypatch.setattr(IngestionLog, "_pages", also_before)

    [found] = json.loads(tm("status", "--json").stdout)
    assert found["status"] == "success"


def test_list_reports_that_it_was_cut(put: Put) -> None:
    for name in ("a", "b", "c"):
        put(name)

    assert tm("status", "--limit", "3").stderr == ""
    for arguments in ([], ["--json"]):
        cut = tm("status", "--limit", "2", *arguments)
        assert cut.stderr == "Only the newest 2 are listed: raise --limit to see more.\n"


def shown(width: int, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Return the lines on a terminal of the given width."""
    exit_code, sent = on_terminal(monkeypatch, "status", width, "status", *arguments)
    assert exit_code == 0
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", sent)
    return [line.rstrip() for line in text.splitlines()]


def test_list_fits_terminal_width(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("20240303-0123456789", Status.FAIL)
    put("20240303-abcdef0123", hours=1)

    at = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert shown(60, monkeypatch)[:3] == [
        f"20240303-0123456789  load: fail  {at}",
        "  dailycheckins",
        "  it is bad [red]",
    ]
    header, row, *_ = shown(100, monkeypatch)
    assert header.split() == ["id", "table", "state", "status", "rows", "updated"]
    assert row.split() == ["20240303-0123456789", "dailycheckins", "load", "fail", at]
    _, first, second, *_ = shown(150, monkeypatch)
    assert first.split()[:5] == row.split()
    assert first.endswith("  it is bad [red]")
    assert second.split()[0] == "20240303-abcdef0123"


def test_list_cuts_long_reason_only(
    cloud: Cloud, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = cloud.start(b"good")
    run = Run.from_item(cloud.item(ingestion))
    counts = {"rowsRead": 20500, "rowsLoaded": 0, "rowsRejected": 20500}
    log.finish(ingestion, run, State.TEST, Status.FAIL, counts, "so many words " * 20)

    for width in (100, 150, 200):
        lines = shown(width, monkeypatch)
        assert all(len(line) <= width for line in lines)
        assert lines[1].split()[:4] == [ingestion.id, "dailycheckins", "test", "fail"]
    assert lines[1].endswith("20,500 rejected  " + lines[1].split("  ")[-2] + "  " + WHY)


def test_status_of_one_shows_timeline_of_runs(cloud: Cloud, log: IngestionLog) -> None:
    ingestion = land(cloud.s3, b"x")
    run = run_of(ingestion)
    log.open(ingestion, run)
    log.enter(ingestion, run, State.TRANSFORM)
    log.passed(ingestion, run, State.TRANSFORM, {"rowsRead": 20500})
    log.enter(ingestion, run, State.TEST)
    log.finish(ingestion, run, State.TEST, Status.FAIL, {}, "it broke")
    redriven = Run(run.execution_arn, 1)
    log.enter(ingestion, redriven, State.TEST)
    log.finish(ingestion, redriven, State.TEST, Status.FAIL, {}, "it broke again")
    replayed = Run(f"{run.execution_arn}-r2")
    log.reopen(cloud.item(ingestion), replayed)
    log.begin(ingestion, replayed)
    log.finish(
        ingestion, replayed, State.TRIGGER, Status.FAIL, {}, "it never began", "- name: a\n- b"
    )

    lines = tm("status", ingestion.id).stdout.splitlines()

    assert lines[0].endswith("dailycheckins  trigger: fail")
    assert lines[1:3] == [
        f"File: {ingestion.source.key}",
        f"Version: {ingestion.source.version_id} (1 bytes)",
    ]
    headings = [line.partition(":")[0] for line in lines if line.startswith("Run ")]
    assert headings == ["Run 1", "Run 1, redrive 1", "Run 2, a replay"]
    assert [line for line in lines if line.startswith("Why: ")] == [
        "Why: it broke",
        "Why: it broke again",
        "Why: it never began",
    ]
    assert lines[-5:-1] == ["To accept such files:", "- name: a", "- b", "Alert: not sent yet"]
    transform = next(line for line in lines if line.startswith("transform"))
    assert re.fullmatch(r"transform  success +\d\.\d s +\d\.\d s  20,500 read", transform.strip())


def entry(state: State, status: Status, second: int) -> dict[str, str]:
    return {"state": state, "status": status, "at": f"2024-03-03T09:00:{second:02}.000Z"}


def test_timeline_shows_durations() -> None:
    history = [
        entry(State.TRIGGER, Status.QUEUED, 0),
        entry(State.TRIGGER, Status.SUCCESS, 1),
        entry(State.TRANSFORM, Status.RUNNING, 2),
        entry(State.TRANSFORM, Status.SUCCESS, 5),
        entry(State.TEST, Status.RUNNING, 9),
    ]

    [run] = runs({"history": history})

    assert (run.started.second, run.ended) == (0, None)
    took = [
        (step.state, step.started.second, step.ended and step.ended.second) for step in run.steps
    ]
    assert took == [("trigger", 0, 1), ("transform", 2, 5), ("test", 9, None)]


def test_timeline_shows_duration_of_current_run(cloud: Cloud) -> None:
    ingestion = cloud.start(b"good")

    assert re.search(r"^Run 1: \S+Z, \d\.\d s$", tm("status", ingestion.id).stdout, re.MULTILINE)
    cloud.log.enter(ingestion, Run.from_item(cloud.item(ingestion)), State.TRANSFORM)
    assert " s so far\n" in tm("status", ingestion.id).stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_duration_is_formatted(seconds: float, text: str) -> None:
    assert status._took(dt.timedelta(seconds=seconds)) == text


def test_missing_file_is_shown_without_run(stack: None, log: IngestionLog) -> None:
    day = dt.date(2024, 3, 4)
    ids = {log.miss(table, day, f"no {table}", None) for table in ("dailycheckins", "other")}
    [missing] = ids
    assert missing is not None

    assert "Reason: no other" in tm("status", missing).stdout
    assert listed("--status", "missing") == [missing, missing]
    for command in (["replay", missing], ["status", missing, "--watch"]):
        assert "has no run because its file has not landed" in one_line(tm(*command))
    assert "no rejects. Its outcome is trigger: missing" in tm("rejects", missing).stdout


def test_rejected_key_has_no_run(stack: None, log: IngestionLog) -> None:
    log.reject(Source(LANDING, "stray.csv", "v1", 1), "fits no contract")
    [rejected] = listed("--table", "unmatched")

    assert "unmatched" in tm("status").stdout
    assert "fits no contract" in tm("status", rejected).stdout
    for command in (["replay", rejected], ["status", rejected, "--watch"]):
        assert one_line(tm(*command)).endswith(
            "has no run because its file was rejected: fits no contract. To load the file, "
            "upload it again with `tm drop`."
        )


def test_watch_of_one_ends_with_run(cloud: Cloud) -> None:
    for word, code in ((b"good", 0), (b"refused", 1), (b"stale", 1)):
        ingestion = cloud.start(word)

        result = tm("status", ingestion.id, "--watch")

        assert result.exit_code == code
        assert "transform  running" in result.stdout
        assert result.stdout.splitlines()[-1] == "Alert: sent to the topic's subscribers"


def test_watch_of_one_prints_json_lines(cloud: Cloud) -> None:
    ingestion = cloud.start(b"good")

    result = tm("status", ingestion.id, "--watch", "--json")

    assert result.exit_code == 0
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == [
        "running",
        "success",
    ]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_watch_of_one_exits_with_130_on_interrupt(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = cloud.start(b"good")
    monkeypatch.setattr("cli.drop.time.sleep", interrupted)

    assert tm("status", ingestion.id, "--watch").exit_code == 130


def test_watch_of_list_prints_changes(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cloud.ingest(b"good")
    then: list[Callable[[], object]] = [
        lambda: cloud.start(b"refused", BUDGETS),
        cloud.turn,
        lambda: None,
        interrupted,
    ]
    monkeypatch.setattr("cli.status.time.sleep", lambda _: then.pop(0)())

    result = tm("status", "--watch")

    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [(line[0] == first.id, line[1], *line[3:5]) for line in lines] == [
        (True, "dailycheckins", "load", "success"),
        (False, "projectbudgets", "trigger", "success"),
        (False, "projectbudgets", "transform", "fail"),
    ]


def test_watch_of_list_updates_one_table_on_terminal(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    then: list[Callable[[], object]] = [lambda: cloud.ingest(b"good"), interrupted]
    monkeypatch.setattr("cli.status.time.sleep", lambda _: then.pop(0)())

    lines = shown(120, monkeypatch, "--watch")

    assert "No matching ingestions." in lines[0]
    assert any("dailycheckins" in line and "success" in line for line in lines)


def test_follow_does_not_wait_for_suppressed_alert(
    cloud: Cloud, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = cloud.start(b"good")

    def end_without_alert(_: float) -> None:
        [item] = log.with_status(Status.RUNNING)
        run = Run.from_item(item)
        log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {})
        log.suppress_alert(ingestion.id, ingestion.table, f"{run.name}/SUCCEEDED")

    monkeypatch.setattr("cli.drop.time.sleep", end_without_alert)

    lines = tm("status", ingestion.id, "--watch").stdout.splitlines()
    assert lines[-1] == "Alert: none, because alert_on excludes this outcome"


def test_list_reports_queued_files(cloud: Cloud) -> None:
    for number in range(MOST + 2):
        last = cloud.start(b"good", f"table=dailycheckins/year=2024/month=3/day=3/{number}.csv")

    assert "trigger: queued" in tm("status", last.id).stdout
    shown = tm("status", "--limit", "1").stdout

    assert shown.endswith(
        "2 files wait for a run (5 running, max_concurrency is 5) and will start automatically, "
        "longest waiting first.\n"
    )
    assert len(json.loads(tm("status", "--status", "queued", "--json").stdout)) == 2
