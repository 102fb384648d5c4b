"""The log of ingestions in DynamoDB: one item for each ingestion, updated by every state.

Attributes of an item:

- `state` and `status`: the progress of the ingestion. `status` is `waiting` until the file's
  manifest lands, if its contract requires one, then `queued` until a run may start (see `gate`),
  then `running`, then `success`, `fail` or `superseded`. Items without a run have the status
  `rejected` (an object that matches no contract) or `missing` (the file of a day was not loaded in
  time).
- `manifest`: the version of the manifest that vouches for the file (see `intake`).
- `haltReason`: why the ingestion did not succeed. `advice`: lines of the contract that would accept
  the refused file.
- `history`: every step with its time, its counts and, if it failed, the reason.
- `contracts`: the SHA-256 of the contract set that the last run uses.
- `removedAt`: when the file and its rows were removed.

All writes are conditional. Retries of a function write a step only once, a replaced run cannot
write, and a finished item changes only if its execution is redriven or the ingestion is replayed.
"""

import contextlib
import datetime as dt
import hashlib
import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
from boto3.dynamodb.conditions import Attr, ConditionBase, Key

from shared.endings import STATUS_OF, UNDER_WAY, Outcome, State, Status
from shared.errors import LogUnavailable
from shared.ingestion import UNMATCHED, Ingestion, Run, Source, manifest_fields, unmatched_id
from shared.landing_key import LandingKey, partition
from shared.text import bounded
from shared.verdict import Verdict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Counts = Mapping[str, int]


def _key(ingested_id: str, table: str) -> dict[str, str]:
    return {"ingestedID": ingested_id, "ingestedTable": table}


CLAIM = dt.timedelta(minutes=15)
"""How long a call holds its claim on an alert: longer than Lambda retries the call."""

_REASON_LENGTH = 500
"""Maximum characters of a reason in the history; an item holds many, in at most 400 KB."""
SLOTS = _key("gate", "slots")
"""The key of an item that is not an ingestion: without status and day it is in no index."""
_QUEUED_PAGE = 20  # queued items that DynamoDB reads at a time; callers usually need one
TOTALS = ("rowsRead", "rowsLoaded", "rowsRejected")
"""The counts of the whole ingestion, attributes of the item; other counts are only in `history`."""


def _progress_of(task: str) -> dict[str, str]:
    return _key("watch", task)


def _of_table(table: str | None) -> dict[str, Any]:
    return {} if table is None else {"FilterExpression": Attr("ingestedTable").eq(table)}


def _of_status(status: Status, changed: ConditionBase | None = None) -> dict[str, Any]:
    condition: ConditionBase = Key("status").eq(str(status))
    if changed is not None:
        condition &= changed
    return {"IndexName": "status", "KeyConditionExpression": condition}


def _spelling(key: LandingKey) -> dict[str, str]:
    return _key(key.canonical, "spelling")


