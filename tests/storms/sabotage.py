"""Ways to break the pipeline of which no other test need know: the storms have to find them out."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.load import ledger, table, versions
from shared import ingestion_log
from shared.contract import Contract
from shared.database import Connection
from shared.gate import Gate
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog

Sabotage = Callable[[pytest.MonkeyPatch], None]


def no_ledger_check(patch: pytest.MonkeyPatch) -> None:
    """Whatever comes is taken for newer than what is there."""
    patch.setattr("functions.load.handler.may_replace", lambda *_, **__: True)


def no_ledger_lock(patch: pytest.MonkeyPatch) -> None:
    """The ledger row is made and read, but not locked."""
    run = Connection.run
    make = ledger.LOCK.partition("ON CONFLICT")[0] + "ON CONFLICT DO NOTHING"
    look = "SELECT id, version_id FROM source WHERE source_key = :key"

    def trusting(self: Connection, sql: str, **parameters: object) -> list[list[Any]]:
        if sql != ledger.LOCK:
            return run(self, sql, **parameters)
        run(self, make, **parameters)
        return run(self, look, key=parameters["key"])

    patch.setattr(Connection, "run", trusting)


def no_look_at_the_bucket(patch: pytest.MonkeyPatch) -> None:
    """A version that was deleted since it was read is loaded all the same."""
    may = versions.may_replace

    def trusting(s3: Any, source: Source, loaded: str) -> bool:
        return loaded in {"", source.version_id} or may(s3, source, loaded)

    patch.setattr("functions.load.handler.may_replace", trusting)


def no_delete(patch: pytest.MonkeyPatch) -> None:
    """The rows of the version before stay."""
    patch.setattr(table, "delete", lambda *_: 0)


def delete_by_itself(patch: pytest.MonkeyPatch) -> None:
    """The old rows are gone for good before the new ones come."""
    delete = table.delete

    def hasty(connection: Connection, contract: Contract, source_id: int) -> int:
        rows = delete(connection, contract, source_id)
        connection.run("COMMIT")
        connection.run("BEGIN")
        return rows

    patch.setattr(table, "delete", hasty)


def no_transaction(patch: pytest.MonkeyPatch) -> None:
    """Every statement is by itself."""

    @contextmanager
    def transaction(_: Connection) -> Iterator[None]:
        yield

    patch.setattr(Connection, "transaction", transaction)


def commit_before_copy_ends(patch: pytest.MonkeyPatch) -> None:
    """A COPY that breaks off keeps what it had."""
    copy = Connection.copy

    def chunk_by_chunk(self: Connection, sql: str, chunks: Iterable[bytes]) -> int:
        loaded = 0
        for chunk in chunks:
            loaded += copy(self, sql, [chunk])
            self.run("COMMIT")
            self.run("BEGIN")
        return loaded

    patch.setattr(Connection, "copy", chunk_by_chunk)


def no_step_only_once(patch: pytest.MonkeyPatch) -> None:
    """The log does not notice that it has a step already."""
    mark = ingestion_log._mark
    patch.setattr(ingestion_log, "_mark", lambda *step: f"{mark(*step)}/{uuid.uuid4()}")


def no_bound(patch: pytest.MonkeyPatch) -> None:
    """One slot more than allowed can be claimed."""
    claim = IngestionLog.claim_slot
    patch.setattr(IngestionLog, "claim_slot", lambda self, name, most: claim(self, name, most + 1))


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """A slot stays held if nobody hears of its run's end."""
    patch.setattr(Gate, "recover", lambda _: 0)


def waiting_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """An arrival starts itself, and nobody starts another."""
    patch.setattr(IngestionLog, "waiting", lambda _: iter(()))


def no_claim(patch: pytest.MonkeyPatch) -> None:
    """Whoever hears of an end tells it."""
    claim = IngestionLog.claim_alert
    patch.setattr(IngestionLog, "claim_alert", lambda self, *which: claim(self, *which) or True)


def noted_before_told(patch: pytest.MonkeyPatch) -> None:
    """An alert counts as sent when it is about to be."""
    claim = IngestionLog.claim_alert

    def claim_and_note(self: IngestionLog, *which: str) -> bool:
        return claim(self, *which) and self.alert_sent(*which)

    patch.setattr(IngestionLog, "claim_alert", claim_and_note)
