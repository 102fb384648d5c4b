"""Watch finds landed files: those of recent days in every call, all others once a day."""

import datetime as dt
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from functions.watch import landed, reconciliation
from functions.watch.handler import handler
from functions.watch.landed import SWEEP, Landed, Sweep
from shared.endings import Status
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from shared.odcs import load_all
from tests.fixtures.aws import LANDING, lambda_context, land, landed_at

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TODAY = dt.datetime.now(dt.UTC).date()
OLD = "table=dailycheckins/year=2023/month=1/day=1"


@pytest.fixture(autouse=True)
def _machine(state_machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state machine, and no grace period."""
    monkeypatch.setattr(reconciliation, "GRACE", dt.timedelta(seconds=-5))


def watch() -> tuple[int, int, bool]:
    """Run watch; return the lost files, the swept pages, and whether the sweep is finished."""
    found = handler({}, lambda_context())
    return found["lost"], found["sweptPages"], bool(found["sweepFinished"])


@pytest.fixture
def swept(s3: "S3Client") -> None:
    """A landing bucket with a finished sweep."""
    assert watch() == (0, 1, True)
    assert watch() == (0, 0, True)


@pytest.fixture
def pages_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of two versions, and sweep steps of one list."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    monkeypatch.setattr(landed, "PAGES", 1)


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize("days", range(-2, 2))
def test_watch_lists_recent_days_in_every_call(days: int, s3: "S3Client") -> None:
    key = LandingKey("projectbudgets", TODAY + dt.timedelta(days=days), "f.csv")
    land(s3, b"x", str(key))

    assert watch() == (1, 0, True)


@pytest.mark.usefixtures("swept")
def test_watch_starts_lost_file_of_pattern_with_day_of_landing(
    s3: "S3Client", log: IngestionLog
) -> None:
    landed = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    landed_at(s3, "erp/budgets.csv", landed)
    s3.put_object(Bucket=LANDING, Key="erp/budgets.csv.tmp", Body=b"x")

    assert watch() == (1, 0, True)

    [item] = log.with_status(Status.RUNNING)
    assert item["dataDate"] == f"{landed.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d}"
    assert item["ingestedID"].startswith("landed-")
    assert watch() == (0, 0, True)


def test_recent_lists_every_spelling_of_a_day_and_prefix_of_patterns(s3: "S3Client") -> None:
    now = dt.datetime(2024, 3, 3, 12, tzinfo=dt.UTC)
    days = [(month, day) for month in ("3", "03") for day in ("1", "01", "4", "04")]
    recent = {f"table=t/year=2024/month={month}/day={day}/f.csv" for month, day in days}
    others = {f"table=t/year=2024/month=3/day={day}/f.csv" for day in ("5", "10", "30")}
    recent |= {"erp/budgets.csv", "erp/budgets/no file of the table"}
    for key in recent | others | {f"{OLD}/f.csv", "nonsense", "erp/b"}:
        landed_at(s3, key, now - dt.timedelta(hours=1))
    landed_at(s3, "table=t/year=2024/month=3/day=2/f.csv", now - dt.timedelta(days=3))

    contracts = {"t": load_all()["projectbudgets"]}
    assert {each.key for each in Landed(s3, LANDING, now).recent(contracts)} == recent
    within = Landed(s3, LANDING, now, ("erp/budgets.", "table=x/")).recent(contracts)
    assert {each.key for each in within} == {"erp/budgets.csv"}


@pytest.mark.usefixtures("swept")
def test_sweep_finds_old_days_and_malformed_keys(
    s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(s3, b"x", f"{OLD}/f.csv")
    s3.put_object(Bucket=LANDING, Key="nonsense", Body=b"x")

    assert watch() == (0, 0, True)
    monkeypatch.setattr(landed, "EVERY", dt.timedelta(0))
    assert watch() == (1, 1, True)

    for status in (Status.RUNNING, Status.REJECTED):
        assert [item["foundBy"] for item in log.with_status(status)] == ["watch"]


@pytest.mark.usefixtures("pages_of_two")
def test_sweep_continues_after_last_step(s3: "S3Client", log: IngestionLog) -> None:
    ingestions = [land(s3, b"x", f"{OLD}/{name}.csv") for name in "abcdefg"]

    steps = list(itertools.takewhile(lambda step: not step[2], iter(watch, None)))

    assert len(steps) > 3
    assert all(pages == 1 for _, pages, _ in steps)
    assert all(log.get(each.id, each.table) for each in ingestions)
    assert watch() == (0, 0, True)


@pytest.mark.usefixtures("pages_of_two")
def test_sweep_passes_key_with_many_versions(s3: "S3Client", log: IngestionLog) -> None:
    keys = [f"{OLD}/{name}.csv" for name in "abbbbbbbc"]
    ingestions = [land(s3, b"x", key) for key in keys]
    s3.delete_object(Bucket=LANDING, Key=keys[-1])

    while not watch()[2]:
        pass

    assert all(log.get(each.id, each.table) for each in ingestions)


@pytest.mark.usefixtures("pages_of_two")
@pytest.mark.parametrize("prefixes", [["a/", "a0", "c/d"], [""], ["x/"], ["c/d", "x/"]])
def test_sweep_lists_only_keys_with_a_prefix(
    prefixes: list[str], s3: "S3Client", log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDING_PREFIXES", json.dumps(prefixes))
    keys = ["a", "a/1", "a/2", "a/3", "a0", "b/1", "c", "c/d", "c/d/e", "c/d/f", "c/e"]
    for key in keys * 2:
        s3.put_object(Bucket=LANDING, Key=key, Body=b"x")

    for _ in range(40):
        if watch()[2]:
            break

    found = [item["sourceKey"] for item in log.with_status(Status.REJECTED)]
    assert Counter(found) == Counter(key for key in keys * 2 if key.startswith(tuple(prefixes)))
    assert watch() == (0, 0, True)


def test_sweep_ends_if_its_prefixes_change(s3: "S3Client") -> None:
    """All keys of the new prefixes may be before the last key of the earlier step."""
    s3.put_object(Bucket=LANDING, Key="a/1", Body=b"x")

    [page] = Landed(s3, LANDING, dt.datetime.now(dt.UTC), ("a/",)).after("z/1")

    assert page["IsTruncated"] is False


def test_sweep_step_ends_in_time(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    monkeypatch.setattr(landed, "SECONDS", 0.0)
    for name in "abcdef":
        land(s3, b"x", f"{OLD}/{name}.csv")

    assert watch()[1:] == (1, False)


@pytest.mark.usefixtures("pages_of_two")
def test_sweep_repeats_interrupted_step(s3: "S3Client", log: IngestionLog) -> None:
    for name in "abcd":
        land(s3, b"x", f"{OLD}/{name}.csv")
    now = dt.datetime.now(dt.UTC)

    def step() -> Iterator[list[Any]]:
        return Sweep(log, Landed(s3, LANDING, now)).step()

    begun = next(step())

    assert next(step()) == begun
    assert [each.key[-5:] for each in begun] == ["a.csv", "b.csv"]


@pytest.mark.usefixtures("pages_of_two")
def test_concurrent_sweep_steps_skip_no_version(s3: "S3Client", log: IngestionLog) -> None:
    for name in "abcdef":
        land(s3, b"x", f"{OLD}/{name}.csv")
    now = dt.datetime.now(dt.UTC)
    seen: Counter[str] = Counter()
    for _ in range(9):
        both = [Sweep(log, Landed(s3, LANDING, now)) for _ in range(2)]
        for pages in itertools.zip_longest(*(each.step() for each in both), fillvalue=[]):
            seen.update(source.key[-5] for page in pages for source in page)
        if all(each.finished for each in both):
            break

    assert seen.keys() == set("abcdef")
    assert watch()[1:] == (0, True)


def remembered(log: IngestionLog, started: dt.datetime) -> None:
    """Save a finished sweep that started at `started`."""
    progress = landed.Progress.begin(started, None)
    log.save_progress(SWEEP, progress.as_item() | {"finished": True})


def test_no_file_is_missed_between_two_sweeps(s3: "S3Client", log: IngestionLog) -> None:
    now = dt.datetime.now(dt.UTC)
    began = now - dt.timedelta(days=40)
    remembered(log, began)
    ages = {
        "during the last sweep": began + dt.timedelta(minutes=1),
        "after the last sweep": now - dt.timedelta(days=20),
        "upload started before the last sweep": began - dt.timedelta(days=1),
    }
    found = {landed_at(s3, f"{OLD}/{name}.csv", when) for name, when in ages.items()}
    landed_at(s3, f"{OLD}/listed by the last sweep.csv", began - dt.timedelta(days=3))

    assert watch() == (3, 1, True)

    items = log.with_status(Status.RUNNING)
    assert {item["versionId"] for item in items} == {each.version_id for each in found}


def test_sweep_starts_once_a_day(s3: "S3Client", log: IngestionLog) -> None:
    now = dt.datetime.now(dt.UTC)
    remembered(log, now - dt.timedelta(hours=23))
    assert watch()[1] == 0
    remembered(log, now - dt.timedelta(hours=25))
    assert watch()[1] == 1


def test_watch_rejects_object_without_version(s3: "S3Client", log: IngestionLog) -> None:
    """A second object under the same key is a different file."""
    suspended: Any = {"Status": "Suspended"}
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration=suspended)
    key = str(LandingKey("dailycheckins", TODAY, "f.csv"))
    for number in range(2):
        landed_at(s3, key, dt.datetime.now(dt.UTC) - dt.timedelta(hours=number))
        for _ in range(2):
            assert watch()[0] == 0
        items = list(log.with_status(Status.REJECTED))
        assert len(items) == number + 1

    assert all("S3 stored the object without a version" in item["haltReason"] for item in items)
    assert list(log.with_status(Status.RUNNING)) == []
