"""The ledger row of a landing key: its lock serializes changes to the rows of that key."""

from shared.database import Connection

# Both the INSERT and the UPDATE lock the row until the transaction ends. A new row returns an empty
# version, an existing one the loaded version.
LOCK = """
INSERT INTO source (
    source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected, loaded_at
)
VALUES (:key, '', '', 0, 0, 0, now())
ON CONFLICT (source_key) DO UPDATE SET source_key = excluded.source_key
RETURNING id, version_id
"""


def lock(connection: Connection, key: str) -> tuple[int, str]:
    """Lock the ledger row of a key until the transaction ends; insert it if there is none.

    Return the ID of the row, and the ID of the loaded version: an empty string if the row is new.
    """
    [[source_id, loaded]] = connection.run(LOCK, key=key)
    return source_id, loaded
