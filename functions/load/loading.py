"""The one transaction in which a source's rows replace those that it had before."""

from collections.abc import Callable

from pg8000.native import identifier

from functions.load.rows import StagedRows
from shared.contract import Contract
from shared.database import Connection
from shared.errors import RowsUnaccounted
from shared.ingestion import Ingestion
from shared.verdict import Outcome, Verdict

# Either way the row is ours until the transaction ends, so loads of one key take turns. A new row
# comes back with our own version, one that was there with the version that is loaded.
_LOCK = """
INSERT INTO source (
    source_key, version_id, ingested_id, rows_read, rows_loaded, rows_rejected, loaded_at
)
VALUES (:key, :version, :ingested, 0, 0, 0, now())
ON CONFLICT (source_key) DO UPDATE SET source_key = excluded.source_key
RETURNING id, version_id
"""

_WRITE = """
UPDATE source
SET version_id = :version, ingested_id = :ingested, rows_read = :read, rows_loaded = :loaded,
    rows_rejected = :rejected, loaded_at = clock_timestamp()
WHERE id = :id
"""


def load(
    connection: Connection,
    ingestion: Ingestion,
    contract: Contract,
    rows: StagedRows,
    newer_than: Callable[[str], bool],
) -> Verdict:
    """Make the table hold exactly this version of the source, or leave a newer one alone.

    Args:
        connection: of the role that loads.
        ingestion: which source, in which version.
        contract: which table.
        rows: what to load.
        newer_than: whether this version is newer than the one of that ID.

    Returns:
        `ok` or `superseded`, with the counts `rowsRead`, `rowsLoaded` and `rowsRejected`.

    Raises:
        RowsUnaccounted: not every row is loaded or rejected; nothing was changed.
        PipelineError: what PostgreSQL answered, or what is wrong with the staged rows.
    """
    source = ingestion.source
    table = identifier(contract.relation)
    with connection.transaction():
        [[source_id, version]] = connection.run(
            _LOCK, key=source.key, version=source.version_id, ingested=ingestion.id
        )
        if version != source.version_id and not newer_than(version):
            return _superseded(rows, version)
        connection.run(f"DELETE FROM {table} WHERE source_id = :id", id=source_id)  # noqa: S608
        names = [*(column.physical_name for column in contract.columns), "source_id", "source_line"]
        loaded = connection.copy(
            f"COPY {table} ({', '.join(map(identifier, names))}) FROM STDIN (FORMAT csv)",
            rows.csv(source_id),
        )
        if rows.read != loaded + rows.rejected:
            raise RowsUnaccounted(
                f"{rows.read} rows were read, but {loaded} would be loaded and {rows.rejected} "
                f"are rejected; the rows of {source.key} stay as they were: replay the ingestion"
            )
        connection.run(
            _WRITE,
            id=source_id,
            version=source.version_id,
            ingested=ingestion.id,
            read=rows.read,
            loaded=loaded,
            rejected=rows.rejected,
        )
    return Verdict(Outcome.OK, counts=_counts(rows, loaded))


def _superseded(rows: StagedRows, version: str) -> Verdict:
    return Verdict(
        Outcome.SUPERSEDED,
        f"the table holds version {version} of the same key, and this one is not newer",
        _counts(rows, 0),
    )


def _counts(rows: StagedRows, loaded: int) -> dict[str, int]:
    return {"rowsRead": rows.read, "rowsLoaded": loaded, "rowsRejected": rows.rejected}
