"""Converts a landed file to Parquet parts of clean and suspect rows, without losing a row."""

from collections import Counter
from collections.abc import Iterable

from functions.transform import drift
from functions.transform.casts import Cast, Known, cast
from functions.transform.header import match_header
from functions.transform.totals import Tally, landed, read, verified
from shared import parquet
from shared.compression import unpack
from shared.content import Content
from shared.contract import Contract
from shared.control_totals import Claim, Sum
from shared.endings import Outcome
from shared.file_types import type_of, type_of_text
from shared.frame import FooterCount
from shared.ingestion import Source
from shared.manifest import FoundManifest
from shared.parallel import in_parallel
from shared.rows import Empty, LazyRows, read_table
from shared.staging import Staging, part_name
from shared.verdict import Refusal, Verdict

_COUNTS = ("rowsRead", "rowsClean", "rowsSuspect", "parts", "suspectParts")
_NO_ROWS = "the file has a header but no rows"


def transform(
    content: Content,
    contract: Contract,
    staging: Staging,
    manifest: FoundManifest | None = None,
) -> Verdict:
    """Cast a file by its contract, and write it to staging in parts, one for each chunk.

    Parts of an earlier try are replaced. The verdict is `ok` with the counts `rowsRead`,
    `rowsClean`, `rowsSuspect`, `parts` and `suspectParts`, with `emptyRows` and `footerLines` if
    such were ignored, and with `totalsVerified` if a trailer or the `manifest` has control totals;
    or `refused` if the file as a whole violates the contract.
    """
    parquet.delete(staging.clean_prefix)
    parquet.delete(staging.suspect_prefix)
    claim = _claim(manifest, content, contract, staging.ingestion.source)
    if isinstance(claim, Refusal):
        return Verdict(Outcome.REFUSED, claim.reason)
    file = unpack(content, contract.compression)
    verdict = _transform(file.chunks, contract, staging, Tally(contract, claim))
    kind = type_of(file.start, contract.encoding)
    if kind is None and not contract.by_position:
        kind = type_of_text(file.start, contract.file_format)
    if verdict.outcome == Outcome.REFUSED and kind is not None:
        which = "the unpacked file" if file.packed else "the file"
        return Verdict(Outcome.REFUSED, f"{which} {kind}")
    return verdict


def _claim(
    manifest: FoundManifest | None, content: Content, contract: Contract, source: Source
) -> Claim | Refusal | None:
    """Return what the manifest says of a file; refuse one with another size or hash."""
    if manifest is None or contract.manifest is None:
        return None
    statement = contract.manifest.statement(manifest, source.key.rpartition("/")[2])
    claim = statement if isinstance(statement, Refusal) else read(statement, contract)
    if isinstance(claim, Refusal):
        return claim
    found = verified([claim], landed(content, claim))
    return found if isinstance(found, Refusal) else claim


def _transform(
    chunks: Iterable[bytes | Refusal], contract: Contract, staging: Staging, tally: Tally
) -> Verdict:
    counts = Counter(dict.fromkeys(_COUNTS, 0))
    table = read_table(chunks, contract)
    if isinstance(table, Empty) and contract.allows_no_rows:
        return _verified(counts, tally, FooterCount())
    if isinstance(table, Refusal):
        return Verdict(Outcome.REFUSED, table.reason)
    places = match_header(table.header, table.width, table.line, contract)
    if isinstance(places, Refusal):
        advice = drift.advice(table.header, table.width, table.line, contract)
        return Verdict(Outcome.REFUSED, places.reason, advice=advice)

    known: Known = {}

    def stage(
        number: int, chunk: LazyRows | Refusal
    ) -> tuple[Counter[str], dict[str, Sum]] | Refusal:
        if isinstance(chunk, Refusal):
            return chunk
        rows = chunk()
        counts = _write(cast(rows, places, contract, known), staging, part_name(number))
        return counts + Counter(emptyRows=rows.empty), tally.of(rows, places)

    for result in in_parallel(stage, table.chunks):
        if isinstance(result, Refusal):
            return Verdict(Outcome.REFUSED, result.reason)
        counts.update(result[0])
        tally.add(result[0]["rowsRead"], result[1])
    verdict = _verified(counts, tally, table.footer)
    is_refused = counts["rowsRead"] == 0 and not contract.allows_no_rows
    if is_refused and verdict.outcome == Outcome.OK:
        return Verdict(Outcome.REFUSED, _NO_ROWS if table.header else "the file has no rows")
    return verdict


def _verified(counts: Counter[str], tally: Tally, footer: FooterCount) -> Verdict:
    """Return the verdict on a file that is read, by its control totals."""
    verified = tally.verified(footer.first)
    if isinstance(verified, Refusal):
        return Verdict(Outcome.REFUSED, verified.reason)
    counts.update(footerLines=footer.lines, totalsVerified=verified)
    return Verdict(Outcome.OK, counts=dict.fromkeys(_COUNTS, 0) | +counts)


def _write(rows: Cast, staging: Staging, part: str) -> Counter[str]:
    clean, suspect = len(rows.clean), rows.suspect_rows
    if clean:
        parquet.write(rows.clean, staging.clean_prefix + part, is_flat=True)
    if suspect:
        parquet.write(rows.suspects, staging.suspect_prefix + part)
    return Counter(
        rowsRead=clean + suspect,
        rowsClean=clean,
        rowsSuspect=suspect,
        parts=int(clean > 0),
        suspectParts=int(suspect > 0),
    )
