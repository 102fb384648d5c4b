"""Tests of the commands' arguments, output and errors, on AWS simulated by moto."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import responses

from cli import drop
from shared.endings import State
from shared.ingestion import Ingestion, Source
from shared.ingestion_log import IngestionLog
from shared.landing_key import LandingKey
from tests.fixtures.aws import LANDING, ingestion_of, run_of
from tests.fixtures.contracts import requiring_manifests
from tests.fixtures.operator import (
    API,
    OUTPUTS,
    Cloud,
    deploy,
    have_contracts,
    on_terminal,
    one_line,
    tm,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


MARCH = "--from 2024-03-01 --to 2024-03-31"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "checkins.csv"
    path.write_bytes(b"user,timestamp,hours,project\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("drop FILE --date 03.03.2024", "does not match the format"),
        ("drop FILE --key a --table b", "leave out --table and --date"),
        ("check FILE --table salaries", "no contract for 'salaries'"),
        ("replay", "Missing argument"),
        (
            "status --since yesterday",
            "'yesterday' is not a valid time: write e.g. 24h, 7d, 2024-03-01 or 2026-",
        ),
        ("status --since 2024-13-01", "is not a valid time"),
        ("status --since 99999999999d", "is too long ago"),
        ("status --since 2999-01-01", "is in the future"),
        ("status --since 2024-03-01T00:00:00", "has no time zone"),
        ("status --status failed", "'failed' is not one of"),
        ("status 20240303-0 --status fail", "filters apply to lists only"),
        ("status 20240303-0 --date 2024-03-03", "filters apply to lists only"),
        ("backfill --from 2024-03-02 --to 2024-03-01", "2024-03-02 is after --to 2024-03-01"),
        (f"backfill {MARCH} --concurrency 0", "greater than or equal to 1"),
        (f"backfill {MARCH} --resume yesterday", "'yesterday' is not a valid time"),
        (f"backfill {MARCH} --resume 2024-03-03T19:00:00", "has no time zone"),
        (f"backfill {MARCH} --resume 2999-03-03T19:00:00Z", "is in the future"),
    ],
)
def test_invalid_arguments_are_usage_errors(arguments: str, complaint: str) -> None:
    words = [__file__ if word == "FILE" else word for word in arguments.split()]
    result = tm(*words)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("command", [f"drop {__file__}", f"backfill {MARCH}", "smoke"])
def test_unknown_table_is_usage_error(command: str) -> None:
    result = tm(*command.split(), "--table", "salaries")
    assert result.exit_code == 2
    shown = " ".join(result.stderr.replace("│", "").split())
    assert "no contract for 'salaries'; contracts exist for dailycheckins, projectbudgets" in shown


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("command", ["status", "replay", "rejects", "rejects fix"])
def test_unknown_id_is_reported_in_one_line(command: str) -> None:
    file = [__file__] if "fix" in command else []
    assert one_line(tm(*command.split(), "20240101-0", *file)) == (
        "tm: The log has no ingestion 20240101-0: list ingestions with `tm status`."
    )


def test_stack_folder_without_outputs_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, {"region": "eu-west-1"}, monkeypatch)
    assert "Terraform has no outputs of a stack in" in one_line(tm("status"))


def test_terraform_failure_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(tmp_path, {}, monkeypatch)
    (tmp_path / "terraform").write_text("#!/bin/sh\nprintf '\\nError: No backend\\n' >&2; exit 1\n")
    assert one_line(tm("status")).endswith(f"`terraform output` failed in {tmp_path}: No backend")


@pytest.mark.usefixtures("stack")
def test_stack_accepts_outputs_of_root_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, {"pipeline": OUTPUTS, "other": "thing"}, monkeypatch)
    assert tm("status", "--json").stdout == "[]\n"


def test_aws_error_is_reported_in_one_line(
    tmp_path: Path, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path, OUTPUTS, monkeypatch)
    assert one_line(tm("status")).startswith("tm: AWS: ")


@pytest.mark.usefixtures("stack")
def test_drop_uploads_file_under_landing_key(s3: "S3Client", file: Path) -> None:
    result = tm("drop", file, "--date", "2024-03-03")
    assert result.exit_code == 0, result.stderr
    key = "table=dailycheckins/year=2024/month=3/day=3/checkins.csv"
    stored = s3.get_object(Bucket=LANDING, Key=key)
    assert stored["Body"].read() == file.read_bytes()
    source = Source(LANDING, key, stored["VersionId"], file.stat().st_size)
    assert ingestion_of(source).id in result.stdout


@pytest.mark.usefixtures("stack")
def test_drop_uses_today_by_default(s3: "S3Client", file: Path) -> None:
    days = {time.strftime("%Y/%m/%d", time.gmtime())}
    tm("drop", file)
    days.add(time.strftime("%Y/%m/%d", time.gmtime()))
    [stored] = s3.list_objects_v2(Bucket=LANDING)["Contents"]
    key = LandingKey.parse(stored["Key"])
    assert key is not None
    assert f"{key.date:%Y/%m/%d}" in days


@pytest.mark.usefixtures("stack")
def test_drop_uploads_with_key_of_pattern(s3: "S3Client", file: Path) -> None:
    result = tm("drop", file, "--key", "erp/budgets.csv")

    stored = s3.head_object(Bucket=LANDING, Key="erp/budgets.csv")
    source = Source(LANDING, "erp/budgets.csv", stored["VersionId"], 1, stored["LastModified"])
    assert ingestion_of(source).id in result.stdout


@pytest.mark.usefixtures("stack")
def test_drop_uploads_manifest(
    s3: "S3Client", file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "any name"
    manifest.write_text("complete")
    both = ("drop", file, "--date", "2024-03-03", "--manifest", manifest)
    assert "the contract of dailycheckins has no manifest" in one_line(tm(*both))
    have_contracts(requiring_manifests(), monkeypatch)

    result = tm(*both)

    assert result.exit_code == 0, result.stderr
    key = "table=dailycheckins/year=2024/month=3/day=3/checkins.csv"
    needs = f"The file needs its manifest s3://{LANDING}/{key}.ctl; "
    assert needs not in result.stdout
    assert needs in tm(*both[:-2]).stdout
    listed = s3.list_objects_v2(Bucket=LANDING)["Contents"]
    assert {each["Key"]: each["Size"] for each in listed} == {
        key: file.stat().st_size,
        f"{key}.ctl": len("complete"),
    }
    assert f"{key}.ctl is a manifest of dailycheckins: upload it with its file by --manifest" in (
        one_line(tm("drop", file, "--key", f"{key}.ctl"))
    )


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("erp/salaries.csv", "no pattern in the `keys` of a contract matches it."),
        ("erp/.budgets.csv", "erp/.budgets.csv would be ignored, like _SUCCESS, names that begin"),
    ],
)
def test_drop_uploads_nothing_with_other_key(
    key: str, reason: str, s3: "S3Client", file: Path
) -> None:
    line = one_line(tm("drop", file, "--key", key))

    assert "Nothing was uploaded: " in line
    assert reason in line
    assert s3.list_objects_v2(Bucket=LANDING)["KeyCount"] == 0


@pytest.mark.usefixtures("stack")
def test_drop_reports_bucket_without_versioning(s3: "S3Client", file: Path) -> None:
    suspended: Any = {"Status": "Suspended"}
    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration=suspended)

    line = one_line(tm("drop", file, "--date", "2024-03-03", "--follow"))

    assert "The pipeline will reject s3://" in line
    assert "day=3/checkins.csv: S3 stored the object without a version" in line
    assert "upload the file again after that time" in line


def after_upload(monkeypatch: pytest.MonkeyPatch, action: Callable[[Ingestion], object]) -> None:
    """Call `action` with the ingestion of each uploaded file."""
    put = drop.put

    def put_and_act(*arguments: Any) -> Ingestion:
        ingestion = put(*arguments)
        action(ingestion)
        return ingestion

    monkeypatch.setattr(drop, "put", put_and_act)


def test_follow_updates_one_table_on_terminal(
    cloud: Cloud, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_upload(monkeypatch, cloud.take)
    status, shown = on_terminal(monkeypatch, "drop", 100, "drop", file, "--follow")
    assert status == 0
    last = {row[0]: row for line in shown.splitlines() if (row := line.split())}
    statuses = [last[state][1] for state in State]
    assert statuses == ["success", "running", "…", "success"]
    assert last["load"][-6:] == ["10", "read,", "9", "loaded,", "1", "rejected"]


@pytest.mark.usefixtures("stack")
def test_follow_reports_file_that_is_not_ingested(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_STARTS_WITHIN", 0.5)
    assert "trigger has not processed the file" in one_line(tm("drop", file, "--follow"))


@pytest.mark.usefixtures("stack")
def test_follow_reports_run_that_is_never_closed(
    file: Path, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_ENDS_WITHIN", 0.5)
    after_upload(monkeypatch, lambda ingestion: log.open(ingestion, run_of(ingestion)))
    assert "is still running after" in one_line(tm("drop", file, "--follow"))


@pytest.mark.usefixtures("stack")
def test_follow_reports_rejected_key(
    file: Path, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "_ALERT_WITHIN", 0.1)
    after_upload(monkeypatch, lambda each: log.reject(each.source, "no contract there"))
    result = tm("drop", file, "--follow")
    assert result.exit_code == 1
    assert "trigger: rejected" in result.stdout
    assert "Alert: none within" in result.stdout


@pytest.fixture
def api(stack: None) -> Iterator[None]:
    """A simulated lookup API with the registered answers."""
    with responses.mock:
        yield


def row(number: int, hours: str = "1.50") -> dict[str, str]:
    timestamp = f"2019-09-27T00:00:00.{number:06}Z"
    return {"user": "ned", "project": "bizdev", "hours": hours, "timestamp": timestamp}


USER = {"user": "ned"}
ROWS = {"key": "a b&c"}


def answer(parameters: dict[str, str], **response: Any) -> None:
    """Register a response of the API, of the route that the parameters imply."""
    path = "/get" if "user" in parameters else "/tables/projectbudgets/rows"
    match = [
        responses.matchers.query_param_matcher({"limit": "1000"} | parameters),
        responses.matchers.header_matcher({"x-api-key": "the-key"}),
    ]
    responses.get(f"{API}{path}", match=match, **response)


def page(parameters: dict[str, str], rows: list[Any], cursor: str | None = None) -> None:
    """Register a page; `cursor` is that of the next page."""
    answer(parameters, json={"response" if "user" in parameters else "items": rows, "next": cursor})


BOTH = pytest.mark.parametrize(
    ("command", "of"), [(["user", "ned"], USER), (["rows", "projectbudgets", "a b&c"], ROWS)]
)


@pytest.mark.usefixtures("api")
@BOTH
def test_json_joins_all_pages(command: list[str], of: dict[str, str]) -> None:
    page(of, [row(1), row(2)], "more")
    page(of | {"cursor": "more"}, [row(3), {"n": None}])
    assert json.loads(tm(*command, "--json").stdout) == [row(1), row(2), row(3), {"n": None}]


@pytest.mark.usefixtures("api")
@BOTH
def test_lookup_restarts_when_rows_are_replaced(command: list[str], of: dict[str, str]) -> None:
    page(of, [row(1), row(2)], "more")
    answer(of | {"cursor": "more"}, json={"detail": "replaced"}, status=410)
    page(of, [row(3)], "other")
    page(of | {"cursor": "other"}, [row(4)])
    assert json.loads(tm(*command, "--json").stdout) == [row(3), row(4)]


@pytest.mark.usefixtures("api")
def test_user_gives_up_after_ten_attempts() -> None:
    page(USER, [row(1)], "more")
    answer(USER | {"cursor": "more"}, json={"detail": "replaced"}, status=410)
    assert one_line(tm("user", "ned")) == (
        "tm: Files with rows of ned were replaced during each of 10 attempts to read them: try "
        "again when fewer files are being loaded."
    )
    assert len(responses.calls) == 20


@pytest.mark.usefixtures("api")
def test_user_shows_newest_rows_and_sums() -> None:
    page(USER, [row(number) for number in range(1387)])
    lines = tm("user", "ned").stdout.splitlines()
    assert lines[-1] == "ned: 1,387 rows, 2,080.50 h"
    assert "00.001386Z" in lines[1]
    assert len(lines) == 1 + 20 + 2


@pytest.mark.usefixtures("api")
@BOTH
def test_any_columns_are_shown(command: list[str], of: dict[str, str]) -> None:
    rows = [{"project": f"p{n}", "days": n, "open": n % 2 == 0, "note": None} for n in range(25)]
    page(of, rows)
    lines = tm(*command).stdout.splitlines()
    assert lines[0].split() == ["project", "days", "open", "note"]
    assert lines[1].split() == ["p0", "0", "true", "–"]
    assert lines[20].split() == ["p19", "19", "false", "–"]
    assert lines[21:] == ["… the first 20; --json prints all", f"{command[-1]}: 25 rows"]


@pytest.mark.usefixtures("api")
def test_key_without_rows_is_reported() -> None:
    page(USER, [])
    responses.get(f"{API}/tables/a%2Fb/rows", json={"items": [], "next": None})
    assert tm("user", "ned").stdout == "No rows of ned.\n"
    assert tm("rows", "a/b", "x").stdout == "No rows of x.\n"


@pytest.mark.usefixtures("api")
def test_user_retries_while_api_is_unavailable() -> None:
    for _ in range(6):
        responses.get(f"{API}/get", status=503, headers={"Retry-After": "0"})
    page(USER, [row(1)])
    assert json.loads(tm("user", "ned", "--json").stdout) == [row(1)]


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"json": {"message": "Forbidden"}, "status": 403}, "answered 403: Forbidden"),
        ({"json": {"detail": "No key."}, "status": 403}, "answered 403: No key."),
        ({"body": "oops", "status": 500}, "answered 500: oops"),
    ],
)
def test_api_error_is_reported_in_one_line(answer: dict[str, Any], line: str) -> None:
    responses.get(f"{API}/get", **answer)
    assert one_line(tm("user", "ned")) == f"tm: The lookup API {line}"


@pytest.mark.usefixtures("api")
def test_unreachable_api_is_reported_in_one_line() -> None:
    assert one_line(tm("user", "ned")).startswith("tm: The lookup API cannot be reached: ")
