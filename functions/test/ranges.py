"""Tests a large file in ranges, with the same result as `examination.examine`.

First, the keys of all rows are written, and compared across ranges. Then the ranges are tested, and
the results combined.
"""

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from functions.test import sliced
from functions.test.examination import check_rows, upload_rejects, upload_report
from functions.test.profile import ColumnProfile
from functions.test.rejects import CSV_HEADER, RejectFiles
from functions.test.repeats import SLICES, Keys, Repeats, compared, keys_of
from functions.test.report import Report
from functions.test.rules import Judge, comparing, keys_for
from functions.test.staged import RawRows, Staged
from shared import parquet
from shared.content import Content
from shared.contract import Contract
from shared.disk import disk_space
from shared.line_set import LineSet
from shared.parallel import in_parallel
from shared.ranges import ByteRange
from shared.rows import read_range
from shared.staging import Staging
from shared.verdict import Verdict

_ROWS = "rows"
"""The name of the comparison of whole rows; that of a rule is the rule's number."""


@dataclass(frozen=True, slots=True)
class RangedTest:
    """The test of a file that was transformed in `ranges`.

    Each method is one step, of which some are done for each range or group at the same time.
    """

    staging: Staging
    contract: Contract
    ranges: Sequence[ByteRange]

    @property
    def groups(self) -> int:
        """The number of groups into which all keys are divided by hash, so that each is small."""
        return min(len(self.ranges), SLICES)

    def write_keys(self, number: int, transformed: Mapping[str, int]) -> int:
        """Write the keys of a range's rows; return how many rows repeat an earlier one in it."""
        own = self.staging.of_range(number)
        with disk_space(), tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            finders = {name: Repeats(folder / name) for name in self._comparisons}
            clean = Staged(own, transformed).clean
            for found in in_parallel(lambda _, uri: self._keys(parquet.read(uri)), clean):
                for name, keys in found.items():
                    finders[name].add(keys)
            for name, finder in finders.items():
                file = folder / "sliced"
                sliced.write(finder.firsts(), SLICES, file)
                parquet.upload(file, _keys_of(own, name))
                file.write_bytes(bytes(finder.lines))
                parquet.upload(file, _repeats_in(own, name))
            return len(finders[_ROWS].lines)

    def compare(self, group: int) -> int:
        """Find the rows of a group that repeat one of an earlier range; return their number."""
        found = {}
        begin, end = (SLICES * (group + more) // self.groups for more in (0, 1))
        for name in self._comparisons:
            uris = (_keys_of(self.staging.of_range(each.number), name) for each in self.ranges)
            keys = [sliced.read(uri, begin, end).reshape(-1, 2) for uri in uris]
            _, lines = compared(np.concatenate(keys))
            lines.sort()
            bounds = np.searchsorted(lines, [each.line for each in self.ranges[1:]])
            with disk_space(), tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "sliced")
                sliced.write(np.split(lines, bounds), len(self.ranges), file)
                parquet.upload(file, _repeats_across(self.staging, name, group))
            found[name] = len(lines)
        return found[_ROWS]

    def examine(
        self,
        number: int,
        transformed: Mapping[str, int],
        content: Content,
        now: dt.datetime,
        refused_parts: int = 0,
    ) -> dict[str, int]:
        """Do what `examination.examine` does with one range; return the counts of its verdict."""
        own, contract = self.staging.of_range(number), self.contract
        parquet.delete(own.failed_tests_prefix)
        report = Report.of(contract, transformed)
        repeating = {each: self._repeating(number, str(each)) for each in comparing(contract)}
        with disk_space(), tempfile.TemporaryDirectory() as folder:
            files = RejectFiles(Path(folder), own.ingestion.source)
            check_rows(
                Staged(own, transformed, refused_parts),
                Judge(contract, now, repeating),
                RawRows(lambda: read_range(content, contract, self.ranges[number])),
                report,
                files,
            )
            upload_rejects(files, report, own)
            _upload_counts(report, own, Path(folder))
        return {"rowsRejected": report.rejected, "warnings": report.warnings}

    def combine(self, transformed: Mapping[str, int], repeats: int, *, hard: bool) -> Verdict:
        """Write the rejects and the report of the whole file; return its verdict.

        `repeats` is the number of rows that repeat an earlier one.
        """
        report = Report.of(self.contract, transformed)
        report.profile.repeats = repeats
        stagings = [self.staging.of_range(each.number) for each in self.ranges]
        rejecting = []
        for own, (counts, columns) in zip(stagings, in_parallel(_counts, stagings), strict=True):
            report.add_range(counts, columns)
            if counts["rejected"] or counts["warnings"]:
                rejecting.append(own)
        if rejecting:
            parquet.concatenate([each.rejects for each in rejecting], self.staging.rejects)
            csv = [each.rejects_csv for each in rejecting]
            parquet.concatenate(csv, self.staging.rejects_csv, header=len(CSV_HEADER))
        with tempfile.TemporaryDirectory() as folder:
            upload_report(report, self.staging, Path(folder))
        return report.verdict(hard=hard)

    @property
    def _comparisons(self) -> list[str]:
        return [_ROWS, *map(str, comparing(self.contract))]

    def _keys(self, rows: pa.Table) -> dict[str, Keys]:
        """Return the keys of rows for each comparison."""
        *columns, lines = (column.combine_chunks() for column in rows.columns)
        found = {str(number): keys for number, keys in keys_for(self.contract, rows).items()}
        return found | {_ROWS: keys_of(columns, lines)}

    def _repeating(self, number: int, name: str) -> LineSet:
        """Return the lines of a range that repeat an earlier one."""
        uri = _repeats_in(self.staging.of_range(number), name)
        found = LineSet.of_bytes(b"".join(parquet.lines(uri)))
        for group in range(self.groups):
            across = _repeats_across(self.staging, name, group)
            found.add(sliced.read(across, number, number + 1).view(np.int64))
        return found


def _upload_counts(report: Report, own: Staging, folder: Path) -> None:
    """Write what `_counts` returns."""
    columns = report.profile.columns
    file = folder / "counts.json"
    nulls = {name: each.nulls for name, each in columns.items()}
    file.write_text(json.dumps(report.counts | {"nulls": nulls}), "utf-8")
    parquet.upload(file, f"{own.ranges_prefix}counts.json")
    extremes = pa.table({name: [each.minimum, each.maximum] for name, each in columns.items()})
    parquet.write(extremes, f"{own.ranges_prefix}extremes.parquet")


def _counts(_: int, own: Staging) -> tuple[dict[str, Any], dict[str, ColumnProfile]]:
    """Return the counts of a range's rejects, and its profile."""
    counts = json.loads(b"".join(parquet.lines(f"{own.ranges_prefix}counts.json")))
    extremes = parquet.read(f"{own.ranges_prefix}extremes.parquet").to_pydict()
    nulls = counts.pop("nulls")
    return counts, {name: ColumnProfile(nulls[name], *each) for name, each in extremes.items()}


def _keys_of(staging: Staging, name: str) -> str:
    return f"{staging.ranges_prefix}keys-{name}"


def _repeats_in(staging: Staging, name: str) -> str:
    return f"{staging.ranges_prefix}repeats-{name}"


def _repeats_across(staging: Staging, name: str, group: int) -> str:
    return f"{staging.ranges_prefix}repeats-{name}-{group:03}"
