"""Replaces the rows of a landing key in one transaction."""

from collections.abc import Callable

from functions.load import ledger, table
from functions.load.rows import StagedRows, as_csv
from shared.contract import Contract
from shared.database import Connection
from shared.endings import Outcome
from shared.errors import RowsUnaccounted, SourceUnreadable
from shared.ingestion import Ingestion
from shared.verdict import Verdict

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
    may_replace: Callable[[str], bool],
) -> Verdict:
    """Replace the rows of a landing key by those of this version, unless a newer one is loaded.

    `may_replace` returns whether this version is still in the landing bucket and not older than the
    version with the given ID. The verdict is `ok` or `superseded`, with the counts `rowsRead`,
    `rowsLoaded` and `rowsRejected`.

    Raises:
        SourceUnreadable: the version was deleted after Transform read it; no row was changed.
        RowsUnaccounted: some rows are neither loaded nor rejected; no row was changed.
        PipelineError: PostgreSQL returned an error, or the staged rows are incomplete.
    """
    source = ingestion.source
    with connection.transaction():
        source_id, loaded_version = ledger.lock(connection, source.key)
        if not may_replace(loaded_version):
            if loaded_version not in {"", source.version_id}:
                return _superseded(rows, loaded_version)
            # `tm remove` deletes the version first, then the rows under this lock. A late run must
            # not restore them.
            raise SourceUnreadable(
                f"version {source.version_id} of {source.key} was deleted before it was loaded; "
                "if you still need the file, upload it again"
            )
        table.delete(connection, contract, source_id)
        loaded = connection.copy(table.copy_command(contract), map(as_csv, rows.batches(source_id)))
        if rows.read != loaded + rows.rejected:
            raise RowsUnaccounted(
                f"Transform read {rows.read} rows of {source.key}, but Load would load {loaded} "
                f"and {rows.rejected} are rejected; no row was changed; replay the ingestion"
            )
        if loaded_version:
            table.count_replacement(connection, contract, source_id)
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
        f"the table already holds version {version} of this key; this version is not newer",
        _counts(rows, 0),
    )


def _counts(rows: StagedRows, loaded: int) -> dict[str, int]:
    return {"rowsRead": rows.read, "rowsLoaded": loaded, "rowsRejected": rows.rejected}
