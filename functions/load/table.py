"""Statements on the rows of a source. A caller that changes rows must hold the ledger lock."""

from pg8000.native import identifier

from shared import replacement
from shared.contract import Contract
from shared.database import Connection


def delete(connection: Connection, contract: Contract, source_id: int) -> int:
    """Delete the rows of a source, count a replacement for each key, return the number of rows."""
    table = identifier(contract.relation)
    key = _key(contract)
    gone = f"DELETE FROM {table} WHERE source_id = :id RETURNING {key or 'source_id'} AS key"  # noqa: S608
    counted = replacement.add(contract.relation, "SELECT key FROM gone")
    [[rows]] = connection.run(
        f"WITH gone AS ({gone}){f', counted AS ({counted})' if key else ''} "  # noqa: S608
        "SELECT count(*) FROM gone",
        id=source_id,
    )
    return int(rows)


def count_replacement(connection: Connection, contract: Contract, source_id: int) -> None:
    """Count a replacement for each key of a source's new rows.

    `delete` counts the keys of the old rows. The new rows may have further keys.
    """
    if key := _key(contract):
        table = identifier(contract.relation)
        keys = f"SELECT {key} AS key FROM {table} WHERE source_id = :id"  # noqa: S608
        connection.run(replacement.add(contract.relation, keys), id=source_id)


def copy_command(contract: Contract) -> str:
    """Return the COPY statement for batches of `StagedRows`."""
    names = [*(column.physical_name for column in contract.columns), "source_id", "source_line"]
    columns = ", ".join(map(identifier, names))
    return f"COPY {identifier(contract.relation)} ({columns}) FROM STDIN (FORMAT csv)"


def _key(contract: Contract) -> str | None:
    """Return the column by which the API looks up rows; None if the API excludes the table."""
    if contract.lookup is None:
        return None
    return str(identifier(contract.column(contract.lookup.key).physical_name))
