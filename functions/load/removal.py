"""Counts or permanently removes the rows of one landing key.

Operators request it (`tm remove`, `tm smoke`), not the state machine. Load does it because no other
function both reaches the database and may change its tables.

`tm remove` first deletes the versions of the key from the landing bucket. Then this module removes
the rows under the ledger lock, which Load takes too. Load refuses a version that is no longer in
the bucket. Therefore neither a running execution nor a replay can restore the rows. If a new file
landed under the key and was loaded in the meantime, its rows stay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from pg8000.native import identifier

from functions.load import ledger, table
from shared.classification import UnknownKey, data_key
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.database import Connection
from shared.errors import InvalidEvent
from shared.key_pattern import KEY
from shared.telemetry import logger
from shared.text import quoted


class Operation(StrEnum):
    """An operation on the rows of a key."""

    COUNT = "count"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Request:
    """An operator's event: `{"operation": "count" | "remove", "bucket": …, "key": …}`."""

    operation: Operation
    bucket: str
    key: str
    contract: Contract

    @classmethod
    def from_event(cls, event: Mapping[str, Any], contracts: Contracts) -> Self:
        """Parse an event.

        Raises:
            InvalidEvent: a field is missing or invalid, or the key has no valid contract.
        """
        try:
            operation, bucket, key = Operation(event["operation"]), event["bucket"], event["key"]
        except (KeyError, ValueError) as error:
            raise InvalidEvent(
                f"the request has a missing or invalid field ({error}); use `tm remove`"
            ) from error
        found = data_key(key, contracts)
        if isinstance(found, UnknownKey):
            raise InvalidEvent(
                f"{quoted(key, KEY)} is not a landing key of a table with a valid contract: "
                f"{found.reason}"
            )
        return cls(operation, bucket, key, contracts[found.table])

    def answer(self, connection: Connection, is_there: Callable[[str], bool]) -> dict[str, Any]:
        """Execute the request; it is idempotent.

        `is_there` returns whether the version with the given ID is still in the landing bucket. The
        answer has `rows`: the number of rows counted or removed; and `kept`: the ID of the loaded
        version whose rows stay because it is in the bucket, or None.

        Raises:
            PipelineError: PostgreSQL or S3 returned an error.
        """
        if self.operation is Operation.COUNT:
            return {"rows": self._count(connection), "kept": None}
        answer = self._remove(connection, is_there)
        logger.info("removed", extra={"sourceKey": self.key, **answer})
        return answer

    def _count(self, connection: Connection) -> int:
        [[rows]] = connection.run(
            f"SELECT count(*) FROM {identifier(self.contract.rows_table)} "  # noqa: S608
            "WHERE load_id = (SELECT load_id FROM source WHERE source_key = :key)",
            key=self.key,
        )
        return int(rows)

    def _remove(self, connection: Connection, is_there: Callable[[str], bool]) -> dict[str, Any]:
        with connection.transaction():
            # Even without a ledger row, a Load may be inserting one. The lock waits for it.
            entry = ledger.lock(connection, self.key)
            if entry.version and is_there(entry.version):
                return {"rows": 0, "kept": entry.version}
            loads = dict(ledger.of_source(connection, entry))
            shown = [load for load, name in loads.items() if name == self.contract.rows_table]
            table.count_replacement(connection, self.contract, entry.id, shown)
            rows = {load: table.discard(connection, load, name) for load, name in loads.items()}
            connection.run("DELETE FROM source WHERE id = :id", id=entry.id)
        return {"rows": rows.get(entry.load or 0, 0), "kept": None}
