"""The ledger's row of a landed key: whoever holds its lock is alone with the rows of that key."""

from shared.database import Connection

# Either way the row is ours until the transaction ends: those who change a key's rows take turns.
# A new row comes back without a version, one that was there with the loaded version.
LOCK = """
INSERT INTO source (
    source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected, loaded_at
)
VALUES (:key, '', '', 0, 0, 0, now())
ON CONFLICT (source_key) DO UPDATE SET source_key = excluded.source_key
RETURNING id, version_id
"""


def lock(connection: Connection, key: str) -> tuple[int, str]:
    """Lock the ledger's row of a key until the transaction ends; make the row if there is none.

    Args:
        connection: in a transaction.
        key: the landed key.

    Returns:
        The row's ID, and the version that it says is loaded: an empty text if the row is new.
    """
    [[source_id, loaded]] = connection.run(LOCK, key=key)
    return source_id, loaded
