"""Tests of `tm rejects` and `tm rejects fix` on AWS simulated by moto."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from cli.stack import Stack
from functions.test.rejects import SCHEMA, RejectFiles
from shared.compression import Compression, Packed, Packing, unpack
from shared.endings import State, Status
from shared.grammar import Fault
from shared.ingestion import Ingestion, Source, unmatched_id
from shared.ingestion_log import IngestionLog
from shared.staging import Staging
from tests.fixtures.aws import KEY, LANDING, STAGING, ingestion_of, land, run_of
from tests.fixtures.compression import PACKINGS, packed
from tests.fixtures.operator import one_line, tm
from tests.processing import Pieces

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


HEADER = b"\xef\xbb\xbfuser,timestamp,hours,project\r\n"
BODY = (
    HEADER
    + b"ned,2019-09-27 00:00:00 UTC,1,x\r\n"
    + b",2019-09-27 00:00:00 UTC,lots,x\n"
    + b'=ned,2019-09-27 00:00:00 UTC,"two\r\nlines",x\r\n'
    + "jörg,2019-09-27 00:00:00 UTC,2,x\r\n".encode()
    + b",2019-09-27 00:00:00 UTC,3,last"
)
NO = "[b]no[/b]"
FAILED = [
    (3, "user", None, "required", ",2019-09-27 00:00:00 UTC,lots,x"),
    (3, "hours", "lots", "number", ",2019-09-27 00:00:00 UTC,lots,x"),
    (4, "hours", "two\r\nlines", "number", '=ned,2019-09-27 00:00:00 UTC,"two\r\nlines",x'),
    (7, "user", None, "required", ",2019-09-27 00:00:00 UTC,3,last"),
]


Quarantine = Callable[..., Ingestion]


@pytest.fixture
def quarantined(stack: None, s3: "S3Client", log: IngestionLog, tmp_path: Path) -> Quarantine:
    def quarantine(failed: list[Any], body: bytes = BODY) -> Ingestion:
        """Land `BODY`, write the rejects `failed` as Test does, and log a successful load."""
        ingestion = land(s3, body)
        staging, source, run = Staging(STAGING, ingestion), ingestion.source, run_of(ingestion)
        folder = tmp_path / "quarantine"
        folder.mkdir()
        with RejectFiles(folder, source) as files:
            names = "line", "column", "value", "rule", "raw", "severity", "reason"
            records = [dict(zip(names, [*each, "error", NO], strict=True)) for each in failed]
            files.write(files.lines_of(pa.Table.from_pylist(records, schema=SCHEMA)))
        for path, uri in ((files.jsonl, staging.rejects), (files.csv, staging.rejects_csv)):
            key = uri.removeprefix(f"s3://{STAGING}/")
            s3.put_object(Bucket=STAGING, Key=key, Body=path.read_bytes())
        log.open(ingestion, run)
        log.finish(ingestion, run, State.LOAD, Status.SUCCESS, {"rowsRead": 5, "rowsRejected": 3})
        return ingestion

    return quarantine


@pytest.fixture
def ingestion(quarantined: Quarantine) -> Ingestion:
    return quarantined(FAILED)


def test_rejects_shows_records_by_line(ingestion: Ingestion, tmp_path: Path) -> None:
    header, *rows = tm("rejects", ingestion.id).stdout.splitlines()
    assert header.split() == ["line", "column", "value", "rule", "severity", "reason"]
    assert [row.split() for row in rows] == [
        ["3", "user", "–", "required", "error", NO],
        ["3", "hours", "lots", "number", "error", NO],
        ["4", "hours", r"two\r\nlines", "number", "error", NO],
        ["7", "user", "–", "required", "error", NO],
    ]
    records = json.loads(tm("rejects", ingestion.id, "--json").stdout)
    assert [
        tuple(each[name] for name in ("line", "column", "value", "rule", "raw")) for each in records
    ] == FAILED
    result = tm("rejects", ingestion.id, "--csv", tmp_path / "absent" / "out.csv")
    assert one_line(result).endswith("out.csv: No such file or directory.")


def test_rejects_counts_records_beyond_limit(quarantined: Quarantine) -> None:
    failed = [(line, "user", None, "required", "x") for line in range(2, 1250)]
    lines = tm("rejects", quarantined(failed).id).stdout.splitlines()
    assert len(lines) == 1 + 100 + 1
    assert lines[-1] == "… and 1,148 more; --json prints all"


def test_rejects_explains_missing_rejects(
    stack: None, s3: "S3Client", log: IngestionLog, tmp_path: Path
) -> None:
    ingestion = land(s3, BODY)
    log.open(ingestion, run_of(ingestion))
    assert tm("rejects", ingestion.id).stdout == (
        f"Ingestion {ingestion.id} has no rejects yet: it is running in trigger.\n"
    )
    log.finish(ingestion, run_of(ingestion), State.TRANSFORM, Status.FAIL, {}, "the file is empty")
    assert_no_rejects(ingestion.id, "transform: fail: the file is empty", tmp_path)


def test_rejects_of_rejected_key_are_empty(stack: None, log: IngestionLog, tmp_path: Path) -> None:
    source = Source(LANDING, "stray.csv", "v1", 1)
    log.reject(source, "fits no contract")
    assert_no_rejects(unmatched_id(source), "trigger: rejected: fits no contract", tmp_path)


def assert_no_rejects(ingested_id: str, outcome: str, folder: Path) -> None:
    """Assert that each command reports that an ingestion has no rejects."""
    why = f"Ingestion {ingested_id} has no rejects. Its outcome is {outcome}."
    assert tm("rejects", ingested_id, "--csv", folder / "out.csv").stdout == f"{why}\n"
    assert tm("rejects", ingested_id, "--json").stdout == "[]\n"
    fixed = tm("rejects", "fix", ingested_id, corrected(folder, (3, "x")))
    assert one_line(fixed) == f"tm: {why}"


def corrected(folder: Path, *rows: tuple[object, object]) -> Path:
    path = folder / "corrected.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("line", "raw"), *rows])
    return path


def newest(s3: "S3Client") -> bytes:
    return s3.get_object(Bucket=LANDING, Key=KEY)["Body"].read()


@pytest.mark.parametrize("packing", [None, *PACKINGS])
def test_fix_replaces_rejected_rows(
    packing: Packing | None, s3: "S3Client", quarantined: Quarantine, tmp_path: Path
) -> None:
    ingestion = quarantined(FAILED, packed(packing, BODY) if packing else BODY)
    out = tmp_path / "out.csv"
    assert tm("rejects", ingestion.id, "--csv", out).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode(), newline="")))
    assert [row["raw"][:5] for row in rows] == [",2019", ",2019", "'=ned", ",2019"]
    # The first record of line 3 stays unchanged: the second has the complete correction.
    rows[1]["raw"] = "anna,2019-09-27 00:00:00 UTC,1.5,x"
    rows[2]["raw"] = rows[2]["raw"].replace('"two\r\nlines"', '"1"')
    with out.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    result = tm("rejects", "fix", ingestion.id, out)

    assert result.exit_code == 0, result.stderr
    found = unpack(Pieces(newest(s3)), Compression())
    assert found.packed == (packing and Packed(packing, "a.csv" if packing == "zip" else ""))
    assert [*found.chunks] == [
        HEADER
        + b"ned,2019-09-27 00:00:00 UTC,1,x\r\n"
        + b"anna,2019-09-27 00:00:00 UTC,1.5,x\n"
        + b'=ned,2019-09-27 00:00:00 UTC,"1",x\r\n'
        + "jörg,2019-09-27 00:00:00 UTC,2,x\r\n".encode()
        + b",2019-09-27 00:00:00 UTC,3,last"
    ]
    version = s3.head_object(Bucket=LANDING, Key=KEY)["VersionId"]
    assert "with 2 corrected rows" in result.stdout
    assert version != ingestion.source.version_id
    renewed = ingestion_of(Source(LANDING, KEY, version, len(newest(s3))))
    assert result.stdout.endswith(f"Ingestion {renewed.id}\n")


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(5, "x,y")], "Line 5 is not among the rejects of"),
        ([(5, "x"), (3, "y"), (99, "z")], "Lines 5, 99 are not among the rejects of"),
        ([(3, "a,b,c,d"), (3, "a,b,c,e")], "Line 3 has 2 different corrections: keep only one."),
        ([(3, "")], "corrected.csv, line 2: 'raw' is empty, but a correction cannot remove a"),
        ([("9" * 5000, "x")], "corrected.csv, line 2: '999"),
        ([("three", "x")], "corrected.csv, line 2: 'three' is not a line number."),
        ([(3, FAILED[0][4])], "No row is corrected"),
        ([], "No row is corrected"),
        ([(3, "a,b\nc,d")], "The correction of line 3 must be exactly one row."),
        ([(3, "\n")], "The correction of line 3 must be exactly one row."),
        ([(3, 'a,"b')], f"The correction of line 3 cannot be read: {Fault.UNCLOSED}."),
        ([(3, 'a,"b"c')], f"The correction of line 3 cannot be read: {Fault.TEXT_AFTER_QUOTE}."),
        ([(3, "a\rb")], f"The correction of line 3 cannot be read: {Fault.LONE_RETURN}."),
    ],
)
def test_fix_refuses_invalid_correction(
    rows: list[tuple[object, object]],
    complaint: str,
    s3: "S3Client",
    ingestion: Ingestion,
    tmp_path: Path,
) -> None:
    line = one_line(tm("rejects", "fix", ingestion.id, corrected(tmp_path, *rows)))
    assert line.startswith(f"tm: {complaint}")
    assert newest(s3) == BODY


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"line;raw\r\n3;x\r\n", "must be a comma-separated CSV with the columns 'line' and 'raw'"),
        (b"", "its first line has 'nothing'."),
        (b"line,raw\r\n3,\xff\r\n", "is not UTF-8"),
        (b'line,raw\r\n3,"x\r\n', "cannot be read as CSV: unexpected end of data."),
        (b"line,raw\r\n3\r\n", "line 2: 'raw' is empty"),
        (b"raw,line\r\nx\r\n", "line 2: '' is not a line number."),
    ],
)
def test_fix_refuses_unreadable_corrections(
    content: bytes, complaint: str, ingestion: Ingestion, tmp_path: Path
) -> None:
    path = tmp_path / "corrected.csv"
    path.write_bytes(content)
    assert complaint in one_line(tm("rejects", "fix", ingestion.id, path))


def test_fix_ignores_unchanged_unreadable_row(
    s3: "S3Client", quarantined: Quarantine, tmp_path: Path
) -> None:
    long = "x" * (csv.field_size_limit() + 1)
    failed = [*FAILED, (9, "user", long, "quoting", long)]
    path = corrected(tmp_path, (9, long), (3, "a,b,c,d"))
    result = tm("rejects", "fix", quarantined(failed).id, path)
    assert result.exit_code == 0, result.stderr
    assert newest(s3) == BODY.replace(FAILED[0][4].encode(), b"a,b,c,d")


def test_fix_replaces_newer_version_only_with_force(
    s3: "S3Client", ingestion: Ingestion, tmp_path: Path
) -> None:
    land(s3, b"newer")
    call: list[str | Path] = ["rejects", "fix", ingestion.id, corrected(tmp_path, (3, "a,b,c,d"))]
    assert "was uploaded again or deleted after this ingestion" in one_line(tm(*call))
    assert newest(s3) == b"newer"

    assert tm(*call, "--force").exit_code == 0
    assert newest(s3) == BODY.replace(FAILED[0][4].encode(), b"a,b,c,d")


def test_fix_does_not_replace_concurrent_version(
    s3: "S3Client", ingestion: Ingestion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Stack.open

    def open_with_concurrent_upload(folder: Path | None) -> Stack:
        stack = opened(folder)
        head = stack.s3.head_object

        def head_and_upload(**place: str) -> Any:
            answer = head(**place)
            land(s3, b"newer")
            return answer

        monkeypatch.setattr(stack.s3, "head_object", head_and_upload)
        return stack

    monkeypatch.setattr(Stack, "open", open_with_concurrent_upload)
    result = tm("rejects", "fix", ingestion.id, corrected(tmp_path, (3, "a,b,c,d")))
    assert "was uploaded again" in one_line(result)
    assert newest(s3) == b"newer"


def test_fix_does_not_restore_deleted_file(
    s3: "S3Client", ingestion: Ingestion, tmp_path: Path
) -> None:
    s3.delete_object(Bucket=LANDING, Key=KEY)
    call: list[str | Path] = ["rejects", "fix", ingestion.id, corrected(tmp_path, (3, "a,b,c,d"))]
    assert "or deleted after this ingestion" in one_line(tm(*call))
    s3.delete_object(Bucket=LANDING, Key=KEY, VersionId=ingestion.source.version_id)
    assert "upload the file again" in one_line(tm(*call, "--force"))
