"""A landed file becomes clean Parquet parts and suspect rows; no row is dropped on the way."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

import pyarrow as pa

from functions.transform.casts import Cast, Suspect, cast
from shared import parquet
from shared.contract import Contract
from shared.lines import Refusal
from shared.rows import read_table
from shared.staging import Staging, part_name
from shared.verdict import Outcome, Verdict

SUSPECT_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("raw", pa.string()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("rule", pa.string()),
        ("reason", pa.string()),
    ]
)


def transform(chunks: Iterable[bytes], contract: Contract, staging: Staging) -> Verdict:
    """Cast a file by its contract into the staging bucket, a part at a time.

    Args:
        chunks: the file's bytes; each chunk becomes one part, so some megabytes are a good size.
        contract: what the file should be.
        staging: where the parts go; what an earlier try left there is replaced.

    Returns:
        `ok` with the counts `rowsRead`, `rowsClean`, `rowsSuspect` and `parts`; or `refused`
        where the file as a whole is not the contract's.

    Raises:
        StagingUnavailable: S3 did not take a part.
    """
    parquet.delete(staging.clean_prefix)
    parquet.delete(staging.suspect_prefix)
    clean = suspect = parts = suspect_parts = 0
    for result in _cast_file(chunks, contract):
        if isinstance(result, Refusal):
            return Verdict(Outcome.REFUSED, result.reason)
        if len(result.clean):
            parquet.write(result.clean, staging.clean_prefix + part_name(parts))
            clean += len(result.clean)
            parts += 1
        if result.suspects:
            table = _as_table(result.suspects)
            parquet.write(table, staging.suspect_prefix + part_name(suspect_parts))
            suspect += result.suspect_rows
            suspect_parts += 1
    if clean + suspect == 0:
        return Verdict(Outcome.REFUSED, "the file holds a header and no row")
    return Verdict(
        Outcome.OK,
        counts={
            "rowsRead": clean + suspect,
            "rowsClean": clean,
            "rowsSuspect": suspect,
            "parts": parts,
            "suspectParts": suspect_parts,
        },
    )


def _cast_file(chunks: Iterable[bytes], contract: Contract) -> Iterator[Cast | Refusal]:
    table = read_table(chunks, contract.encoding, contract.delimiter)
    if isinstance(table, Refusal):
        yield table
        return
    if refusal := _header_refusal(table.header, contract):
        yield refusal
        return
    for rows in table.rows:
        yield rows if isinstance(rows, Refusal) else cast(rows, table.header, contract)


def _header_refusal(header: list[str], contract: Contract) -> Refusal | None:
    expected, found = set(contract.header), set(header)
    problems = [
        f"{what}: {', '.join(map(repr, sorted(names)))}"
        for what, names in (
            ("missing", expected - found),
            ("unknown", found - expected),
            ("repeated", {name for name in header if header.count(name) > 1}),
        )
        if names
    ]
    if not problems:
        return None
    return Refusal(
        f"line 1 is not the header of {contract.table} "
        f"({contract.delimiter.join(contract.header)}): {'; '.join(problems)}"
    )


def _as_table(suspects: list[Suspect]) -> pa.Table:
    return pa.Table.from_pylist([asdict(each) for each in suspects], schema=SUSPECT_SCHEMA)
