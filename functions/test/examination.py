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
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.profile import ColumnProfile
from functions.test.rejects import SCHEMA, RejectFiles, batches, by_line, repeated
from functions.test.repeats import NO_KEYS, Keys, Repeats, keys_of
from functions.test.report import Report
from functions.test.rules import VIOLATIONS, Judge
from shared import parquet
from shared.compression import unpack
from shared.content import Content
from shared.contract import Contract
from shared.disk import disk_space
from shared.endings import Outcome
from shared.errors import SourceUnreadable, StagingIncomplete
from shared.parallel import in_parallel
from shared.rows import REPEATED, Rows, read_table
from shared.staging import Staging, part_name
from shared.verdict import Refusal, Verdict

_VALUES = 2**19
"""Values tested at a time, at least a row."""
_REFUSED = pa.schema([("line", pa.int64()), ("reason", pa.string())])


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
    now = now or dt.datetime.now(dt.UTC)
    report = Report(
        contract,
        transformed["rowsRead"],
        empty_rows=transformed.get("emptyRows", 0),
        footer_lines=transformed.get("footerLines", 0),
        totals_verified=transformed.get("totalsVerified", 0),
    )
    parts = _parts(staging, transformed)
    refused = _refused(staging, refused_parts)
    raw = _RawRows(content, contract)
    rows = Counter[str]()
    with disk_space(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judge, repeats = Judge(contract, now, folder), Repeats(folder / "rows")
        if judge.compares:
            clean = [part.clean for part in parts if part.clean is not None]
            judge.compare(in_parallel(lambda _, uri: judge.keys(parquet.read(uri)), clean))
        with RejectFiles(folder, staging.ingestion.source) as files:
            slices = itertools.chain.from_iterable(map(_slices, in_parallel(_read, parts)))

            def rejects() -> Iterator[pa.Table]:
                for tested in in_parallel(lambda _, rows: _tested(rows, judge, refused), slices):
                    rows.update(clean=tested.clean, suspect=tested.suspect)
                    report.profile.add(tested.columns)
                    repeats.add(tested.keys)
                    failed = tested.failed
                    failed = failed.append_column("raw", raw.of(failed["line"].to_numpy()))
                    failed = failed.append_column("rawBase64", pa.nulls(len(failed), pa.string()))
                    yield from batches(by_line([tested.suspects, failed]))

            for batch, lines in in_parallel(
                lambda _, each: (each, files.lines_of(each)), rejects()
            ):
                report.add(batch)
                files.write(lines)
        _check("clean rows", staging.clean_prefix, rows["clean"], transformed["rowsClean"])
        _check("suspect rows", staging.suspect_prefix, rows["suspect"], transformed["rowsSuspect"])
        repeats.settle()
        report.profile.repeats = repeats.count
        _upload(files, report, staging)
    counts = {
        "rowsRead": report.rows_read,
        "rowsRejected": report.rejected,
        "warnings": report.warnings,
    }
    if report.halts or (hard and report.rejected):
        return Verdict(Outcome.FAILED_TESTS, report.summary, counts)
    return Verdict(Outcome.OK, counts=counts)


@dataclass(frozen=True, slots=True)
class _Part:
    """The URIs of the clean and of the suspect rows of one chunk of the file; None without such."""

    clean: str | None
    suspect: str | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Consecutive rows of the file: clean ones, and problems of suspect ones (`SCHEMA`)."""

    clean: pa.Table | None
    suspects: pa.Table


@dataclass(frozen=True, slots=True)
class _Tested:
    """What Test found in some rows: their numbers, profiles, keys, and failed rules."""

    clean: int
    suspect: int
    columns: dict[str, ColumnProfile]
    keys: Keys
    failed: pa.Table
    suspects: pa.Table


def _read(_: int, part: _Part) -> _Rows:
    clean = None if part.clean is None else parquet.read(part.clean)
    if part.suspect is None:
        return _Rows(clean, SCHEMA.empty_table())
    found = parquet.read(part.suspect)
    raw = found["raw"].dictionary_encode().combine_chunks()
    found = found.drop_columns("raw").append_column("raw", raw)
    found = found.append_column("severity", repeated("error", len(found)))
    return _Rows(clean, found.select(SCHEMA.names))


def _slices(rows: _Rows) -> Iterator[_Rows]:
    """Divide the rows of a part, because each value may fail a rule."""
    if rows.clean is None:
        yield rows
        return
    size = max(1, _VALUES // len(rows.clean.column_names))
    begins = range(0, len(rows.clean), size)
    firsts = rows.clean["line"].to_numpy()[begins[1:]]
    bounds = np.searchsorted(rows.suspects["line"].to_numpy(), firsts).tolist()
    for begin, (start, end) in zip(
        begins, itertools.pairwise([0, *bounds, len(rows.suspects)]), strict=True
    ):
        yield _Rows(rows.clean.slice(begin, size), rows.suspects.slice(start, end - start))


def _tested(rows: _Rows, judge: Judge, refused: pa.Table) -> _Tested:
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
        keys_of(columns, lines),
        by_line([judge.violations(encoded), refused]),
        rows.suspects,
    )


def _parts(staging: Staging, transformed: dict[str, Any]) -> list[_Part]:
    """Return the parts in the order of the file."""
    prefixes = staging.suspect_prefix, staging.clean_prefix
    suspect, clean = (
        {uri.rpartition("/")[2]: uri for uri in parquet.parts(prefix)} for prefix in prefixes
    )
    _check("parts", staging.suspect_prefix, len(suspect), transformed["suspectParts"])
    _check("parts", staging.clean_prefix, len(clean), transformed["parts"])
    return [_Part(clean.get(name), suspect.get(name)) for name in sorted({*clean, *suspect})]


def _check(what: str, prefix: str, found: int, expected: int) -> None:
    if found != expected:
        raise StagingIncomplete(
            f"{prefix} has {found} {what}, but Transform wrote {expected}; replay the ingestion"
        )


def _refused(staging: Staging, parts: int) -> pa.Table:
    """Return the clean rows that PostgreSQL refused when Load tried, as violations."""
    read = [parquet.read(staging.refused_prefix + part_name(part)) for part in range(parts)]
    rows = pa.concat_tables([_REFUSED.empty_table(), *read])
    reason = pc.binary_join_element_wise("PostgreSQL refuses the row: ", rows["reason"], "")
    return pa.table(
        {
            "line": rows["line"],
            "column": pa.nulls(len(rows), REPEATED),
            "value": pa.nulls(len(rows), pa.string()),
            "rule": repeated("database", len(rows)),
            "severity": repeated("error", len(rows)),
            "reason": reason.combine_chunks().dictionary_encode(),
        },
        schema=VIOLATIONS,
    )


class _RawRows:
    """The raw text of rows. Callers ask in ascending order, because the file is streamed."""

    def __init__(self, content: Content, contract: Contract) -> None:
        self._batches = self._read(content, contract)
        self._rows: Rows | None = None

    def of(self, lines: npt.NDArray[np.int64]) -> pa.DictionaryArray:
        """Return the raw texts of the rows that begin at these lines, of which some may repeat."""
        missing, indices = np.unique(lines, return_inverse=True)
        found = [pa.array([], pa.string())]
        while len(missing):
            rows = self._reaching(missing[0])
            numbers = rows.lines.to_numpy()
            here, missing = np.split(missing, np.searchsorted(missing, numbers[-1:], "right"))
            found.append(rows.raw_texts(np.searchsorted(numbers, here)))
        return pa.DictionaryArray.from_arrays(indices.astype(np.int32), pa.concat_arrays(found))

    def _reaching(self, line: np.int64) -> Rows:
        while self._rows is None or not np.any(self._rows.lines.to_numpy()[-1:] >= line):
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
