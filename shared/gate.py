"""The gate: no more than `most` runs at once; the files that wait longest are started first.

A run holds a slot from before it is started until its end. Each step of a start may be repeated,
by whoever comes next, so that a call may die between any two of them:
docs/decisions/0019-bursts.md.
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

_BETWEEN = "/"
"""What stands between the parts of a slot's name, and in none of them."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Starts the executions of the state machine of that ARN, `most` at once.

    A run begins with the contracts of the SHA-256 `contracts`, and keeps them to its end.

    Methods that ask the log raise `LogUnavailable` if DynamoDB does not answer.
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
        """Start files that wait, the longest waiting first, until no slot is free.

        Args:
            known: log items that wait, which the index need not show yet.

        Returns:
            The ingestions whose run this call has started.
        """
        started = []
        held = self.log.slots()
        for waiting in self._queue(known):
            slot = _slot(Ingestion.from_item(waiting), Run.from_item(waiting))
            # One that waits and has a slot is what a call left that died: it needs no other.
            if len(held) >= self.most and slot not in held:
                break
            item = self.log.get(waiting["ingestedID"], waiting["ingestedTable"])
            if item is None or not _waits_for(item, slot):
                continue  # the index is behind
            if not self.log.claim_slot(slot, self.most):
                break  # others were quicker
            held.add(slot)
            if self._begin(item):
                started.append(Ingestion.from_item(item))
        return started

    def close(self, run: Run) -> None:
        """Free the slot of a run that has ended, and recover those of ends that nobody heard of.

        The latter only where the log says that the ingestion has ended, or that no state of it has
        begun, as where the start failed: Step Functions is asked about few, and `recover` finds the
        others.
        """
        for slot in sorted(self.log.slots()):
            ingested_id, table, name = slot.split(_BETWEEN)
            if name == run.execution_name:
                self.log.free_slot(slot)
                continue
            item = self.log.get(ingested_id, table)
            if item is not None and (item["state"] == State.TRIGGER or not _holds(item, slot)):
                self._recover(slot)

    def recover(self) -> int:
        """Free the slots of runs that are over, start those that never began; return how many."""
        return sum(self._recover(slot) for slot in sorted(self.log.slots()))

    def start(self, ingestion: Ingestion, run: Run) -> bool:
        """Start a run that holds a slot; False if an execution of its name was there and is over.

        Step Functions answers as if it had started it where one is under way.
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
        """Return what Step Functions says of an execution; None if it never began.

        Step Functions also forgets an execution 90 days after its end.
        https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
        """
        try:
            return self.stepfunctions.describe_execution(executionArn=execution_arn)
        except self.stepfunctions.exceptions.ExecutionDoesNotExist:
            return None

    def status(self, run: Run) -> str | None:
        """Return Step Functions' status of a run; None if it never began, or was forgotten."""
        described = self.describe(run.execution_arn)
        return described and str(described["status"])

    def run(self, ingestion: Ingestion, attempt: int) -> Run:
        """Return a run of an ingestion, which need not have begun."""
        return self._named(ingestion.execution_name(attempt))

    def _queue(self, known: tuple[Mapping[str, Any], ...]) -> Iterator[Mapping[str, Any]]:
        seen = set()
        ours = sorted(known, key=changed_at)
        for item in heapq.merge(ours, self.log.waiting(), key=changed_at):
            if key_of(item) not in seen:
                seen.add(key_of(item))
                yield item

    def _begin(self, item: Mapping[str, Any]) -> bool:
        """Start the run of an item that waits and has its slot, unless another call does it."""
        ingestion = Ingestion.from_item(item)
        run = replace(Run.from_item(item), contracts=self.contracts)
        return self.log.begin(ingestion, run) and self.start(ingestion, run)

    def _recover(self, slot: str) -> bool:
        ingested_id, table, name = slot.split(_BETWEEN)
        status = self.status(self._named(name))
        if status == "RUNNING":
            return False
        item = self.log.get(ingested_id, table)
        if status is None and item is not None and _holds(item, slot):
            # Whoever claimed the slot may be about to start the run, which does no harm: Step
            # Functions starts it once.
            if _waits_for(item, slot):
                return self._begin(item)
            return self.start(Ingestion.from_item(item), Run.from_item(item))
        self.log.free_slot(slot)
        return True

    def _named(self, name: str) -> Run:
        machine = self.state_machine_arn.replace(":stateMachine:", ":execution:")
        return Run(f"{machine}:{name}")


def _slot(ingestion: Ingestion, run: Run) -> str:
    return _BETWEEN.join((ingestion.id, ingestion.table, run.execution_name))


def _holds(item: Mapping[str, Any], slot: str) -> bool:
    """Tell whether an item waits for, or is in, the run that a slot is for."""
    its = _slot(Ingestion.from_item(item), Run.from_item(item))
    return its == slot and item["status"] in UNDER_WAY


def _waits_for(item: Mapping[str, Any], slot: str) -> bool:
    return item["status"] == Status.WAITING and _holds(item, slot)
