"""Finds files that are not loaded by the deadline of their contract."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from shared import notices
from shared.contract import Contract
from shared.endings import UNDER_WAY, Notice, Status
from shared.ingestion import Ingestion
from shared.ingestion_log import IngestionLog, changed_at, was_loaded
from shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

GRACE = dt.timedelta(minutes=10)
"""Time after a deadline in which a file may still be loaded."""
LOOKBACK = dt.timedelta(days=2)
"""How far back deadlines are checked if watch did not run in the meantime."""
HORIZON = dt.timedelta(days=14)
"""Lateness is capped at 14 days."""
_UNLOADED = {Status.FAIL: "failed", Status.WAITING: "waiting"}
"""Argument of `miss` for each status of a file that landed and is not loaded."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The check of all deadlines at the time `now`."""

    log: IngestionLog
    contracts: Mapping[str, Contract]
    events: "EventBridgeClient"
    now: dt.datetime

    def missing(self, started: Collection[Ingestion] = ()) -> int:
        """Report each day whose file is not loaded by its deadline, once; return how many.

        `started` are files that this call has just started. The indexes may not show them yet. If
        EventBridge does not accept a notice (NoticeUndelivered), the next call repeats it.
        """
        under_way = {(each.table, each.data_date) for each in started}
        return sum(
            (contract.table, day) not in under_way and self._report_if_missing(contract, day, by)
            for contract in self.contracts.values()
            if contract.sla is not None
            for day, by in self._due(contract, LOOKBACK).items()
        )

    def _due(self, contract: Contract, back: dt.timedelta) -> dict[dt.date, dt.datetime]:
        # No file is expected for the day on which the log table was created, nor for earlier days.
        first_day = self.log.begun().astimezone(ZoneInfo(contract.timezone)).date()
        due = contract.due(self.now - back - GRACE, self.now - GRACE)
        return {day: by for day, by in due.items() if day > first_day}

    def _report_if_missing(self, contract: Contract, day: dt.date, by: dt.datetime) -> bool:
        """Report the file of a day, unless it is loaded, under way or already reported."""
        items = list(self.log.of_day(day, contract.table))
        # An ingestion that is under way ends with an alert. If it fails, a later call reports it.
        if any(each["status"] in UNDER_WAY or was_loaded(each) for each in items):
            return False
        unloaded = max(
            (e for e in items if e["status"] in _UNLOADED and "removedAt" not in e),
            key=changed_at,
            default=None,
        )
        removed = any("removedAt" in each for each in items)
        reason = _reason(contract, day, by, unloaded, removed=removed)
        ids = {} if unloaded is None else {_UNLOADED[unloaded["status"]]: unloaded["ingestedID"]}
        missing_id = self.log.miss(contract.table, day, reason, **ids)
        if missing_id is None:
            return False
        detail = {"ingestedID": missing_id, "ingestedTable": contract.table}
        notices.put(self.events, Notice.MISSING, detail)
        logger.info("missing", extra=detail)
        return True

    def hours_late(self) -> dict[str, float]:
        """Return the lateness in hours of each table with a deadline; 0 if it is not late.

        A table is late from the deadline of the first day after the newest loaded day, until a file
        for that day or a later one is loaded. Lateness is capped at `HORIZON`.
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
    unloaded: Mapping[str, Any] | None,
    *,
    removed: bool,
) -> str:
    local = by.astimezone(ZoneInfo(contract.timezone))
    deadline = f"by {local:%Y-%m-%d %H:%M} ({contract.timezone})"
    if unloaded is None:
        state = f"the file for {day} was removed" if removed else f"no file for {day} has landed"
        return f"{state}; it was due {deadline}"
    if unloaded["status"] == Status.WAITING:
        return (
            f"the file for {day} was due {deadline}; it landed as ingestion "
            f"{unloaded['ingestedID']}, but {unloaded['haltReason']}"
        )
    return (
        f"the file for {day} was due {deadline}; it landed, but ingestion {unloaded['ingestedID']} "
        f"ended with {unloaded['state']}/{unloaded['status']}: {unloaded.get('haltReason')}"
    )
