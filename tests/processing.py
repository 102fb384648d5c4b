"""Run Transform and Test on a file, with a folder as staging bucket."""

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from functions.test.examination import examine
from functions.test.ranges import RangedTest
from functions.transform.ranged import RangedTransform
from functions.transform.transformation import transform
from shared import parquet
from shared.contract import Contract
from shared.endings import Outcome
from shared.ingestion import Source
from shared.manifest import FoundManifest
from shared.range_notes import RangeNotes
from shared.staging import Staging
from shared.verdict import Verdict
from tests.fixtures.aws import KEY, LANDING, ingestion_of

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Pieces:
    """A content that is read in chunks of `piece` bytes."""

    body: bytes
    piece: int = 2**24

    @property
    def size(self) -> int:
        return len(self.body)

    def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        body = self.body[:end]
        yield from (body[i : i + self.piece] for i in range(begin, len(body), self.piece))


@dataclass(frozen=True)
class Processed:
    """The result for a file: rows by line; a refused file has only a reason."""

    verdict: Verdict
    refused: str | None = None
    clean: dict[int, dict[str, Any]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def rejected(self) -> set[int]:
        """Lines of the rejected rows."""
        return {each["line"] for each in self.rejects if each["severity"] == "error"}

    @property
    def loaded(self) -> dict[int, dict[str, Any]]:
        """Loaded rows with their values, by line."""
        return {line: row for line, row in self.clean.items() if line not in self.rejected}


def process_in_ranges(
    folder: Path,
    body: bytes,
    contract: Contract,
    stretch: int,
    *,
    size: int = 2**24,
    hard: bool = False,
) -> tuple[Processed, int]:
    """Do the same as `process` in ranges of about `stretch` bytes; return also their number."""
    staging = Staging(folder, ingestion_of(Source(LANDING, KEY, "version", len(body))))
    ranged = RangedTransform(Pieces(body, size), contract, staging)
    planned = ranged.plan(stretch)
    if planned.outcome == Outcome.REFUSED or planned.counts["stretches"] == 0:
        return process(folder, body, contract, size=size, hard=hard), 0
    for number in range(planned.counts["stretches"]):
        ranged.scan(number)
    numbers = range(ranged.divide().counts["ranges"])
    counts = [ranged.transform(number) for number in numbers]
    transformed = ranged.combine()
    if transformed.outcome == Outcome.REFUSED:
        return Processed(transformed, refused=transformed.reason), len(numbers)
    test = RangedTest(staging, contract, RangeNotes(staging).ranges)
    repeats = sum(test.write_keys(number, counts[number]) for number in numbers)
    repeats += sum(map(test.compare, range(test.groups)))
    for number in numbers:
        test.examine(number, counts[number], Pieces(body, size + 3), NOW)
    tested = test.combine(transformed.as_result(), repeats, hard=hard)
    stagings = [staging.of_range(number) for number in numbers]
    return _processed(staging, tested, contract, stagings), len(numbers)


def process(
    folder: Path,
    body: bytes,
    contract: Contract,
    *,
    size: int = 2**24,
    hard: bool = False,
    manifest: bytes | None = None,
) -> Processed:
    """Process a file in chunks of `size` bytes at the time `NOW`; overwrites files in `folder`.

    `manifest` is the content of its manifest `control.txt`; None without one.
    """
    staging = Staging(folder, ingestion_of(Source(LANDING, KEY, "version", len(body))))
    vouching = None if manifest is None else FoundManifest("control.txt", Pieces(manifest))
    with mock.patch("shared.content.CHUNK_BYTES", size):  # of unpacked files
        transformed = transform(Pieces(body, size), contract, staging, vouching)
    if transformed.outcome == Outcome.REFUSED:
        return Processed(transformed, refused=transformed.reason)
    # Test may read the file in other chunks than Transform.
    tested = examine(
        staging,
        transformed.as_result(),
        Pieces(body, size + 3),
        contract,
        hard=hard,
        now=NOW,
    )
    return _processed(staging, tested, contract, [staging])


def _processed(
    staging: Staging, tested: Verdict, contract: Contract, stagings: list[Staging]
) -> Processed:
    """Return the result of a file with clean rows in `stagings`."""
    clean: dict[int, dict[str, Any]] = {}
    for uri in itertools.chain.from_iterable(parquet.parts(each.clean_prefix) for each in stagings):
        for *values, line in zip(*parquet.read(uri).to_pydict().values(), strict=True):
            clean[line] = dict(zip(contract.header, values, strict=True))
    rejects = []
    if tested.counts["rowsRejected"] or tested.counts["warnings"]:
        text = Path(staging.rejects).read_text("utf-8")
        rejects = [json.loads(line) for line in text.split("\n") if line]
    report = json.loads(Path(staging.report).read_text("utf-8"))
    return Processed(tested, clean=clean, rejects=rejects, report=report)
