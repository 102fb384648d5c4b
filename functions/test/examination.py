"""Tests the rows of an ingestion against the contract; writes rejects and a report."""

import bisect
import datetime as dt
import heapq
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.rejects import Reject, RejectFiles
from functions.test.report import Report
from functions.test.rules import Judge, Violation
from shared import parquet
from shared.compression import unpack
from shared.content import Content
from shared.contract import Contract
from shared.endings import Outcome
from shared.errors import SourceUnreadable, StagingIncomplete
from shared.ingestion import Source
from shared.rows import Rows, read_table
from shared.staging import Staging, part_name
from shared.verdict import Refusal, Verdict

BATCH = 10_000
"""Rejects in memory at a time."""


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
    """
    parquet.delete(staging.failed_tests_prefix)
    now = now or dt.datetime.now(dt.UTC)
    report = Report(
        contract,
        transformed["rowsRead"],
        empty_rows=transformed.get("emptyRows", 0),
        footer_lines=transformed.get("footerLines", 0),
        totals_verified=transformed.get("totalsVerified", 0),
    )
    rejects = heapq.merge(
        _suspects(staging, transformed),
        _failures(
            staging,
            transformed,
            report,
            (Judge(contract, now), _Refusals(staging, refused_parts)),
            _RawRows(content, contract),
        ),
        key=lambda reject: reject.line,
    )
    with tempfile.TemporaryDirectory() as folder:
        with RejectFiles(Path(folder)) as files:
            while batch := list(itertools.islice(rejects, BATCH)):
                report.add(batch)
                files.write(batch)
        _upload(files, report, staging)
    counts = {
        "rowsRead": report.rows_read,
        "rowsRejected": report.rejected,
        "warnings": report.warnings,
    }
    if report.halts or (hard and report.rejected):
        return Verdict(Outcome.FAILED_TESTS, report.summary, counts)
    return Verdict(Outcome.OK, counts=counts)


def _suspects(staging: Staging, transformed: dict[str, Any]) -> Iterator[Reject]:
    rows = 0
    for uri in _parts(staging.suspect_prefix, transformed["suspectParts"]):
        suspects = parquet.read(uri).to_pylist()
        rows += len({each["line"] for each in suspects})
        for each in suspects:
            yield _reject(staging.ingestion.source, severity="error", **each)
    _check("suspect rows", staging.suspect_prefix, rows, transformed["rowsSuspect"])


def _failures(
    staging: Staging,
    transformed: dict[str, Any],
    report: Report,
    judges: "tuple[Judge, _Refusals]",
    raw: "_RawRows",
) -> Iterator[Reject]:
    rows = 0
    for uri in _parts(staging.clean_prefix, transformed["parts"]):
        part = parquet.read(uri)
        rows += len(part)
        report.profile.add(part)
        violations = itertools.chain.from_iterable(judge.violations(part) for judge in judges)
        found = sorted(violations, key=lambda violation: violation.line)
        texts = raw.of(sorted({each.line for each in found}))
        for each in found:
            yield _reject(staging.ingestion.source, raw=texts[each.line], **asdict(each))
    _check("clean rows", staging.clean_prefix, rows, transformed["rowsClean"])


def _parts(prefix: str, expected: int) -> list[str]:
    uris = parquet.parts(prefix)
    _check("parts", prefix, len(uris), expected)
    return uris


def _check(what: str, prefix: str, found: int, expected: int) -> None:
    if found != expected:
        raise StagingIncomplete(
            f"{prefix} has {found} {what}, but Transform wrote {expected}; replay the ingestion"
        )


def _reject(source: Source, **fields: Any) -> Reject:
    return Reject(sourceKey=source.key, versionId=source.version_id, **fields)


class _Refusals:
    """The clean rows that PostgreSQL refused when Load tried."""

    def __init__(self, staging: Staging, parts: int) -> None:
        read = [parquet.read(staging.refused_prefix + part_name(part)) for part in range(parts)]
        self._rows = pa.concat_tables(read) if read else None

    def violations(self, rows: pa.Table) -> Iterator[Violation]:
        """Yield a violation for each refused row of a part."""
        if self._rows is None:
            return
        refused = self._rows.filter(pc.is_in(self._rows["line"], rows["line"]))
        for each in refused.to_pylist():
            reason = f"PostgreSQL refuses the row: {each['reason']}"
            yield Violation(each["line"], None, None, "database", "error", reason)


class _RawRows:
    """The raw text of rows. Callers ask in ascending order, because the file is streamed."""

    def __init__(self, content: Content, contract: Contract) -> None:
        self._batches = self._read(content, contract)
        self._rows: Rows | None = None

    def of(self, lines: list[int]) -> dict[int, str]:
        """Return the raw text of the rows that begin at these lines."""
        found: dict[int, str] = {}
        while missing := lines[len(found) :]:
            rows = self._reaching(missing[0])
            numbers = rows.lines.to_numpy()
            here = missing[: bisect.bisect_right(missing, numbers[-1])]
            texts = rows.raw_texts(np.searchsorted(numbers, here))
            found |= zip(here, texts.to_pylist(), strict=True)
        return found

    def _reaching(self, line: int) -> Rows:
        while self._rows is None or not pc.any(pc.greater_equal(self._rows.lines, line)).as_py():
            self._rows = next(self._batches, None)
            if self._rows is None:
                raise SourceUnreadable(
                    f"the landed file has no row at line {line}, but Transform read one; "
                    "replay the ingestion"
                )
        return self._rows

    @staticmethod
    def _read(content: Content, contract: Contract) -> Iterator[Rows]:
        table = read_table(unpack(content, contract.compression).chunks, contract)
        if isinstance(table, Refusal):
            return
        for chunk in table.chunks:
            if isinstance(chunk, Refusal):
                return
            yield chunk()


def _upload(files: RejectFiles, report: Report, staging: Staging) -> None:
    summary = files.jsonl.with_name("report.json")
    summary.write_text(json.dumps(report.as_json(), ensure_ascii=False, indent=2), "utf-8")
    if report.rejected or report.warnings:
        parquet.upload(files.jsonl, staging.rejects)
        parquet.upload(files.csv, staging.rejects_csv)
    parquet.upload(summary, staging.report)
