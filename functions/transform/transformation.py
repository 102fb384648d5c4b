"""Converts a landed file to Parquet parts of clean and suspect rows, without losing a row."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from functions.transform import drift
from functions.transform.casts import Cast, Known, cast
from functions.transform.header import match_header
from functions.transform.totals import Tally, landed, read, verified
from shared import parquet
from shared.compression import Unpacked, unpack
from shared.content import Content
from shared.contract import Contract
from shared.control_totals import Claim, Sum
from shared.endings import Outcome
from shared.file_types import type_of, type_of_text
from shared.ingestion import Source
from shared.manifest import FoundManifest
from shared.model import Model
from shared.parallel import in_parallel
from shared.ranges import ByteRange
from shared.rows import Empty, Foreign, LazyRows, Table, read_range, read_table
from shared.staging import Staging, part_name
from shared.verdict import Refusal, Verdict

_COUNTS = ("rowsRead", "rowsClean", "rowsSuspect", "parts", "suspectParts")
_NO_ROWS = "the file has a header but no rows"


class Findings(Model):
    """What Transform found in a file, or in one of its ranges.

    Attributes:
        counts: the counts of the verdict, and `emptyRows` and `footerLines`.
        sums: the sums for control totals, by the physical names of the columns.
        trailer: the first line of the footer.
        has_header: whether the file has a header.
        refusal: why the file is refused.
        foreign: why it is refused if no range has a row of this table.
        advice: see `Verdict`.
    """

    counts: dict[str, int] = Field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    sums: dict[str, Sum] = Field(default_factory=dict)
    trailer: str = ""
    has_header: bool = False
    refusal: str | None = None
    foreign: str | None = None
    advice: str | None = None


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
    claim = verified_claim(manifest, content, contract, staging.ingestion.source)
    if isinstance(claim, Refusal):
        return Verdict(Outcome.REFUSED, claim.reason)
    file = unpack(content, contract.compression)
    findings = _staged(read_table(file.chunks, contract), contract, staging, claim)
    return _verdict([findings], contract, claim, file)


def transform_range(
    content: Content,
    contract: Contract,
    staging: Staging,
    within: ByteRange,
    manifest: FoundManifest | None = None,
) -> Findings:
    """Do the same with one range of a file that is not compressed.

    `manifest` must have been verified.
    """
    claim = _claim(manifest, contract, staging.ingestion.source)
    if isinstance(claim, Refusal):
        return Findings(refusal=claim.reason)
    return _staged(read_range(content, contract, within), contract, staging, claim)


def combined(
    found: Sequence[Findings],
    content: Content,
    contract: Contract,
    source: Source,
    manifest: FoundManifest | None = None,
) -> Verdict:
    """Return the verdict of `transform` from the findings in all ranges of a file, in order."""
    claim = _claim(manifest, contract, source)
    if isinstance(claim, Refusal):
        return Verdict(Outcome.REFUSED, claim.reason)
    return _verdict(found, contract, claim, unpack(content, contract.compression))


def verified_claim(
    manifest: FoundManifest | None, content: Content, contract: Contract, source: Source
) -> Claim | Refusal | None:
    """Return what the manifest says of a file; refuse one with another size or hash."""
    claim = _claim(manifest, contract, source)
    if claim is None or isinstance(claim, Refusal):
        return claim
    found = verified([claim], landed(content, claim))
    return found if isinstance(found, Refusal) else claim


def _claim(
    manifest: FoundManifest | None, contract: Contract, source: Source
) -> Claim | Refusal | None:
    if manifest is None or contract.manifest is None:
        return None
    statement = contract.manifest.statement(manifest, source.key.rpartition("/")[2])
    return statement if isinstance(statement, Refusal) else read(statement, contract)


def _staged(
    table: Table | Refusal, contract: Contract, staging: Staging, claim: Claim | None
) -> Findings:
    """Cast the rows of a table, and write them to staging."""
    parquet.delete(staging.clean_prefix)
    parquet.delete(staging.suspect_prefix)
    if isinstance(table, Empty) and contract.allows_no_rows:
        return Findings()
    if isinstance(table, Refusal):
        return Findings(refusal=table.reason)
    places = match_header(table.header, table.width, table.line, contract)
    if isinstance(places, Refusal):
        advice = drift.advice(table.header, table.width, table.line, contract)
        return Findings(refusal=places.reason, advice=advice)

    counts = Counter(dict.fromkeys(_COUNTS, 0))
    tally, known = Tally(contract, claim), Known()

    def stage(
        number: int, chunk: LazyRows | Refusal
    ) -> tuple[Counter[str], dict[str, Sum]] | Refusal:
        if isinstance(chunk, Refusal):
            return chunk
        rows = chunk()
        counts = _write(cast(rows, places, contract, known), staging, part_name(number))
        return counts + Counter(emptyRows=rows.empty), tally.of(rows, places)

    foreign = None
    for result in in_parallel(stage, table.chunks):
        if isinstance(result, Foreign):
            foreign = result.reason
        elif isinstance(result, Refusal):
            return Findings(refusal=result.reason)
        else:
            counts.update(result[0])
            tally.add(result[0]["rowsRead"], result[1])
    counts["footerLines"] = table.footer.lines
    return Findings(
        counts=counts,
        sums=tally.sums,
        trailer=table.footer.first.decode(errors="replace"),
        has_header=table.header is not None,
        foreign=foreign,
    )


def _verdict(
    found: Sequence[Findings], contract: Contract, claim: Claim | None, file: Unpacked
) -> Verdict:
    verdict = _verdict_on_rows(found, contract, claim)
    kind = type_of(file.start, contract.encoding)
    if kind is None and not contract.by_position:
        kind = type_of_text(file.start, contract.file_format)
    if verdict.outcome == Outcome.REFUSED and kind is not None:
        which = "the unpacked file" if file.packed else "the file"
        return Verdict(Outcome.REFUSED, f"{which} {kind}")
    return verdict


def _verdict_on_rows(found: Sequence[Findings], contract: Contract, claim: Claim | None) -> Verdict:
    refused = next((each for each in found if each.refusal), None)
    if refused is not None:
        return Verdict(Outcome.REFUSED, refused.refusal, advice=refused.advice)
    counts, tally = Counter(dict.fromkeys(_COUNTS, 0)), Tally(contract, claim)
    for each in found:
        counts.update(each.counts)
        tally.add(each.counts["rowsRead"], each.sums)
    with_rows = [each for each in found if each.counts["rowsRead"]]
    if with_rows and all(each.foreign for each in with_rows):
        return Verdict(Outcome.REFUSED, with_rows[0].foreign)
    totals = tally.verified(found[-1].trailer.encode())
    if isinstance(totals, Refusal):
        return Verdict(Outcome.REFUSED, totals.reason)
    if counts["rowsRead"] == 0 and not contract.allows_no_rows:
        return Verdict(Outcome.REFUSED, _NO_ROWS if found[0].has_header else "the file has no rows")
    counts["totalsVerified"] = totals
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
