"""Routes to the ingestion log. They never return contents of files."""

import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.cursor import Cursors, is_text
from functions.api.parameters import Cursor, Limit, Moment, matching, one_of, refuse_unknown, text
from functions.api.problems import missing
from functions.api.responses import (
    CLOSED,
    json_response,
    new_router,
    object_schema,
    openapi_responses,
    page_schema,
)
from shared.column_types import TEXT
from shared.endings import State, Status
from shared.ingestion_log import TOTALS, IngestionLog, changed_at, key_of

_ID = "^[a-z0-9-]{1,64}$"
_STATUSES = [str(status) for status in Status]
_STATES = [str(state) for state in State]

_TEXT: dict[str, Any] = {"type": "string"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}
_STEP: dict[str, Any] = {
    "state": {"type": "string", "enum": _STATES},
    "status": {"type": "string", "enum": _STATUSES},
}
_INGESTION: dict[str, Any] = {
    "id": {"type": "string", "pattern": _ID},
    "table": _TEXT,
    **_STEP,
    "updatedAt": _TIME,
    "removedAt": _TIME | {"description": "Time when the file and its rows were removed."},
    "sourceKey": _TEXT,
    "versionId": _TEXT,
    "size": _NUMBER | {"description": "Size of the file in bytes."},
    "dataDate": {"type": "string", "format": "date"},
    "attempt": _NUMBER | {"description": "Number of the run, from 1."},
    **dict.fromkeys(TOTALS, _NUMBER),
}
_HISTORY = object_schema(
    {**_STEP, "at": _TIME, "counts": {"type": "object", "additionalProperties": _NUMBER}}
)
_NOT_YET = ("removedAt", "versionId", "size", "dataDate", "attempt", *TOTALS)
"""Properties that are omitted while the log does not have them, e.g. for a missing file."""


def ingestions(log: Callable[[], IngestionLog]) -> APIGatewayRouter:
    """Return the routes to the ingestion log."""
    router = new_router()
    common: dict[str, Any] = {"tags": ["ingestions"], "middlewares": [refuse_unknown]}

    @router.get(
        "/ingestions",
        operation_id="listIngestions",
        summary="List ingestions, most recently changed first",
        responses=openapi_responses(page_schema(object_schema(_INGESTION, _NOT_YET)), *CLOSED),
        **common,
    )
    def latest(
        status: Annotated[
            str | None, one_of(_STATUSES), Query(json_schema_extra={"enum": _STATUSES})
        ] = None,
        table: Annotated[
            Any, text, Query(description="Only ingestions of this table.", json_schema_extra=TEXT)
        ] = None,
        since: Annotated[
            Moment | None, Query(description="Only ingestions that changed at this time or later.")
        ] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        cursors = Cursors(("ingestions", status, table, since), (is_text,) * 3)
        after = cursors.decode(cursor)
        statuses = [Status(status)] if status else list(Status)
        until = after[0] if after else None
        wanted = (
            item
            for item in log().newest(
                statuses, table=table, since=since, until=until, page=limit + 1
            )
            if after is None or _is_behind(item, after)
        )
        found = list(itertools.islice(wanted, limit + 1))
        shown = found[:limit]
        following = (
            cursors.encode([changed_at(shown[-1]), *key_of(shown[-1])])
            if len(found) > limit
            else None
        )
        return json_response({"items": [_ingestion(item) for item in shown], "next": following})

    @router.get(
        "/ingestions/<id>",
        operation_id="getIngestion",
        summary="Get an ingestion with its history",
        responses=openapi_responses(
            object_schema(_INGESTION | {"history": {"type": "array", "items": _HISTORY}}, _NOT_YET),
            *CLOSED,
            404,
        ),
        **common,
    )
    def one(
        id: Annotated[str, matching(_ID), Path(json_schema_extra={"pattern": _ID})],  # noqa: A002
    ) -> Response[str]:
        found = log().of_id(id)
        if not found:
            raise missing("No ingestion has this ID. See /ingestions for the latest ones.")
        return json_response(
            _ingestion(found[0]) | {"history": list(map(_step, found[0]["history"]))}
        )

    return router


def _is_behind(item: Mapping[str, Any], after: list[str]) -> bool:
    """Return whether an item that changed no later than position `after` is sorted behind it."""
    changed, *key = after
    return changed_at(item) < changed or key_of(item) > tuple(key)


def _ingestion(item: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"id": item["ingestedID"], "table": item["ingestedTable"]}
    shown = {name: item[name] for name in _INGESTION if name in item}
    return {name: _plain(value) for name, value in (renamed | shown).items()}


def _step(entry: Mapping[str, Any]) -> dict[str, Any]:
    step = {name: str(entry[name]) for name in ("state", "status", "at")}
    # Omit the reason: it may quote the file, which callers of the API may not be allowed to read.
    counts = {name: int(value) for name, value in entry.items() if name not in {*step, "reason"}}
    return step | {"counts": counts}


def _plain(value: Any) -> str | int:
    # boto3 returns numbers of DynamoDB as Decimal.
    return value if isinstance(value, str) else int(value)
