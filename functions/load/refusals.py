"""Finds the rows that PostgreSQL refuses, and stages them for Test to reject.

COPY loads all rows or none, and PostgreSQL does not always name the row that it refused. Therefore
the rows are copied again in a transaction that is rolled back. A refused batch is split in halves
until one row remains.
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

MAX_ROWS = 5_000
"""Maximum of refused rows in one call, a few minutes' work. The next call finds the next ones."""
_MAX_REASON = 500  # characters of PostgreSQL's reason for one row

Refused = dict[int, str]
"""PostgreSQL's reason for each refused row, by line number."""


def find(
    failed: StatementFailed,
    ingestion: Ingestion,
    contract: Contract,
    rows: StagedRows,
    connection: Connection,
) -> Refused:
    """Return the first `MAX_ROWS` rows that PostgreSQL refuses; change nothing.

    `failed` is the error of the load.

    Raises:
        StatementFailed: `failed`, if it concerns no row or PostgreSQL accepts each row alone.
        PipelineError: PostgreSQL returned another error, or the staged rows are incomplete.
    """
    if failed.refused is None:
        raise failed
    with connection.trial():
        entry = ledger.lock(connection, ingestion.source.key)
        table.write_as(connection, ledger.begin(connection, entry.id, contract))
        connection.run("SAVEPOINT batch")
        batches = rows.batches(rows.parts)
        found = (each for batch in batches for each in _refused(connection, contract, batch))
        refused = dict(itertools.islice(found, MAX_ROWS))
    if not refused:
        raise failed
    return refused


def _refused(
    connection: Connection, contract: Contract, batch: pa.Table
) -> Iterator[tuple[int, str]]:
    to_try = [batch]
    while to_try:
        rows = to_try.pop()
        try:
            connection.copy(table.copy_command(contract), [as_csv(rows)])
        except StatementFailed as failed:
            if failed.refused is None:
                raise
            connection.run("ROLLBACK TO SAVEPOINT batch")
            if len(rows) == 1:
                yield rows["source_line"][0].as_py(), bounded(failed.refused, _MAX_REASON)
            else:
                half = len(rows) // 2
                to_try += [rows.slice(half), rows.slice(0, half)]
        else:
            connection.run("RELEASE SAVEPOINT batch; SAVEPOINT batch")


def stage(refused: Refused, staging: Staging, part: int) -> Verdict:
    """Stage refused rows, at least one, as part number `part` for Test to reject.

    The verdict is `rows_refused` with the counts `rowsRefused` and `refusedParts`.
    """
    line, reason = min(refused.items())
    part_table = pa.table({"line": list(refused), "reason": list(refused.values())})
    parquet.write(part_table, staging.refused_prefix + part_name(part))
    return Verdict(
        Outcome.ROWS_REFUSED,
        f"PostgreSQL refuses {len(refused)} rows, the first at line {line}: {reason}",
        {"rowsRefused": len(refused), "refusedParts": part + 1},
    )
