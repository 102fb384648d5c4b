"""Tests of `tm backfill`: the plan alone, and the command on AWS simulated by moto."""

import datetime as dt
import re
import shlex
from typing import Any

import pytest
from typer.testing import Result

from cli import backfill
from cli.backfill import Action, FileOutcome, action, files
from cli.items import Item
from shared.endings import State, Status
from shared.errors import LogUnavailable
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from shared.odcs import load_all
from tests.fixtures.aws import LANDING, land, landed_at, run_of
from tests.fixtures.contracts import contract_set
from tests.fixtures.operator import Cloud, have_contracts, on_terminal, tm

CUT = dt.datetime(2024, 3, 3, 12, tzinfo=dt.UTC)
MARCH = ("--from", "2024-03-01", "--to", "2024-03-31")


def key(day: int, name: str = "f.csv", table: str = "dailycheckins") -> str:
    return f"table={table}/year=2024/month=3/day={day}/{name}"


def run(*arguments: str) -> Result:
    return tm("backfill", *MARCH, *arguments)


def attempts(cloud: Cloud, *ingestions: Ingestion) -> list[tuple[int, str]]:
    items = [cloud.item(each) for each in ingestions]
    return [(int(item["attempt"]), item["status"]) for item in items]


# The plan, without a cloud.


def version(name: str, number: int, **more: Any) -> dict[str, Any]:
    fixed = {"Key": name, "IsLatest": False, "LastModified": CUT}
    return fixed | {"VersionId": f"v{number}", "Size": number} | more


def found(*pages: dict[str, Any]) -> list[tuple[str, list[str]]]:
    march = dt.date(2024, 3, 1), dt.date(2024, 3, 31)
    return [
        (file.key, [each.source.version_id for each in file.versions])
        for file in files(pages, LANDING, LandingKey.parse, *march)
    ]


SPELLED = ["month=02/day=29", "month=03/day=01", "month=3/day=31", "month=4/day=1"]
LISTED = [f"table=dailycheckins/year=2024/{each}/f.csv" for each in SPELLED]
DELETED = [
    {"Key": key(day), "VersionId": "m", "IsLatest": day == 1, "LastModified": CUT} for day in (1, 2)
]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (
            [
                *({"Versions": [version(key(2), 9), version(key(2), 8)]}, {}),
                {"Versions": [version(key(2), 7), version(key(1), 1)]},
            ],
            [(key(1), ["v1"]), (key(2), ["v9", "v8", "v7"])],
        ),
        (
            [{"Versions": [version(name, 1) for name in LISTED]}],
            [(name, ["v1"]) for name in LISTED[1:3]],
        ),
        (
            [{"Versions": [version(key(day), day) for day in (1, 2)], "DeleteMarkers": DELETED}],
            [(key(1), []), (key(2), ["v2"])],
        ),
    ],
    ids=["versions of two pages", "both days in any spelling", "a deleted key"],
)
def test_files_have_versions_newest_first(
    pages: list[dict[str, Any]], expected: list[tuple[str, list[str]]]
) -> None:
    assert found(*pages) == expected


@pytest.mark.parametrize(
    ("began", "outcome", "expected"),
    [
        (None, None, Action.START),
        (11, None, Action.WAIT_AND_REPLAY),
        (12, None, Action.WAIT),
        (11, FileOutcome.LOADED, Action.REPLAY),
        (12, FileOutcome.LOADED, Action.LOADED),
        (13, FileOutcome.SUPERSEDED, Action.LOADED),
        (11, FileOutcome.REFUSED, Action.REPLAY),
        (13, FileOutcome.REFUSED, Action.REFUSED),
        (13, FileOutcome.FAILED, Action.REPLAY),
    ],
)
def test_action_depends_on_run_and_outcome(
    began: int | None, outcome: FileOutcome | None, expected: Action
) -> None:
    # The first run is irrelevant for the current one.
    history = [
        {"state": "trigger", "status": "success", "at": f"2024-03-03T{hour:02}:00:00.000Z"}
        for hour in (1, began)
        if hour
    ]
    last = {"state": "load", "status": "running", "at": "x"}
    item = None if began is None else {"history": [*history, last]}
    assert action(item, outcome, CUT) == expected


