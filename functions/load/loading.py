"""Replaces the rows of a landing key.

New rows are invisible until the ledger names their load. Those of a small file are copied in the
transaction that switches the ledger to them. Those of a larger file are copied before it, by
several connections. Whatever fails in between, the table shows the old rows or the new ones.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from functions.load import ledger, table
from functions.load.ledger import Entry
from functions.load.rows import StagedRows, as_csv
from shared.contract import Contract
from shared.database import Connection
from shared.endings import Outcome
from shared.errors import RowsUnaccounted, SourceUnreadable, StatementFailed
from shared.ingestion import Ingestion
from shared.verdict import Verdict

_CONNECTIONS = 2
"""Connections that copy a larger file. More would mostly wait for each other."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The load of an ingestion's staged rows.

    `may_replace` returns whether this version of the file is still in the landing bucket and not
    older than the version with the given ID.
    """

    ingestion: Ingestion
    contract: Contract
    rows: StagedRows
    may_replace: Callable[[str], bool]

    def run(self, connection: Connection, connect: Callable[[], Connection]) -> Verdict:
        """Replace the rows of the landing key by those of this version, unless a newer is loaded.

        `connect` opens further connections. The verdict is `ok` or `superseded`, with the counts
        `rowsRead`, `rowsLoaded` and `rowsRejected`.

        Raises:
            SourceUnreadable: the version was deleted after Transform read it.
            RowsUnaccounted: some rows are neither loaded nor rejected.
            PipelineError: PostgreSQL returned an error, or the staged rows are incomplete.

        After each of them, the table shows the same rows as before.
        """
        if len(self.rows.parts) > 1:
            return self._run_in_parallel(connection, connect)
        with connection.transaction():
            entry = self._lock(connection)
            if isinstance(entry, Verdict):
                return entry
            new = ledger.begin(connection, entry.id, self.contract)
            loaded = self._copy(connection, new, deque(self.rows.parts))
            return self._switch(connection, entry, new, loaded)

    def _run_in_parallel(
        self, connection: Connection, connect: Callable[[], Connection]
    ) -> Verdict:
        with connection.transaction():
            for interrupted, relation in ledger.interrupted(connection):
                table.discard(connection, interrupted, relation)
        with connection.transaction():
            entry = self._lock(connection)
            if isinstance(entry, Verdict):
                return entry
            new = ledger.begin(connection, entry.id, self.contract)
        try:
            loaded = self._copy_in_parallel(connect, new)
        except StatementFailed:
            with connection.transaction():
                table.discard(connection, new, self.contract.rows_table)
            raise
        with connection.transaction():
            entry = self._lock(connection)
            if isinstance(entry, Verdict):
                table.discard(connection, new, self.contract.rows_table)
                return entry
            return self._switch(connection, entry, new, loaded)

    def _lock(self, connection: Connection) -> Entry | Verdict:
        """Lock the ledger row; return the verdict if a newer version is loaded."""
        source = self.ingestion.source
        entry = ledger.lock(connection, source.key)
        if self.may_replace(entry.version):
            return entry
        if entry.version not in {"", source.version_id}:
            return Verdict(
                Outcome.SUPERSEDED,
                f"the table already holds version {entry.version} of this key; "
                "this version is not newer",
                self._counts(0),
            )
        # `tm remove` deletes the version first, then the rows under this lock. A late run must not
        # restore them.
        raise SourceUnreadable(
            f"version {source.version_id} of {source.key} was deleted before it was loaded; "
            "if you still need the file, upload it again"
        )

    def _copy_in_parallel(self, connect: Callable[[], Connection], new: int) -> int:
        parts = deque(self.rows.parts)

        def copy() -> int:
            with connect() as connection:
                try:
                    return self._copy(connection, new, parts)
                except BaseException:
                    parts.clear()  # The other connections need not copy them.
                    raise

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            copied = [pool.submit(copy) for _ in range(_CONNECTIONS)]
        return sum(each.result() for each in copied)

    def _copy(self, connection: Connection, new: int, parts: deque[str]) -> int:
        """Copy the rows of parts, which are taken from the queue, and return their number."""
        table.write_as(connection, new)
        batches = self.rows.batches(_taken(parts))
        return connection.copy(table.copy_command(self.contract), map(as_csv, batches))

    def _switch(self, connection: Connection, entry: Entry, new: int, loaded: int) -> Verdict:
        """Make the new load the current one, and delete the one before."""
        rows, contract = self.rows, self.contract
        rows.check()
        if rows.read != loaded + rows.rejected:
            raise RowsUnaccounted(
                f"Transform read {rows.read} rows of {self.ingestion.source.key}, but Load would "
                f"load {loaded} and {rows.rejected} are rejected; no row was changed; replay the "
                "ingestion"
            )
        former = ledger.current(connection, entry)
        if entry.version:
            shown = [load for load, relation in former if relation == contract.rows_table]
            table.count_replacement(connection, contract, entry.id, [*shown, new])
        ledger.switch(connection, entry, new, self.ingestion, rows, loaded)
        for load, relation in former:
            table.discard(connection, load, relation)
        return Verdict(Outcome.OK, counts=self._counts(loaded))

    def _counts(self, loaded: int) -> dict[str, int]:
        rows = self.rows
        return {"rowsRead": rows.read, "rowsLoaded": loaded, "rowsRejected": rows.rejected}


def _taken(parts: deque[str]) -> Iterator[str]:
    with contextlib.suppress(IndexError):
        while True:
            yield parts.popleft()