class IngestionLog:
    """The log table, a boto3 resource.

    Every method raises `LogUnavailable` if DynamoDB does not answer.
    """

    def __init__(self, table: "Table") -> None:
        self._table = table

    @classmethod
    def of(cls, table_name: str) -> "IngestionLog":
        """Return the log in the DynamoDB table of that name."""
        return cls(boto3.resource("dynamodb").Table(table_name))

    def begun(self) -> dt.datetime:
        """Return when the table was created; the stack expects no files of earlier days."""
        with _unavailable():
            return self._table.creation_date_time

    def enqueue(
        self,
        ingestion: Ingestion,
        run: Run,
        *,
        awaits: str | None = None,
        found_by: str | None = None,
    ) -> bool:
        """Write the item of a new, queued ingestion; return False if the item already exists.

        `awaits` says for which manifest it waits, if it does. `found_by` is the component that
        found the file, if its S3 event was lost.
        """
        status = Status.QUEUED if awaits is None else Status.WAITING
        entry = _entry(State.TRIGGER, status, {}, awaits)
        reason = {} if awaits is None else {"haltReason": bounded(awaits)}
        return self._put(_new(ingestion, run, entry, status) | reason | _found(found_by))

    def release(
        self, item: Mapping[str, Any], manifest: Source | None, reason: str | None = None
    ) -> bool:
        """Let an ingestion that waits for its manifest wait for a run; return False if it does not.

        `reason` is why it may run without a manifest.
        """
        return self._append(
            _key(*key_of(item)),
            _entry(State.TRIGGER, Status.QUEUED, {}, reason),
            {"status": str(Status.QUEUED), **manifest_fields(manifest)},
            "#status = :waiting AND attribute_not_exists(removedAt)",
            {":waiting": str(Status.WAITING)},
            " REMOVE haltReason",
        )

    def dismiss(self, item: Mapping[str, Any], reason: str) -> bool:
        """End an ingestion that waits for its manifest, without an alert; return as `release`."""
        reason = bounded(reason)
        end = f"{Run.from_item(item).name}/{Status.SUPERSEDED}"
        return self._append(
            _key(*key_of(item)),
            _entry(State.TRIGGER, Status.SUPERSEDED, {}, reason),
            {"status": str(Status.SUPERSEDED), "haltReason": reason},
            "#status = :waiting",
            {
                ":waiting": str(Status.WAITING),
                ":alerts": {**item["alerts"], end: {"sent": False, "unwanted": True}},
            },
            ", alerts = :alerts",
        )

    def register(self, manifest_key: str, ingestion: Ingestion) -> None:
        """Write that a manifest may vouch for an ingestion."""
        with _unavailable():
            self._table.put_item(Item=_registration(manifest_key, ingestion))

    def unregister(self, manifest_key: str, ingestion: Ingestion) -> None:
        """Delete what `register` wrote."""
        with _unavailable():
            self._table.delete_item(Key=_registration(manifest_key, ingestion))

    def registered(self, bucket: str, manifest_key: str) -> Iterator[dict[str, Any]]:
        """Yield the items of the ingestions registered for a manifest (strongly consistent)."""
        condition = Key("ingestedID").eq(_manifest_id(bucket, manifest_key))
        for each in self._pages({"KeyConditionExpression": condition, "ConsistentRead": True}):
            # Not logged yet: whoever registered it logs it next, and then looks for the manifest.
            if (item := self.get(*each["ingestedTable"].split("/"))) is not None:
                yield item

    def claim_manifest(
        self, manifest: Source, ingestion: Ingestion, loser: str | None = None
    ) -> str:
        """Claim a version of a manifest for a version of a file; return the ID of its holder.

        `loser` is the ID of an ingestion that gave its claim up: see `yield_manifest`.
        """
        key = _claim(manifest, ingestion)
        is_held = self._conditionally(
            lambda: self._table.put_item(
                Item={**key, "heldBy": ingestion.id},
                ConditionExpression="attribute_not_exists(ingestedID) OR heldBy IN (:id, :loser)",
                ExpressionAttributeValues={":id": ingestion.id, ":loser": loser or ingestion.id},
            )
        )
        return ingestion.id if is_held else str((self.get(*key.values()) or {})["heldBy"])

    def yield_manifest(self, item: Mapping[str, Any], manifest: Source) -> bool:
        """Give up the claim of an ingestion on a manifest; return False if it needs the claim.

        It does if it is under way or was loaded with this manifest. It may have been replayed
        without one. The write makes a concurrent `release` or `reopen` of the same item fail.
        """
        if item["status"] == Status.WAITING:
            return self.dismiss(item, "a newer version of the file took its manifest")
        used = item.get("manifest", {}).get("versionId") == manifest.version_id
        if used and (item["status"] in UNDER_WAY or was_loaded(item)):
            return False
        return self._conditionally(
            lambda: self._table.update_item(
                Key=_key(*key_of(item)),
                UpdateExpression="SET updatedAt = :now" + (" REMOVE manifest" if used else ""),
                ConditionExpression="#status = :status AND updatedAt = :known",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":now": _now(),
                    ":status": item["status"],
                    ":known": item["updatedAt"],
                },
            )
        )

    def open(self, ingestion: Ingestion, run: Run) -> bool:
        """Write the item of an ingestion whose run was started by hand; return as `enqueue`."""
        entry = _entry(State.TRIGGER, Status.SUCCESS, {})
        return self._put(_new(ingestion, run, entry, Status.RUNNING))

    def begin(self, ingestion: Ingestion, run: Run) -> bool:
        """Write that a run is about to start; return False unless its ingestion waits for it."""
        return self._append(
            _key(ingestion.id, ingestion.table),
            _entry(State.TRIGGER, Status.SUCCESS, {}),
            {"status": str(Status.RUNNING), "contracts": run.contracts},
            "#status = :queued AND executionArn = :execution",
            {":queued": str(Status.QUEUED), ":execution": run.execution_arn},
        )

    def reopen(
        self,
        item: Mapping[str, Any],
        run: Run,
        manifest: Source | None = None,
        reason: str | None = None,
    ) -> bool:
        """Set an ingestion to wait for a new run; return False if `item` is out of date.

        `manifest` and `reason` are as for `release`.
        """
        attempt = int(item["attempt"]) + 1
        sets = {
            "executionArn": run.execution_arn,
            "redrive": run.redrive,
            "attempt": attempt,
            "state": str(State.TRIGGER),
            "status": str(Status.QUEUED),
            **manifest_fields(manifest),
        }
        known = {name: item[name] for name in ("executionArn", "redrive", "status", "updatedAt")}
        # These belong to the previous run.
        previous = {*TOTALS, "advice", "contracts", "haltReason", "manifest"}
        outdated = ", ".join(sorted(previous - set(sets)))
        return self._append(
            _key(*key_of(item)),
            _entry(State.TRIGGER, Status.QUEUED, {"attempt": attempt}, reason),
            sets,
            " AND ".join(f"#{name} = :known_{name}" for name in known),
            {f":known_{name}": value for name, value in known.items()},
            f" REMOVE {outdated}",
        )

    def reject(
        self,
        source: Source,
        reason: str,
        *,
        found_by: str | None = None,
        logged_as: str | None = None,
    ) -> bool:
        """Write the item of an object that matches no contract; return False if it exists.

        `found_by` is as for `enqueue`. `logged_as` is its ID, if it is for further objects too.
        """
        reason = bounded(reason)
        return self._put(
            {
                **_item(logged_as or unmatched_id(source), UNMATCHED, source),
                "status": Status.REJECTED,
                "haltReason": reason,
                "history": [_entry(State.TRIGGER, Status.REJECTED, {}, reason)],
                **_found(found_by),
            }
        )

    def spelling(self, key: LandingKey) -> str:
        """Return the claim of the file of the source that landed first, and remember it.

        It is a spelling or a table: see `LandingKey.claim`.
        """
        name = _spelling(key)
        is_first = self._conditionally(
            lambda: self._table.put_item(
                Item={**name, "sourceKey": key.claim},
                ConditionExpression="attribute_not_exists(ingestedID) OR sourceKey = :key",
                ExpressionAttributeValues={":key": key.claim},
            )
        )
        return key.claim if is_first else str((self.get(*name.values()) or {})["sourceKey"])

    def forget_spelling(self, key: LandingKey) -> bool:
        """Forget the claim of a key; return False if a file with another claim landed first."""
        return self._conditionally(
            lambda: self._table.delete_item(
                Key=_spelling(key),
                ConditionExpression="sourceKey = :key",
                ExpressionAttributeValues={":key": key.claim},
            )
        )

    def miss(
        self,
        table: str,
        day: dt.date,
        reason: str,
        failed: str | None = None,
        waiting: str | None = None,
    ) -> str | None:
        """Write the item of a day whose file was not loaded in time; return its ID if it is new.

        `reason` is the expected time, and the state of the file instead. `failed` or `waiting` is
        the ID of the ingestion that failed or waits for its manifest, if a file landed.
        """
        missing_id = f"{day:%Y%m%d}-{Status.MISSING}"
        reason = bounded(reason)
        entry = _entry(State.TRIGGER, Status.MISSING, {}, reason)
        is_new = self._put(
            {
                **_key(missing_id, table),
                "state": State.TRIGGER,
                "status": Status.MISSING,
                "sourceKey": f"{partition(table, day)}/",
                "dataDate": day.isoformat(),
                "haltReason": reason,
                "history": [entry],
                "alerts": {},
                "updatedAt": entry["at"],
                **({} if failed is None else {"failedID": failed}),
                **({} if waiting is None else {"waitingID": waiting}),
            }
        )
        return missing_id if is_new else None

    def get(self, ingested_id: str, table: str) -> dict[str, Any] | None:
        """Return an item (strongly consistent read), or None."""
        with _unavailable():
            response = self._table.get_item(Key=_key(ingested_id, table), ConsistentRead=True)
        return response.get("Item")

    def with_status(
        self, status: Status, since: dt.datetime | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a status that changed at `since` or later, the oldest change first."""
        changed = None if since is None else Key("updatedAt").gte(timestamp(since))
        return self._pages(_of_status(status, changed))

    def queued(self) -> Iterator[dict[str, Any]]:
        """Yield the queued items, the longest waiting first; reads as few pages as needed."""
        return self._pages(_of_status(Status.QUEUED) | {"Limit": _QUEUED_PAGE})

    def count(self, status: Status) -> int:
        """Return the number of items with a status."""
        query = _of_status(status) | {"Select": "COUNT"}
        return sum(page["Count"] for page in self._answers(query))

    def slots(self) -> set[str]:
        """Return the names of the slots that runs hold (strongly consistent read)."""
        item = self.get(*SLOTS.values()) or {}
        return set(item.get("slots", ()))

    def claim_slot(self, name: str, most: int) -> bool:
        """Claim a slot, idempotently; return False if `most` other slots are held."""
        return self._conditionally(
            lambda: self._table.update_item(
                Key=dict(SLOTS),
                UpdateExpression="ADD slots :slot",
                ConditionExpression=(
                    "attribute_not_exists(slots) OR contains(slots, :name) OR size(slots) < :most"
                ),
                ExpressionAttributeValues={":slot": {name}, ":name": name, ":most": most},
            )
        )

    def free_slot(self, name: str) -> None:
        """Free a slot, if it is held."""
        with _unavailable():
            self._table.update_item(
                Key=dict(SLOTS),
                UpdateExpression="DELETE slots :slot",
                ExpressionAttributeValues={":slot": {name}},
            )

    def of_day(self, day: dt.date, table: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the items of a day, of all tables or of one."""
        condition = Key("dataDate").eq(day.isoformat())
        query = {"IndexName": "dataDate", "KeyConditionExpression": condition}
        return self._pages(query | _of_table(table))

    def newest(
        self,
        statuses: Iterable[Status],
        *,
        table: str | None = None,
        since: dt.datetime | None = None,
        until: str | None = None,
        page: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield items, the last changed first; items of the same time are in the order of keys.

        `since` and `until` are inclusive, `until` in the format of `updatedAt`. DynamoDB reads
        `page` items at a time. No item is yielded twice, even if its status changes during the
        iteration.
        """
        least, most = timestamp(since) if since else "0", until or "~"
        if least > most:
            return
        changed = Key("updatedAt").between(least, most)
        query = {"ScanIndexForward": False} | _of_table(table) | ({"Limit": page} if page else {})
        # Each stream is sorted, so the merge reads only the pages that the caller consumes.
        streams = [self._pages(_of_status(each, changed) | query) for each in statuses]
        merged = heapq.merge(*streams, key=changed_at, reverse=True)
        seen = set()
        for _, moment in itertools.groupby(merged, key=changed_at):
            for item in sorted(moment, key=key_of):
                if key_of(item) not in seen:
                    seen.add(key_of(item))
                    yield item

    def of_id(self, ingested_id: str) -> list[dict[str, Any]]:
        """Return the ingestions with an ID (strongly consistent read): one, or none."""
        condition = Key("ingestedID").eq(ingested_id)
        found = self._pages({"KeyConditionExpression": condition, "ConsistentRead": True})
        return [item for item in found if "status" in item]

    def progress(self, task: str) -> dict[str, Any] | None:
        """Return the last progress of a task of watch (strongly consistent read), or None."""
        return self.get(*_progress_of(task).values())

    def save_progress(self, task: str, progress: Mapping[str, Any]) -> None:
        """Write how far watch is with a task that takes several calls."""
        with _unavailable():
            self._table.put_item(Item={**_progress_of(task), **progress})

    def enter(self, ingestion: Ingestion, run: Run, state: State) -> bool:
        """Write that a state began; return False if already written, or if the run has ended."""
        return self._advance(ingestion, run, state, Status.RUNNING, Status.RUNNING, {})

    def passed(self, ingestion: Ingestion, run: Run, state: State, counts: Counts) -> bool:
        """Write that a state succeeded and the next one may begin; return as `enter`."""
        return self._advance(ingestion, run, state, Status.SUCCESS, Status.RUNNING, counts)

    def finish(
        self,
        ingestion: Ingestion,
        run: Run,
        state: State,
        status: Status,
        counts: Counts,
        reason: str | None = None,
        advice: str | None = None,
    ) -> bool:
        """Write that the ingestion ended in `state`; return as `enter`.

        `reason` is why the ingestion did not succeed, and `advice` that of a verdict.
        """
        why = {"haltReason": reason, "advice": advice}
        return self._advance(ingestion, run, state, status, status, counts, why)

    def leave(self, ingestion: Ingestion, run: Run, state: State, verdict: Verdict) -> bool:
        """Write the verdict of a state; return False if there is nothing new to write."""
        match verdict.outcome:
            case Outcome.OK if state != State.LOAD:
                return self.passed(ingestion, run, state, verdict.counts)
            case Outcome.ROWS_REFUSED:
                return False  # Load runs again without these rows
            case Outcome.OK | Outcome.REFUSED | Outcome.FAILED_TESTS | Outcome.SUPERSEDED:
                status = STATUS_OF[verdict.outcome]
                why = verdict.reason, verdict.advice
                return self.finish(ingestion, run, state, status, verdict.counts, *why)

    def _advance(
        self,
        ingestion: Ingestion,
        run: Run,
        state: State,
        step: Status,
        status: Status,
        counts: Counts,
        why: Mapping[str, str | None] = MappingProxyType({}),
    ) -> bool:
        reason = why.get("haltReason")
        entry = _entry(state, step, counts, reason)
        sets = {
            "state": str(state),
            "status": str(status),
            "redrive": run.redrive,
            **{name: count for name, count in counts.items() if name in TOTALS},
        }
        if reason is not None:
            sets["haltReason"] = bounded(reason)
        if advice := why.get("advice"):
            sets["advice"] = advice
        mark = _mark(run, state, step)
        return self._append(
            _key(ingestion.id, ingestion.table),
            entry,
            sets,
            "executionArn = :execution AND NOT contains(steps, :mark) "
            "AND (redrive < :redrive OR (redrive = :redrive AND #status = :running))",
            {
                ":step": {mark},
                ":mark": mark,
                ":execution": run.execution_arn,
                ":running": str(Status.RUNNING),
            },
            " ADD steps :step" + ("" if reason is not None else " REMOVE haltReason, advice"),
        )

    def removed(self, ingested_id: str, table: str) -> bool:
        """Write that an ingestion's file and rows are removed; return False if no item exists."""
        item = self.get(ingested_id, table)
        if item is not None and item["status"] == Status.WAITING:
            self.dismiss(item, "the file was removed before its manifest landed")
        return self._conditionally(
            lambda: self._table.update_item(
                Key=_key(ingested_id, table),
                # The lookup API takes the version of its rows from `updatedAt`.
                UpdateExpression="SET removedAt = :now, updatedAt = :now",
                ConditionExpression="attribute_exists(ingestedID)",
                ExpressionAttributeValues={":now": _now()},
            )
        )

    def claim_alert(self, ingested_id: str, table: str, end: str, request_id: str) -> bool:
        """Claim the alert of one end; return False if it is sent, or claimed by another request.

        Lambda retries an event under the same `request_id`, so a function that crashed before it
        sent the message keeps its claim, and a duplicate event does not get it. A claim without a
        message expires after `CLAIM`.
        """
        lapsed = timestamp(dt.datetime.now(dt.UTC) - CLAIM)
        return self._update_alert(
            (ingested_id, table, end),
            {"requestId": request_id, "sent": False, "claimedAt": _now()},
            "attribute_not_exists(alerts.#end) OR (alerts.#end.sent = :false AND "
            "attribute_not_exists(alerts.#end.unwanted) AND "
            "(alerts.#end.requestId = :request OR alerts.#end.claimedAt < :lapsed))",
            {":request": request_id, ":false": False, ":lapsed": lapsed},
        )

    def alert_sent(self, ingested_id: str, table: str, end: str, request_id: str) -> bool:
        """Write that the alert of one end was published to the topic."""
        alert = {"requestId": request_id, "sent": True}
        return self._update_alert((ingested_id, table, end), alert, "attribute_exists(alerts.#end)")

    def suppress_alert(self, ingested_id: str, table: str, end: str) -> bool:
        """Mark the alert of one end as suppressed; return False if it is already recorded."""
        alert = {"sent": False, "unwanted": True}
        is_new = "attribute_not_exists(alerts.#end)"
        return self._update_alert((ingested_id, table, end), alert, is_new)

    def _update_alert(
        self,
        of: tuple[str, str, str],
        alert: dict[str, Any],
        condition: str,
        values: Mapping[str, Any] = MappingProxyType({}),
    ) -> bool:
        ingested_id, table, end = of
        return self._conditionally(
            lambda: self._table.update_item(
                Key=_key(ingested_id, table),
                UpdateExpression="SET alerts.#end = :alert",
                ConditionExpression=f"attribute_exists(ingestedID) AND ({condition})",
                ExpressionAttributeNames={"#end": end},
                ExpressionAttributeValues={":alert": alert, **values},
            )
        )

    def _append(
        self,
        key: dict[str, str],
        entry: Mapping[str, Any],
        sets: Mapping[str, Any],
        condition: str,
        values: Mapping[str, Any],
        more: str = "",
    ) -> bool:
        """Append an entry to the history and set attributes, at least the status."""
        sets = {**sets, "updatedAt": entry["at"]}
        assignments = ", ".join(f"#{name} = :{name}" for name in sets)
        return self._conditionally(
            lambda: self._table.update_item(
                Key=key,
                UpdateExpression=f"SET {assignments}, history = list_append(history, :entry){more}",
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in sets},
                ExpressionAttributeValues={
                    **{f":{name}": value for name, value in sets.items()},
                    ":entry": [entry],
                    **values,
                },
            )
        )

    def _pages(self, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for page in self._answers(query):
            yield from page["Items"]

    def _answers(self, query: Mapping[str, Any]) -> Iterator[Any]:
        begin: dict[str, Any] = {}
        while True:
            with _unavailable():
                page = self._table.query(**query, **begin)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            begin = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _put(self, item: dict[str, Any]) -> bool:
        return self._conditionally(
            lambda: self._table.put_item(
                Item=item, ConditionExpression="attribute_not_exists(ingestedID)"
            )
        )

    def _conditionally(self, write: Any) -> bool:
        with _unavailable():
            try:
                write()
            except self._table.meta.client.exceptions.ConditionalCheckFailedException:
                return False
        return True


def changed_at(item: Mapping[str, Any]) -> str:
    """Return when an item last changed, in the format of `timestamp`."""
    return str(item["updatedAt"])


def key_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the primary key of an item: `ingestedID` and `ingestedTable`."""
    return str(item["ingestedID"]), str(item["ingestedTable"])


def was_loaded(item: Mapping[str, Any]) -> bool:
    """Return whether this or a newer version of the file was loaded, and not removed since.

    A failed replay does not remove rows, so it changes nothing.
    """
    loaded = {Status.SUCCESS, Status.SUPERSEDED}
    return "removedAt" not in item and any(
        step["state"] == State.LOAD and step["status"] in loaded for step in item["history"]
    )


def is_alert_settled(item: Mapping[str, Any]) -> bool:
    """Return whether the alert of an item's current end was sent or suppressed."""
    if "executionArn" in item and item["status"] != Status.WAITING:
        return _is_alerted(item, Run.from_item(item))
    # Without a run, e.g. of a missing file or while it waits for its manifest, there is one alert.
    return any(map(_is_settled, item["alerts"].values()))


def executions_without_alert(item: Mapping[str, Any]) -> list[str]:
    """Return the ARNs of an item's executions without an alert, including replayed ones."""
    ingestion, current = Ingestion.from_item(item), Run.from_item(item)
    machine = current.execution_arn.removesuffix(current.execution_name)
    replayed = [
        Run(f"{machine}{name}", _redrives(item, name))
        for name in map(ingestion.execution_name, range(1, int(item["attempt"])))
    ]
    return [run.execution_arn for run in (*replayed, current) if not _is_alerted(item, run)]


def _redrives(item: Mapping[str, Any], name: str) -> int:
    """Return how often an execution was redriven, according to its logged steps."""
    steps = [step.split("/") for step in item.get("steps", ())]
    return max((int(redrive) for execution, redrive, *_ in steps if execution == name), default=0)


def _is_alerted(item: Mapping[str, Any], run: Run) -> bool:
    # Step Functions reports only the last end of a redriven execution, so its alert counts for all.
    # The notice that its manifest is missing, which may precede the run, has no slash.
    alerts = item["alerts"].items()
    ends = [end.split("/") for end, alert in alerts if "/" in end and _is_settled(alert)]
    return any(name == run.execution_name and int(n) >= run.redrive for name, n, _ in ends)


def _is_settled(alert: Mapping[str, Any]) -> bool:
    return bool(alert["sent"] or alert.get("unwanted"))


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    # Other errors, e.g. a denied or malformed request, would fail again: they are raised unchanged.
    transient = {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
    }
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in transient:
            raise
        raise LogUnavailable(f"DynamoDB is unavailable: {error}") from error
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise LogUnavailable(f"DynamoDB did not answer: {error}") from error


def timestamp(time: dt.datetime) -> str:
    """Return an aware time as in the log: UTC with milliseconds, which sorts as text."""
    utc = time.astimezone(dt.UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now() -> str:
    return timestamp(dt.datetime.now(dt.UTC))


def _manifest_id(bucket: str, key: str) -> str:
    return f"manifest-{_hash(bucket, key)}"


def _registration(manifest_key: str, ingestion: Ingestion) -> dict[str, str]:
    manifest_id = _manifest_id(ingestion.source.bucket, manifest_key)
    return _key(manifest_id, f"{ingestion.id}/{ingestion.table}")


def _claim(manifest: Source, ingestion: Ingestion) -> dict[str, str]:
    names = manifest.bucket, manifest.key, manifest.version_id, ingestion.source.key
    return _key(f"manifest-{_hash(*names)}", "claim")


def _hash(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def _item(ingested_id: str, table: str, source: Source) -> dict[str, Any]:
    return {
        **_key(ingested_id, table),
        "state": State.TRIGGER,
        "bucket": source.bucket,
        "sourceKey": source.key,
        "versionId": source.version_id,
        "size": source.size,
        "alerts": {},
        "updatedAt": _now(),
    }


def _new(
    ingestion: Ingestion, run: Run, entry: Mapping[str, Any], status: Status
) -> dict[str, Any]:
    return {
        **_item(ingestion.id, ingestion.table, ingestion.source),
        "dataDate": ingestion.data_date.isoformat(),
        "executionArn": run.execution_arn,
        "redrive": run.redrive,
        "attempt": 1,
        "status": status,
        "history": [entry],
        **({} if run.contracts is None else {"contracts": run.contracts}),
        **manifest_fields(ingestion.manifest),
    }


def _found(found_by: str | None) -> dict[str, str]:
    return {} if found_by is None else {"foundBy": found_by}


def _entry(
    state: State, status: Status, counts: Counts, reason: str | None = None
) -> dict[str, Any]:
    why = {} if reason is None else {"reason": bounded(reason, _REASON_LENGTH)}
    return {"state": str(state), "status": str(status), "at": _now(), **counts, **why}


def _mark(run: Run, state: State, status: Status) -> str:
    return f"{run.name}/{state}/{status}"
