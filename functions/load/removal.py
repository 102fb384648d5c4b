"""What a table holds of one landed key: to count it, or to remove it for good.

An operator asks for it (`tm remove`, `tm smoke`), not the state machine. It is this function's work
because no other one both reaches the database, which a created one lets nobody else do, and may
change its tables.

`tm remove` first deletes the versions of the key from the landing bucket. Then the rows are removed
under the ledger's lock, which Load takes too, and Load refuses a version that is no longer in the
bucket. So neither a run that is under way nor a replay can bring the rows back. If a new file has
landed under the key and was loaded meanwhile, its rows stay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from pg8000.native import identifier

from functions.load import ledger, table
from shared.contract import Contract
from shared.database import Connection
from shared.errors import InvalidEvent
from shared.landing_key import LandingKey
from shared.telemetry import logger


class Operation(StrEnum):
    """What is asked of the rows of a key."""

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
    def from_event(cls, event: Mapping[str, Any], contracts: Mapping[str, Contract]) -> Self:
        """Take a request out of an event.

        Args:
            event: the event.
            contracts: by table.

        Raises:
            InvalidEvent: a field is missing or of the wrong form, or the key has no contract.
            InvalidContract: that of the key's table is invalid.
        """
        try:
            operation, bucket, key = Operation(event["operation"]), event["bucket"], event["key"]
        except (KeyError, ValueError) as error:
            raise InvalidEvent(f"the request lacks or garbles {error}; `tm` sends it") from error
        parsed = LandingKey.parse(key)
        try:
            contract = contracts[parsed.table if parsed else ""]
        except KeyError as error:
            message = f"{key!r} is no landing key of a table that has a contract"
            raise InvalidEvent(message) from error
        return cls(operation, bucket, key, contract)

    def answer(self, connection: Connection, is_there: Callable[[str], bool]) -> dict[str, Any]:
        """Do what is asked; repeating it is safe.

        Args:
            connection: of the role that loads.
            is_there: whether the version of that ID is still in the landing bucket.

        Returns:
            `rows`: how many there are, or were removed; and `kept`, the ID of the loaded version
            whose rows were not removed because it is in the bucket, or None.

        Raises:
            StatementFailed: another table, of a former `physicalName`, has rows of the key too.
            PipelineError: what else PostgreSQL or S3 answered.
        """
        if self.operation is Operation.COUNT:
            return {"rows": self._count(connection), "kept": None}
        answer = self._remove(connection, is_there)
        logger.info("removed", extra={"sourceKey": self.key, **answer})
        return answer

    def _count(self, connection: Connection) -> int:
        [[rows]] = connection.run(
            f"SELECT count(*) FROM {identifier(self.contract.relation)} "  # noqa: S608
            "WHERE source_id = (SELECT id FROM source WHERE source_key = :key)",
            key=self.key,
        )
        return int(rows)

    def _remove(self, connection: Connection, is_there: Callable[[str], bool]) -> dict[str, Any]:
        with connection.transaction():
            # Without a row there may still be a Load that is about to make one: it is waited for.
            source_id, loaded = ledger.lock(connection, self.key)
            if loaded and is_there(loaded):
                return {"rows": 0, "kept": loaded}
            rows = table.delete(connection, self.contract, source_id)
            connection.run("DELETE FROM source WHERE id = :id", id=source_id)
        return {"rows": rows, "kept": None}
