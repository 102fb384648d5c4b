"""Defects to inject into the pipeline, which the simulations must detect."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.load import ledger, table, versions
from functions.load.ledger import Entry
from functions.load.loading import Loading
from functions.watch.reconciliation import Reconciliation
from shared import ingestion_log
from shared.contract import Contract
from shared.database import Connection
from shared.gate import Gate
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog
from shared.verdict import Verdict

Sabotage = Callable[[pytest.MonkeyPatch], None]


def no_ledger_check(patch: pytest.MonkeyPatch) -> None:
    """Load takes every version for newer than the loaded one."""
    patch.setattr("functions.load.handler.may_replace", lambda *_, **__: True)


def no_second_check(patch: pytest.MonkeyPatch) -> None:
    """Load does not lock the ledger and check versions again before it switches to its copies."""
    lock = Loading._lock
    found: dict[Connection, Entry | Verdict] = {}

    def once(self: Loading, connection: Connection) -> Entry | Verdict:
        if connection not in found:
            found[connection] = lock(self, connection)
        return found[connection]

    patch.setattr(Loading, "_lock", once)


def no_bucket_check(patch: pytest.MonkeyPatch) -> None:
    """Load accepts a version that was deleted after it was read."""
    may = versions.may_replace

    def trusting(s3: Any, source: Source, loaded: str) -> bool:
        return loaded in {"", source.version_id} or may(s3, source, loaded)

    patch.setattr("functions.load.handler.may_replace", trusting)


def no_delete(patch: pytest.MonkeyPatch) -> None:
    """Load keeps the rows of the previous version."""
    patch.setattr(table, "discard", lambda *_: 0)


def switch_before_copy(patch: pytest.MonkeyPatch) -> None:
    """Load makes the new rows the current ones before it copies them."""
    begin = ledger.begin

    def begin_and_switch(connection: Connection, source_id: int, contract: Contract) -> int:
        load = begin(connection, source_id, contract)
        connection.run("UPDATE source SET load_id = :load WHERE id = :id", load=load, id=source_id)
        connection.run("COMMIT")
        connection.run("BEGIN")
        return load

    patch.setattr(ledger, "begin", begin_and_switch)


def no_transaction(patch: pytest.MonkeyPatch) -> None:
    """Load commits every statement."""

    @contextmanager
    def transaction(_: Connection) -> Iterator[None]:
        yield

    patch.setattr(Connection, "transaction", transaction)


def commit_before_copy_ends(patch: pytest.MonkeyPatch) -> None:
    """An interrupted COPY keeps the rows copied so far."""
    copy = Connection.copy

    def chunk_by_chunk(self: Connection, sql: str, chunks: Iterable[bytes]) -> int:
        loaded = 0
        for chunk in chunks:
            loaded += copy(self, sql, [chunk])
            self.run("COMMIT")
            self.run("BEGIN")
        return loaded

    patch.setattr(Connection, "copy", chunk_by_chunk)


def no_step_deduplication(patch: pytest.MonkeyPatch) -> None:
    """The log writes a step again for every retry."""
    mark = ingestion_log._mark
    patch.setattr(ingestion_log, "_mark", lambda *step: f"{mark(*step)}/{uuid.uuid4()}")


def no_limit(patch: pytest.MonkeyPatch) -> None:
    """The gate allows one slot too many."""
    claim = IngestionLog.claim_slot
    patch.setattr(IngestionLog, "claim_slot", lambda self, name, most: claim(self, name, most + 1))


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """A slot remains held if the run-end event is lost."""
    patch.setattr(Gate, "recover", lambda _: 0)


def no_queued_files(patch: pytest.MonkeyPatch) -> None:
    """Queued files are never started."""
    patch.setattr(IngestionLog, "queued", lambda _: iter(()))


def no_claim(patch: pytest.MonkeyPatch) -> None:
    """Every call of alert sends a message."""
    claim = IngestionLog.claim_alert
    patch.setattr(IngestionLog, "claim_alert", lambda self, *which: claim(self, *which) or True)


def marked_before_sent(patch: pytest.MonkeyPatch) -> None:
    """Alert marks a message as sent before it sends it."""
    claim = IngestionLog.claim_alert

    def claim_and_note(self: IngestionLog, *which: str) -> bool:
        return claim(self, *which) and self.alert_sent(*which)

    patch.setattr(IngestionLog, "claim_alert", claim_and_note)


def no_manifest_claim(patch: pytest.MonkeyPatch) -> None:
    """One version of a manifest vouches for any number of versions of a file."""
    patch.setattr(IngestionLog, "claim_manifest", lambda _, __, ingestion, *___: ingestion.id)


def no_search_for_manifests(patch: pytest.MonkeyPatch) -> None:
    """Nothing starts a file if the event of its manifest is lost."""
    nothing = {"vouched": 0, "unvouched": 0}
    patch.setattr(Reconciliation, "manifests", lambda _: nothing)
