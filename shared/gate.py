"""The gate: limits concurrent executions; files start in the order in which they began to wait.

A run claims a slot before it starts and holds it until its end. Every step of a start is
idempotent, so the next call finishes a start that crashed: docs/decisions/0019-bursts.md.
"""

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import boto3

from shared.endings import UNDER_WAY, State, Status
from shared.ingestion import Ingestion, Run
from shared.ingestion_log import IngestionLog, changed_at, key_of
from shared.settings import GateSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_SEPARATOR = "/"  # separates the parts of a slot's name; no part contains it


@dataclass(frozen=True, slots=True)
class Gate:
    """Starts executions of the state machine, at most `most` at once.

    Each run uses the contract set with the SHA-256 `contracts` to its end. Methods that access the
    log raise `LogUnavailable` if DynamoDB does not answer.
    """

    log: IngestionLog
    stepfunctions: "SFNClient"
    state_machine_arn: str
    most: int
    contracts: str

    @classmethod
    def of(cls, settings: GateSettings) -> Self:
        """Return the gate of a function that starts runs."""
        return cls(
            IngestionLog.of(settings.log_table),
            boto3.client("stepfunctions"),
            settings.state_machine_arn,
            settings.max_concurrency,
            settings.contracts_hash,
        )

    def open(self, *known: Mapping[str, Any]) -> list[Ingestion]:
        """Start queued files, the longest waiting first, until no slot is free; return those.

        `known` are queued log items that may not be in the index yet (eventual consistency).
        """
        started = []
        held = self.log.slots()
        for queued in self._queue(known):
            slot = _slot(Ingestion.from_item(queued), Run.from_item(queued))
            # An item that waits but holds a slot is from a crashed call: it needs no other slot.
            if len(held) >= self.most and slot not in held:
                break
            item = self.log.get(queued["ingestedID"], queued["ingestedTable"])
            if item is None or not _waits_for(item, slot):
                continue  # the index is stale
            if not self.log.claim_slot(slot, self.most):
                break  # concurrent calls took the last slots
            held.add(slot)
            if self._begin(item):
                started.append(Ingestion.from_item(item))
        return started

    def close(self, run: Run) -> None:
        """Free the slot of a run that has ended, and recover slots whose run-end event was lost.

        Recovers only slots of ingestions that ended, or whose first state has not begun, by the
        log. That keeps the calls to Step Functions few; `recover` finds the others.
        """
        for slot in sorted(self.log.slots()):
            ingested_id, table, name = slot.split(_SEPARATOR)
            if name == run.execution_name:
                self.log.free_slot(slot)
                continue
            item = self.log.get(ingested_id, table)
            if item is not None and (item["state"] == State.TRIGGER or not _holds(item, slot)):
                self._recover(slot)

    def recover(self) -> int:
        """Free slots of runs that ended, start runs that never began; return the number of both."""
        return sum(self._recover(slot) for slot in sorted(self.log.slots()))

    def start(self, ingestion: Ingestion, run: Run) -> bool:
        """Start a run that holds a slot; return False if its execution has already ended.

        Starting a running execution again with the same input has no effect and returns True.
        """
        try:
            self.stepfunctions.start_execution(
                stateMachineArn=self.state_machine_arn,
                name=run.execution_name,
                input=json.dumps(run.input_of(ingestion)),
            )
        except self.stepfunctions.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def describe(self, execution_arn: str) -> Any:
        """Return the `DescribeExecution` response for an execution; None if it does not exist.

        Step Functions deletes an execution 90 days after its end.
        https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
        """
        try:
            return self.stepfunctions.describe_execution(executionArn=execution_arn)
        except self.stepfunctions.exceptions.ExecutionDoesNotExist:
            return None

    def status(self, run: Run) -> str | None:
        """Return the status of a run in Step Functions; None if it never began or is deleted."""
        described = self.describe(run.execution_arn)
        return described and str(described["status"])

    def run(self, ingestion: Ingestion, attempt: int) -> Run:
        """Return the run of an attempt, whether or not it has begun."""
        return self._named(ingestion.execution_name(attempt))

    def _queue(self, known: tuple[Mapping[str, Any], ...]) -> Iterator[Mapping[str, Any]]:
        seen = set()
        sorted_known = sorted(known, key=changed_at)
        for item in heapq.merge(sorted_known, self.log.queued(), key=changed_at):
            if key_of(item) not in seen:
                seen.add(key_of(item))
                yield item

    def _begin(self, item: Mapping[str, Any]) -> bool:
        """Start the run of a queued item that holds a slot; return False if another call does."""
        ingestion = Ingestion.from_item(item)
        run = replace(Run.from_item(item), contracts=self.contracts)
        return self.log.begin(ingestion, run) and self.start(ingestion, run)

    def _recover(self, slot: str) -> bool:
        ingested_id, table, name = slot.split(_SEPARATOR)
        status = self.status(self._named(name))
        if status == "RUNNING":
            return False
        item = self.log.get(ingested_id, table)
        if status is None and item is not None and _holds(item, slot):
            # The call that claimed the slot may start the run too: Step Functions starts it once.
            if _waits_for(item, slot):
                return self._begin(item)
            return self.start(Ingestion.from_item(item), Run.from_item(item))
        self.log.free_slot(slot)
        return True

    def _named(self, name: str) -> Run:
        machine = self.state_machine_arn.replace(":stateMachine:", ":execution:")
        return Run(f"{machine}:{name}")


def _slot(ingestion: Ingestion, run: Run) -> str:
    return _SEPARATOR.join((ingestion.id, ingestion.table, run.execution_name))


def _holds(item: Mapping[str, Any], slot: str) -> bool:
    """Return whether the slot belongs to the item's current run, which waits or runs."""
    current = _slot(Ingestion.from_item(item), Run.from_item(item))
    return current == slot and item["status"] in UNDER_WAY


def _waits_for(item: Mapping[str, Any], slot: str) -> bool:
    return item["status"] == Status.QUEUED and _holds(item, slot)