# The command.


def test_backfill_runs_logged_and_unlogged_files(cloud: Cloud) -> None:
    known = cloud.ingest(b"good", key(1))
    refused, corrected = cloud.ingest(b"refused", key(2)), cloud.ingest(b"good", key(2))
    unknown = land(cloud.s3, b"good", key(3))
    budget = cloud.ingest(b"good", key(3, table="projectbudgets"))
    land(cloud.s3, b"good", key(3, table="nobodys"))
    cloud.s3.put_object(Bucket=LANDING, Key="table=dailycheckins/stray.csv", Body=b"good")

    result = run()

    assert result.exit_code == 0, result.stdout
    assert attempts(cloud, unknown) == [(1, "success")]
    assert attempts(cloud, known, corrected, budget) == [(2, "success")] * 3
    assert attempts(cloud, refused) == [(1, "fail")], "it is not the newest"
    first, *lines, sums, rows = result.stdout.splitlines()
    assert re.fullmatch(r"Backfill of 4 files, started at \S+Z\.", first)
    assert sorted(line.split("  ", 1)[1] for line in lines) == [
        f"loaded        {name}  10 read, 9 loaded, 1 rejected"
        for name in (key(1), key(2), key(3), key(3, table="projectbudgets"))
    ]
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert sums == "4 files: 4 loaded."
    assert rows == "Rows: 40 read, 36 loaded, 4 rejected"


@pytest.mark.parametrize("word", ["refused", "halted"])
def test_backfill_runs_previous_version_after_refusal(cloud: Cloud, word: str) -> None:
    oldest, older = (cloud.ingest(body, key(1)) for body in (b"good 1", b"good 2"))
    refused = [cloud.ingest(f"{word} {number}".encode(), key(1)) for number in range(2)]
    cloud.ingest(b"good", key(2))

    result = run()

    assert result.exit_code == 1
    loaded = [(1, "success"), (2, "success")]
    assert attempts(cloud, oldest, older, *refused) == [*loaded, (2, "fail"), (2, "fail")]
    lines = result.stdout.splitlines()
    assert "2 files: 1 loaded, 1 refused." in lines
    assert "Rows: 20 read, 18 loaded, 2 rejected" in lines
    state = "transform" if word == "refused" else "test"
    assert lines[lines.index(f"Refused: {key(1)}") + 1 :] == [
        f"  {each.id}, version {each.source.version_id}: refused in {state}: it is {word}"
        for each in reversed(refused)
    ] + [f"  {older.id}, version {older.source.version_id}: loaded"]


@pytest.mark.parametrize(("word", "state"), [("broken", "load"), ("aborted", "transform")])
def test_backfill_does_not_run_previous_version_after_failure(
    cloud: Cloud, word: str, state: str
) -> None:
    older, broken = cloud.ingest(b"good", key(1)), cloud.ingest(word.encode(), key(1))
    cloud.ingest(b"good", key(2))
    other = cloud.ingest(b"good", key(2, table="projectbudgets"))

    result = run("--table", "dailycheckins")

    assert result.exit_code == 1
    assert attempts(cloud, older, broken, other) == [(1, "success"), (2, "fail"), (1, "success")]
    *_, sums, _, _, headline, detail, _, again = result.stdout.splitlines()
    assert sums == "2 files: 1 failed, 1 loaded."
    assert headline == f"Failed: {key(1)}"
    assert detail == (
        f"  {broken.id}, version {broken.source.version_id}: failed in {state}: it is {word} - "
        f"fix the cause, then: tm replay {broken.id}"
    )
    assert again.startswith("Fix the cause, then resume with: tm backfill --from 2024-03-01 ")
    assert "--table dailycheckins" in again


