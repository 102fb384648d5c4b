"""The rows that PostgreSQL refuses, found one by one, for Test to reject.

COPY takes all rows or none, and PostgreSQL does not always say which row it refused. So the rows go
in again in a transaction that is never committed, and a batch that is refused is halved until it is
one row.
"""

import itertools
from collections.abc import Iterator

import pyarrow as pa

from functions.load import ledger, table
from functions.load.rows import StagedRows, as_csv
from shared import parquet
from shared.contract import Contract
from shared.database import Connection
from shared.endings import Outcome
from shared.errors import StatementFailed
from shared.ingestion import Ingestion
from shared.staging import Staging, part_name
from shared.text import bounded
from shared.verdict import Verdict

MOST = 5_000
"""Rows found in one call: a few minutes' work. Load is called again, and finds the next ones."""
_REASON = 500
"""Characters of what PostgreSQL says of a row."""

Refused = dict[int, str]
"""What PostgreSQL says of the rows that it refuses, by their lines."""


def find(
    failed: StatementFailed,
    ingestion: Ingestion,
    contract: Contract,
    rows: StagedRows,
    connection: Connection,
) -> Refused:
    """Return the first `MOST` rows that PostgreSQL refuses; nothing is changed.

    Args:
        failed: why the rows were not loaded.
        ingestion: which source.
        contract: which table.
        rows: what was to be loaded.
        connection: of the role that loads.

    Raises:
        StatementFailed: `failed`, if that is not about a row, or if each row alone is taken.
        PipelineError: what PostgreSQL answered, or what is wrong with the staged rows.
    """
    if failed.refused is None:
        raise failed
    with connection.trial():
        source_id, _ = ledger.lock(connection, ingestion.source.key)
        table.delete(connection, contract, source_id)
        connection.run("SAVEPOINT batch")
        batches = rows.batches(source_id)
        found = (each for batch in batches for each in _refused(connection, contract, batch))
        refused = dict(itertools.islice(found, MOST))
    if not refused:
        raise failed
    return refused


def _refused(
    connection: Connection, contract: Contract, batch: pa.Table
) -> Iterator[tuple[int, str]]:
    left = [batch]
    while left:
        rows = left.pop()
        try:
            connection.copy(table.copy_command(contract), [as_csv(rows)])
        except StatementFailed as failed:
            if failed.refused is None:
                raise
            connection.run("ROLLBACK TO SAVEPOINT batch")
            if len(rows) == 1:
                yield rows["source_line"][0].as_py(), bounded(failed.refused, _REASON)
            else:
                half = len(rows) // 2
                left += [rows.slice(half), rows.slice(0, half)]
        else:
            connection.run("RELEASE SAVEPOINT batch; SAVEPOINT batch")


def hand_over(refused: Refused, staging: Staging, part: int) -> Verdict:
    """Stage refused rows for Test.

    Args:
        refused: one row or more.
        staging: where to.
        part: how many parts of refused rows this run has staged before.

    Returns:
        `rows_refused` with the counts `rowsRefused` and `refusedParts`.

    Raises:
        StagingUnavailable: S3 did not take them.
    """
    line, reason = next(iter(refused.items()))
    part_table = pa.table({"line": list(refused), "reason": list(refused.values())})
    parquet.write(part_table, staging.refused_prefix + part_name(part))
    return Verdict(
        Outcome.ROWS_REFUSED,
        f"PostgreSQL refuses {len(refused)} rows, the first at line {line}: {reason}",
        {"rowsRefused": len(refused), "refusedParts": part + 1},
    )
