"""Run Transform and Test on a file, with a folder as staging bucket."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from functions.test.examination import examine
from functions.transform.transformation import transform
from shared import parquet
from shared.contract import Contract
from shared.endings import Outcome
from shared.ingestion import Source
from shared.manifest import FoundManifest
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

    def chunks(self, begin: int = 0) -> Iterator[bytes]:
        yield from (self.body[i : i + self.piece] for i in range(begin, self.size, self.piece))


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
    clean: dict[int, dict[str, Any]] = {}
    for uri in parquet.parts(staging.clean_prefix):
        for *values, line in zip(*parquet.read(uri).to_pydict().values(), strict=True):
            clean[line] = dict(zip(contract.header, values, strict=True))
    rejects = []
    if tested.counts["rowsRejected"] or tested.counts["warnings"]:
        text = Path(staging.rejects).read_text("utf-8")
        rejects = [json.loads(line) for line in text.split("\n") if line]
    report = json.loads(Path(staging.report).read_text("utf-8"))
    return Processed(tested, clean=clean, rejects=rejects, report=report)