@pytest.mark.parametrize(
    ("bodies", "exit_code", "sums"),
    [
        ([b"refused 1", b"refused 2"], 1, "1 file: 1 refused."),
        ([b"broken", b"refused"], 1, "1 file: 1 failed."),
        ([b"stale"], 0, "1 file: 1 superseded."),
    ],
    ids=["all refused", "an older one failed", "superseded"],
)
def test_backfill_reports_outcome_of_file_that_is_not_loaded(
    cloud: Cloud, bodies: list[bytes], exit_code: int, sums: str
) -> None:
    ingestions = [cloud.ingest(body, key(1)) for body in bodies]
    result = run()
    assert result.exit_code == exit_code
    assert [attempt for attempt, _ in attempts(cloud, *ingestions)] == [2] * len(bodies)
    _, _, first, *rest = result.stdout.splitlines()
    assert first == sums
    assert ("it is refused" in result.stdout) == bool(exit_code)
    assert not [line for line in rest if line.endswith("loaded")]


def test_backfill_skips_and_reports_deleted_key(cloud: Cloud) -> None:
    ingestion = cloud.ingest(b"good", key(1))
    cloud.s3.delete_object(Bucket=LANDING, Key=key(1))
    result = run()
    assert result.exit_code == 0
    assert attempts(cloud, ingestion) == [(1, "success")]
    assert result.stdout.splitlines()[1:] == [
        f"1/1  deleted       {key(1)}",
        "1 file: 1 deleted.",
        "Deleted from the bucket: 1 file. Their rows stay in the table until you run "
        "`tm remove KEY`.",
    ]


def test_backfill_does_not_run_object_without_version(cloud: Cloud, log: IngestionLog) -> None:
    """The version before it is not run either, because the log cannot tell which is newer."""
    older = land(cloud.s3, b"good", key(1))
    suspended: Any = {"Status": "Suspended"}
    cloud.s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration=suspended)
    cloud.s3.put_object(Bucket=LANDING, Key=key(1), Body=b"good")

    planned = run("--dry-run")
    result = run()

    assert "1 skip: no version" in planned.stdout
    assert result.exit_code == 1
    assert "Failed: table=dailycheckins/" in result.stdout
    assert "S3 stored the object without a version" in result.stdout
    assert log.get(older.id, older.table) is None


@pytest.mark.parametrize(
    ("resume", "attempt"), [((), 2), (("--resume", "2024-03-03T00:00:00Z"), 1)]
)
def test_backfill_replays_run_that_started_before_cut(
    cloud: Cloud, resume: tuple[str, ...], attempt: int
) -> None:
    ingestion = cloud.start(b"good", key(1))
    result = run(*resume)
    assert result.exit_code == 0
    assert attempts(cloud, ingestion) == [(attempt, "success")]
    assert cloud.runs() == [ingestion.id, f"{ingestion.id}-r2"][:attempt]
    assert "1 file: 1 loaded." in result.stdout


def test_backfill_starts_logged_run_that_never_started(cloud: Cloud, log: IngestionLog) -> None:
    ingestion = land(cloud.s3, b"good", key(1))
    log.open(ingestion, run_of(ingestion))
    assert run("--resume", "2024-03-03T00:00:00Z").exit_code == 0
    assert attempts(cloud, ingestion) == [(1, "success")]
    assert cloud.runs() == [ingestion.id]


def test_backfill_waits_for_execution_after_log_is_closed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, refused = cloud.ingest(b"good", key(1)), cloud.ingest(b"refused", key(1))
    late: list[tuple[Run, str, str | None]] = []
    stop = cloud.stop

    def turn(_: float) -> None:
        while late:
            stop(*late.pop())
        cloud.turn()

    monkeypatch.setattr("cli.backfill.time.sleep", turn)
    monkeypatch.setattr(cloud, "stop", lambda *end: late.append(end))

    assert run().exit_code == 1
    assert attempts(cloud, older, refused) == [(2, "success"), (2, "fail")]


