"""The ledger: which load of a landing key is current.

The lock of a key's row serializes changes to the rows of that key. A load is a number that its rows
have. Its rows are invisible until `switch` makes it the current load of its key.
"""

from dataclasses import dataclass

from functions.load.rows import StagedRows
from shared.contract import Contract
from shared.database import Connection
from shared.ingestion import Ingestion

# Both the INSERT and the UPDATE lock the row until the transaction ends.
LOCK = """
INSERT INTO source (
    source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected, loaded_at
)
VALUES (:key, '', '', 0, 0, 0, now())
ON CONFLICT (source_key) DO UPDATE SET source_key = excluded.source_key
RETURNING id, version_id, load_id
"""

SWITCH = """
UPDATE source
SET load_id = :load, version_id = :version, ingested_id = :ingested, rows_read = :read,
    rows_loaded = :loaded, rows_rejected = :rejected, loaded_at = clock_timestamp()
WHERE id = :id
"""

# Load runs for 15 minutes at most.
_INTERRUPTED = """
SELECT id, relation FROM load
WHERE begun_at < now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM source WHERE load_id = load.id)
ORDER BY id LIMIT 5
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """The ledger row of a landing key."""

    id: int
    version: str
    """ID of the loaded version; empty if the row is new."""
    load: int | None
    """ID of the current load; None if the key has no rows."""


def lock(connection: Connection, key: str) -> Entry:
    """Lock the ledger row of a key until the transaction ends; insert it if there is none."""
    [row] = connection.run(LOCK, key=key)
    return Entry(*row)


def begin(connection: Connection, source_id: int, contract: Contract) -> int:
    """Insert a load of a source, and return its ID."""
    [[load]] = connection.run(
        "INSERT INTO load (source_id, relation) VALUES (:source, :relation) RETURNING id",
        source=source_id,
        relation=contract.rows_table,
    )
    return int(load)


def switch(
    connection: Connection,
    entry: Entry,
    load: int,
    ingestion: Ingestion,
    rows: StagedRows,
    loaded: int,
) -> None:
    """Make a load the current one of its source; `loaded` is the number of its rows."""
    connection.run(
        SWITCH,
        id=entry.id,
        load=load,
        version=ingestion.source.version_id,
        ingested=ingestion.id,
        read=rows.read,
        loaded=loaded,
        rejected=rows.rejected,
    )


def current(connection: Connection, entry: Entry) -> list[tuple[int, str]]:
    """Return ID and table of a key's current load, if there is one."""
    return _loads(connection, "id = :id", entry.load)


def of_source(connection: Connection, entry: Entry) -> list[tuple[int, str]]:
    """Return ID and table of each load of a key."""
    return _loads(connection, "source_id = :id", entry.id)


def _loads(connection: Connection, condition: str, id_: int | None) -> list[tuple[int, str]]:
    found = connection.run(f"SELECT id, relation FROM load WHERE {condition}", id=id_)  # noqa: S608
    return [(load, relation) for load, relation in found]


def interrupted(connection: Connection) -> list[tuple[int, str]]:
    """Return ID and table of some loads that were interrupted."""
    return [(load, relation) for load, relation in connection.run(_INTERRUPTED)]
