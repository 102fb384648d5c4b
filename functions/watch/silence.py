"""Holds the log against the contracts' promises: files that were to be loaded, and are not."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from shared import notices
from shared.contract import Contract
from shared.endings import UNDER_WAY, Notice, Status
from shared.ingestion import Source
from shared.ingestion_log import IngestionLog, changed_at, was_loaded
from shared.landing_key import LandingKey
from shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

GRACE = dt.timedelta(minutes=10)
"""What landed at the last minute is still on its ordinary way."""
LOOKBACK = dt.timedelta(days=2)
"""How long ago a deadline may be that is still looked at, if nothing looked meanwhile."""
HORIZON = dt.timedelta(days=14)
"""How far back the newest loaded day is looked for; what is late for longer is late enough."""


@dataclass(frozen=True, slots=True)
class Silence:
    """One look at every promise; `now` is its time."""

    log: IngestionLog
    contracts: Mapping[str, Contract]
    events: "EventBridgeClient"
    now: dt.datetime

    def missing(self, started: Collection[Source] = ()) -> int:
        """Announce the files that are not loaded though they should be; each day's once.

        Args:
            started: what this look has just started; the log's indexes need not show it yet.

        Raises:
            LogUnavailable: DynamoDB did not answer.
            NoticeUndelivered: EventBridge did not take a notice; the next look repeats it.
        """
        keys = [LandingKey.parse(each.key) for each in started]
        under_way = {(key.table, key.date) for key in keys if key is not None}
        return sum(
            (contract.table, day) not in under_way and self._is_missed(contract, day, by)
            for contract in self.contracts.values()
            if contract.sla is not None
            for day, by in self._due(contract, LOOKBACK).items()
        )

    def _due(self, contract: Contract, back: dt.timedelta) -> dict[dt.date, dt.datetime]:
        # Of a stack that was not there yet when a day began, nobody expected its file.
        first_day = self.log.begun().astimezone(ZoneInfo(contract.timezone)).date()
        due = contract.due(self.now - back - GRACE, self.now - GRACE)
        return {day: by for day, by in due.items() if day > first_day}

    def _is_missed(self, contract: Contract, day: dt.date, by: dt.datetime) -> bool:
        """Announce one day's file, unless it is there, under way, or was announced."""
        items = list(self.log.of_day(day, contract.table))
        # What is under way will end, and that is told; if badly, a later look says the rest.
        if any(each["status"] in UNDER_WAY or was_loaded(each) for each in items):
            return False
        failed = max(
            (e for e in items if e["status"] == Status.FAIL and "removedAt" not in e),
            key=changed_at,
            default=None,
        )
        removed = any("removedAt" in each for each in items)
        reason = _reason(contract, day, by, failed, removed=removed)
        failed_id = None if failed is None else failed["ingestedID"]
        missing_id = self.log.miss(contract.table, day, reason, failed_id)
        if missing_id is None:
            return False
        detail = {"ingestedID": missing_id, "ingestedTable": contract.table}
        notices.put(self.events, Notice.MISSING, detail)
        logger.info("missing", extra=detail)
        return True

    def hours_late(self) -> dict[str, float]:
        """Return for how many hours each promised table has been behind; 0 where it is not.

        It is behind from the deadline of the first day after the newest loaded one, until a file
        of that day or a later one is loaded; `HORIZON` at most is looked back.

        Raises:
            LogUnavailable: DynamoDB did not answer.
        """
        return {
            contract.table: self._hours_late(contract)
            for contract in self.contracts.values()
            if contract.sla is not None
        }

    def _hours_late(self, contract: Contract) -> float:
        since = self.now
        for day, by in sorted(self._due(contract, HORIZON).items(), reverse=True):
            if any(map(was_loaded, self.log.of_day(day, contract.table))):
                break
            since = by
        return (self.now - since) / dt.timedelta(hours=1)


def _reason(
    contract: Contract,
    day: dt.date,
    by: dt.datetime,
    failed: Mapping[str, Any] | None,
    *,
    removed: bool,
) -> str:
    local = by.astimezone(ZoneInfo(contract.timezone))
    promised = f"by {local:%Y-%m-%d %H:%M} ({contract.timezone})"
    if failed is None:
        so_far = f"the file of {day} was removed" if removed else f"no file of {day} has come"
        return f"{so_far}; it was to be loaded {promised}"
    return (
        f"the file of {day} was to be loaded {promised}; it came, but {failed['ingestedID']} ended "
        f"in {failed['state']}/{failed['status']}: {failed.get('haltReason')}"
    )
