"""The one transaction in which a source's rows replace those that it had before."""

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
    """Make the table hold exactly this version of the source, or leave a newer one alone.

    Args:
        connection: of the role that loads.
        ingestion: which source, in which version.
        contract: which table.
        rows: what to load.
        may_replace: whether this version is still in the landing bucket, and not older than the
            version of that ID.

    Returns:
        `ok` or `superseded`, with the counts `rowsRead`, `rowsLoaded` and `rowsRejected`.

    Raises:
        SourceUnreadable: the version was deleted since it was read; nothing was changed.
        RowsUnaccounted: not every row is loaded or rejected; nothing was changed.
        PipelineError: what PostgreSQL answered, or what is wrong with the staged rows.
    """
    source = ingestion.source
    with connection.transaction():
        source_id, loaded_version = ledger.lock(connection, source.key)
        if not may_replace(loaded_version):
            if loaded_version not in {"", source.version_id}:
                return _superseded(rows, loaded_version)
            # `tm remove` deletes the version first and the rows under this lock: a run that is late
            # must not bring them back.
            raise SourceUnreadable(
                f"version {source.version_id} of {source.key} was deleted while it was being "
                "loaded, so none of it was loaded; drop the file again if it is still wanted"
            )
        table.delete(connection, contract, source_id)
        loaded = connection.copy(table.copy_command(contract), map(as_csv, rows.batches(source_id)))
        if rows.read != loaded + rows.rejected:
            raise RowsUnaccounted(
                f"{rows.read} rows were read, but {loaded} would be loaded and {rows.rejected} "
                f"are rejected; the rows of {source.key} stay as they were: replay the ingestion"
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
        f"the table holds version {version} of the same key, and this one is not newer",
        _counts(rows, 0),
    )


def _counts(rows: StagedRows, loaded: int) -> dict[str, int]:
    return {"rowsRead": rows.read, "rowsLoaded": loaded, "rowsRejected": rows.rejected}
