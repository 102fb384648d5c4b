"""How an object version enters the pipeline: logged, then started, exactly once."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shared import notices
from shared.contract import Contract
from shared.ingestion import UNMATCHED, Ingestion, Run, Source, unmatched_id
from shared.landing_key import LandingKey
from shared.progress import Log, State, Status

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_stepfunctions import SFNClient


class Admission(StrEnum):
    """What became of an object version."""

    IGNORED = "ignored"
    """A folder's key: nothing to ingest."""
    REJECTED = "rejected"
    """Its key fits no contract; that is logged and alerted."""
    STARTED = "started"
    KNOWN = "known"
    """It came before, and its run is under way or over."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Admits object versions to the state machine of that ARN."""

    contracts: Mapping[str, Contract]
    log: Log
    stepfunctions: "SFNClient"
    events: "EventBridgeClient"
    state_machine_arn: str

    def admit(self, source: Source) -> Admission:
        """Log an object version and start its run, unless that was done before.

        Safe to repeat at any time: the item is written before the run is started, and a run is
        started again as long as no state has written to the item.

        Raises:
            LogUnavailable: DynamoDB did not answer.
            NoticeUndelivered: EventBridge did not take the notice of a rejection.
        """
        if source.key.endswith("/"):
            return Admission.IGNORED
        key = LandingKey.parse(source.key)
        if key is None or key.table not in self.contracts:
            self._reject(source, key)
            return Admission.REJECTED
        ingestion = Ingestion.of(source, key)
        run = Run(self._execution_arn(ingestion))
        if not self.log.open(ingestion, run):
            item = self.log.get(ingestion.id, ingestion.table) or {}
            if item.get("status") != Status.RUNNING or item.get("state") != State.TRIGGER:
                return Admission.KNOWN
        return self.start(ingestion)

    def start(self, ingestion: Ingestion) -> Admission:
        """Start the run of an ingestion; a run of that name is left alone."""
        try:
            self.stepfunctions.start_execution(
                stateMachineArn=self.state_machine_arn,
                name=ingestion.execution_name,
                input=ingestion.as_json(),
            )
        except self.stepfunctions.exceptions.ExecutionAlreadyExists:
            return Admission.KNOWN
        return Admission.STARTED

    def _reject(self, source: Source, key: LandingKey | None) -> None:
        if key is None:
            reason = (
                f"the key {source.key!r} is not of the form "
                "table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, or names no real date"
            )
        else:
            reason = f"there is no contract for table {key.table!r}, only for " + ", ".join(
                sorted(self.contracts)
            )
        self.log.reject(source, reason)
        # Even if it was logged before: whoever logged it may have died before telling.
        detail = {"ingestedID": unmatched_id(source), "ingestedTable": UNMATCHED}
        notices.put(self.events, notices.Notice.REJECTED, detail)

    def _execution_arn(self, ingestion: Ingestion) -> str:
        machine = self.state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{machine}:{ingestion.execution_name}"