def test_backfill_replays_run_unknown_to_step_functions(cloud: Cloud, log: IngestionLog) -> None:
    ingestion = land(cloud.s3, b"good", key(1))
    log.open(ingestion, run_of(ingestion))
    log.finish(ingestion, run_of(ingestion), State.TEST, Status.FAIL, {}, "long ago")
    assert run().exit_code == 0
    assert attempts(cloud, ingestion) == [(2, "success")]


def test_backfill_continues_after_unreadable_log_item(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, other = (cloud.ingest(b"good", key(day)) for day in (1, 2))
    get = IngestionLog.get

    def unavailable(self: IngestionLog, ingested_id: str, table: str) -> Item | None:
        if ingested_id == lost.id:
            raise LogUnavailable("DynamoDB did not\nanswer")
        return get(self, ingested_id, table)

    with monkeypatch.context() as patch:
        patch.setattr(IngestionLog, "get", unavailable)
        result = run()

    assert result.exit_code == 1
    assert attempts(cloud, lost, other) == [(1, "success"), (2, "success")]
    line = f"  {lost.id}, version {lost.source.version_id}: failed: DynamoDB did not answer"
    assert line in result.stdout.splitlines()
    assert "Fix the cause, then resume with: tm backfill" in result.stdout


def test_backfill_reports_run_that_is_never_closed(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.start(b"good", key(1))
    monkeypatch.setattr(backfill, "_ENDS_WITHIN", 0.2)
    monkeypatch.setattr("cli.backfill.time.sleep", lambda _: None)
    result = run()
    assert result.exit_code == 1
    assert "failed: still running in the log after 0 s" in result.stdout


def cut(result: Result) -> str:
    match = re.search(r"started at (\S+Z)\.", result.stdout)
    assert match is not None
    return match[1]


def test_backfill_finds_files_of_patterns_by_their_newest_version(cloud: Cloud) -> None:
    days = [dt.datetime(2024, month, 3, 12, tzinfo=dt.UTC) for month in (2, 3, 4)]
    february, march, april = days
    name = "erp/budgets{}.csv".format
    for body, number, when in (
        (b"bad", 1, february),
        (b"good", 1, march),
        (b"bad", 2, march),
        (b"bad", 2, april),
        (b"bad", 3, march),
    ):
        landed_at(cloud.s3, name(number), when, body)
    cloud.s3.delete_object(Bucket=LANDING, Key=name(3))
    landed_at(cloud.s3, "erp/budgets/other.csv", march)

    result = run("--table", "projectbudgets")

    assert result.exit_code == 0, result.stdout
    [item] = cloud.log.with_status(Status.SUCCESS)
    assert (item["sourceKey"], item["dataDate"]) == (name(1), "2024-03-03")


def test_backfill_resume_skips_completed_files(cloud: Cloud) -> None:
    fine, stale = cloud.ingest(b"good", key(1)), cloud.ingest(b"stale", key(2))
    older, refused = cloud.ingest(b"good", key(3)), cloud.ingest(b"refused", key(3))
    broken = cloud.ingest(b"broken", key(4))
    everything = (fine, stale, older, refused, broken)
    first = run()
    assert first.exit_code == 1

    result = run("--resume", cut(first))

    assert result.exit_code == 1
    assert cut(result) == cut(first)
    assert [attempt for attempt, _ in attempts(cloud, *everything)] == [2, 2, 2, 2, 3]
    assert "4 files: 2 already done, 1 failed, 1 refused." in result.stdout
    assert f"  {older.id}, version {older.source.version_id}: already done" in result.stdout


def test_backfill_prints_resume_command_when_interrupted(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestions = [cloud.ingest(b"good", key(day)) for day in range(1, 7)]
    polls = iter(range(3))

    def turn(_: float) -> None:
        if next(polls) == 2:
            raise KeyboardInterrupt
        cloud.turn()

    with monkeypatch.context() as patch:
        patch.setattr("cli.backfill.time.sleep", turn)
        result = run("--concurrency", "2", "--table", "dailycheckins")

    assert result.exit_code == 130
    assert attempts(cloud, *ingestions) == [(2, "success")] * 4 + [(2, "running")] * 2
    *_, sums, _, _, last = result.stdout.splitlines()
    assert sums == "4 files: 4 loaded."
    message, command = last.split(" Resume with: ")
    assert message == "Interrupted: 4 of 6 files done."
    program, *arguments = shlex.split(command)
    assert program == "tm"

    result = tm(*arguments)

    assert result.exit_code == 0, result.stdout
    assert attempts(cloud, *ingestions) == [(2, "success")] * 6
    assert "6 files: 4 already done, 2 loaded." in result.stdout


def test_backfill_dry_run_changes_nothing(cloud: Cloud, log: IngestionLog) -> None:
    begun = dt.datetime.now(dt.UTC).isoformat()
    known = cloud.ingest(b"good", key(1))
    older, refused = cloud.ingest(b"good", key(2)), cloud.ingest(b"refused", key(2))
    deleted = cloud.ingest(b"good", key(3))
    cloud.s3.delete_object(Bucket=LANDING, Key=key(3))
    under_way = cloud.start(b"good", key(4))
    unknown = land(cloud.s3, b"good", key(5))
    everything = [known, older, refused, deleted, under_way]
    before = [cloud.item(each) for each in everything], cloud.runs()

    plain, resumed = run("--dry-run"), run("--dry-run", "--resume", begun)

    assert (plain.exit_code, resumed.exit_code) == (0, 0)
    assert ([cloud.item(each) for each in everything], cloud.runs()) == before
    assert log.get(unknown.id, unknown.table) is None
    header, *rows, last = plain.stdout.splitlines()
    assert header.split() == ["key", "version", "log", "action"]
    assert [re.split(r"\s{2,}", row.strip()) for row in rows] == [
        [key(1), known.source.version_id, "load: success", "replay"],
        [key(2), refused.source.version_id, "transform: fail", "replay"],
        [key(3), "skip: deleted"],
        [key(4), under_way.source.version_id, "trigger: running", "wait, then replay"],
        [key(5), unknown.source.version_id, "start"],
    ]
    assert last == (
        "5 files: 2 replay, 1 skip: deleted, 1 start, 1 wait, then replay. Nothing was changed."
    )
    _, *rows, last = resumed.stdout.splitlines()
    assert [re.split(r"\s{2,}", row.strip())[-1] for row in rows] == [
        "skip: already loaded",
        "skip: already refused",
        "skip: already loaded",
        "skip: deleted",
        "wait",
        "start",
    ]


def test_backfill_skips_and_reports_invalid_contract(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = cloud.ingest(b"good", key(3))
    reason = "budgets.odcs.yaml: column '[a]': it is broken"
    have_contracts(contract_set(load_all(), {"budgets": reason}), monkeypatch)

    result = run()

    assert attempts(cloud, ours) == [(2, Status.SUCCESS)]
    assert result.exit_code == 1
    assert f"tm: invalid contract, skipped: {reason}\n" in result.stderr
    assert run("--table", "dailycheckins").exit_code == 0


def test_backfill_reports_that_no_files_landed(cloud: Cloud) -> None:
    cloud.ingest(b"good", "table=dailycheckins/year=2024/month=4/day=1/f.csv")
    result = run("--table", "dailycheckins")
    assert result.exit_code == 0
    assert result.stdout == "No files of dailycheckins landed for these days.\n"


def test_backfill_shows_progress_bar_on_terminal(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.ingest(b"good", key(1))
    cloud.ingest(b"refused", key(2))
    exit_code, shown = on_terminal(monkeypatch, "backfill", 100, "backfill", *MARCH)
    assert exit_code == 1
    assert re.search(r"2/2 \d:\d\d:\d\d 1 loaded, 1 refused", shown)
    assert "Refused: " in shown
