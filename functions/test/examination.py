"""Tests the rows of an ingestion against the contract; writes rejects and a report."""

import datetime as dt
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.profile import ColumnProfile
from functions.test.rejects import RejectFiles, batches, by_line
from functions.test.repeats import NO_KEYS, Keys, Repeats, keys_of
from functions.test.report import Report
from functions.test.rules import VIOLATIONS, Judge, comparing, keys_for, repeating_lines
from functions.test.staged import RawRows, Staged, StagedRows
from shared import parquet
from shared.compression import unpack
from shared.content import Content
from shared.contract import Contract
from shared.disk import disk_space
from shared.parallel import in_parallel
from shared.rows import read_table
from shared.staging import Staging
from shared.verdict import Verdict


def examine(
    staging: Staging,
    transformed: dict[str, Any],
    content: Content,
    contract: Contract,
    *,
    hard: bool,
    refused_parts: int = 0,
    now: dt.datetime | None = None,
) -> Verdict:
    """Test everything that Transform staged, and write rejects and report to staging.

    The counts of Transform's verdict must match the parts. `content` is the landed file, read
    only if a clean row fails. If `hard`, a rejected row fails the run. `refused_parts`
    is the number of parts with refused rows that Load has staged. `now` is the time for rules about
    the future; by default the current time.

    The verdict is `ok` or `failed_tests` with the counts `rowsRejected` and `warnings`. A failed
    rule on the whole file fails the run even if `hard` is false.

    Raises:
        StagingIncomplete: the number of parts or rows differs from Transform's count.
        SourceUnreadable: the landed file differs from the one that Transform read.
        StagingUnavailable: S3 did not answer.
        DiskFull: the rejects, or the hashes of rows, do not fit into the temporary folder.
    """
    parquet.delete(staging.failed_tests_prefix)
    report = Report.of(contract, transformed)
    staged = Staged(staging, transformed, refused_parts)
    with disk_space(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compared = staged.clean if comparing(contract) else []
        keys = in_parallel(lambda _, uri: keys_for(contract, parquet.read(uri)), compared)
        repeating = repeating_lines(contract, keys, folder)
        judge = Judge(contract, now or dt.datetime.now(dt.UTC), repeating)
        repeats = Repeats(folder / "rows")
        raw = RawRows(lambda: read_table(unpack(content, contract.compression).chunks, contract))
        files = RejectFiles(folder, staging.ingestion.source)
        check_rows(staged, judge, raw, report, files, repeats)
        repeats.settle()
        report.profile.repeats = len(repeats.lines)
        upload_rejects(files, report, staging)
        upload_report(report, staging, folder)
    return report.verdict(hard=hard)


def check_rows(
    staged: Staged,
    judge: Judge,
    raw: RawRows,
    report: Report,
    files: RejectFiles,
    repeats: Repeats | None = None,
) -> None:
    """Test staged rows; write the rejects to `files`, and add what is found to the others."""
    rows = Counter[str]()
    read = in_parallel(lambda _, part: part.read(), staged.parts)
    slices = itertools.chain.from_iterable(each.slices() for each in read)

    def tested_slice(_: int, rows: StagedRows) -> _Tested:
        return _tested(rows, judge, staged.refused, has_keys=repeats is not None)

    def rejects() -> Iterator[pa.Table]:
        for tested in in_parallel(tested_slice, slices):
            rows.update(clean=tested.clean, suspect=tested.suspect)
            report.profile.add(tested.columns)
            if repeats is not None:
                repeats.add(tested.keys)
            failed = tested.failed
            failed = failed.append_column("raw", raw.of(failed["line"].to_numpy()))
            failed = failed.append_column("rawBase64", pa.nulls(len(failed), pa.string()))
            yield from batches(by_line([tested.suspects, failed]))

    with files:
        for batch, lines in in_parallel(lambda _, each: (each, files.lines_of(each)), rejects()):
            report.add(batch)
            files.write(lines)
    staged.check(rows)


@dataclass(frozen=True, slots=True)
class _Tested:
    """What Test found in some rows: their numbers, profiles, keys, and failed rules."""

    clean: int
    suspect: int
    columns: dict[str, ColumnProfile]
    keys: Keys
    failed: pa.Table
    suspects: pa.Table


def _tested(rows: StagedRows, judge: Judge, refused: pa.Table, *, has_keys: bool) -> _Tested:
    suspect = int(np.count_nonzero(np.diff(rows.suspects["line"].to_numpy(), prepend=0)))
    if rows.clean is None:
        return _Tested(0, suspect, {}, NO_KEYS, VIOLATIONS.empty_table(), rows.suspects)
    *columns, lines = (column.combine_chunks() for column in rows.clean.columns)
    # The profile, the keys and the rules each need a text that repeats only once.
    columns = [
        each.dictionary_encode() if pa.types.is_string(each.type) else each for each in columns
    ]
    encoded = pa.table([*columns, lines], rows.clean.column_names)
    refused = refused.filter(pc.is_in(refused["line"], lines))
    return _Tested(
        len(lines),
        suspect,
        dict(zip(encoded.column_names, map(ColumnProfile.of, columns), strict=False)),
        keys_of(columns, lines) if has_keys else NO_KEYS,
        by_line([judge.violations(encoded), refused]),
        rows.suspects,
    )


def upload_rejects(files: RejectFiles, report: Report, staging: Staging) -> None:
    """Write rejects to staging, if there are any."""
    if report.rejected or report.warnings:
        parquet.upload(files.jsonl, staging.rejects)
        parquet.upload(files.csv, staging.rejects_csv)


def upload_report(report: Report, staging: Staging, folder: Path) -> None:
    """Write a report to staging; `folder` is for temporary files."""
    file = folder / "report.json"
    file.write_text(json.dumps(report.as_json(), ensure_ascii=False, indent=2), "utf-8")
    parquet.upload(file, staging.report)
