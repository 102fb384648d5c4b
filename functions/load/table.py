"""Statements on the rows of a load. A caller that changes current rows holds the ledger lock."""

from pg8000.native import identifier

from shared import replacement
from shared.contract import Contract
from shared.database import Connection


def write_as(connection: Connection, load: int) -> None:
    """Let the rows that this session copies belong to a load."""
    # RDS Proxy keeps such a session on one connection to the database.
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-pinning.html
    connection.run("SELECT set_config('tm.load', CAST(:load AS text), false)", load=load)


def copy_command(contract: Contract) -> str:
    """Return the COPY statement for batches of `StagedRows`."""
    names = [*contract.physical_names, "source_line"]
    columns = ", ".join(map(identifier, names))
    return f"COPY {identifier(contract.rows_table)} ({columns}) FROM STDIN (FORMAT csv)"


def count_replacement(
    connection: Connection, contract: Contract, source_id: int, loads: list[int]
) -> None:
    """Count a replacement for each key in the rows of a source's loads."""
    if contract.lookup is None:
        return
    key = identifier(contract.column(contract.lookup.key).physical_name)
    table = identifier(contract.rows_table)
    keys = f"SELECT {key} AS key FROM {table} WHERE load_id = ANY(:loads)"  # noqa: S608
    connection.run(replacement.add(contract.relation, keys), id=source_id, loads=loads)


def discard(connection: Connection, load: int, relation: str) -> int:
    """Delete a load, which must not be current, and return the number of its rows."""
    # Waits for statements that write such rows. `tm_check_no_rows` runs when the transaction ends.
    connection.run("DELETE FROM load WHERE id = :load", load=load)
    [[exists]] = connection.run("SELECT to_regclass(:name) IS NOT NULL", name=identifier(relation))
    if not exists:  # An operator dropped the table of a former `physicalName`.
        return 0
    [[rows]] = connection.run(
        f"WITH gone AS (DELETE FROM {identifier(relation)} WHERE load_id = :load "  # noqa: S608
        "RETURNING load_id) SELECT count(*) FROM gone",
        load=load,
    )
    return int(rows)
