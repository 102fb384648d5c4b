"""The routes to the log: what was ingested when, and how that went; nothing of what is in files."""

import itertools
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import CLOSED, an_object, answer, documented, page_of
from functions.api.cursor import Cursors, is_text
from functions.api.parameters import Cursor, Limit, Moment, matching, none_other, one_of, text
from functions.api.problems import missing
from shared.columns import TEXT
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
    "removedAt": _TIME | {"description": "Since then neither the file nor any row of it is left."},
    "sourceKey": _TEXT,
    "versionId": _TEXT,
    "size": _NUMBER | {"description": "Bytes of the file."},
    "dataDate": {"type": "string", "format": "date"},
    "attempt": _NUMBER | {"description": "Counts the runs from 1."},
    **dict.fromkeys(TOTALS, _NUMBER),
}
_HISTORY = an_object(
    {**_STEP, "at": _TIME, "counts": {"type": "object", "additionalProperties": _NUMBER}}
)
_NOT_YET = ("removedAt", "versionId", "size", "dataDate", "attempt", *TOTALS)
"""What the log may not know, of a file that never came or not yet: it is left out then."""


def ingestions(log: Callable[[], IngestionLog]) -> APIGatewayRouter:
    """Return the routes to the log."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]
    common: dict[str, Any] = {"tags": ["ingestions"], "middlewares": [none_other]}

    @router.get(
        "/ingestions",
        operation_id="listIngestions",
        summary="Ingestions, the last changed first",
        responses=documented(page_of(an_object(_INGESTION, _NOT_YET)), *CLOSED),
        **common,
    )
    def latest(
        status: Annotated[
            str | None, one_of(_STATUSES), Query(json_schema_extra={"enum": _STATUSES})
        ] = None,
        table: Annotated[
            Any, text, Query(description="Those of that table alone.", json_schema_extra=TEXT)
        ] = None,
        since: Annotated[
            Moment | None, Query(description="Those that changed then or later.")
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
        return answer({"items": [_ingestion(item) for item in shown], "next": following})

    @router.get(
        "/ingestions/<id>",
        operation_id="getIngestion",
        summary="An ingestion, step by step",
        responses=documented(
            an_object(_INGESTION | {"history": {"type": "array", "items": _HISTORY}}, _NOT_YET),
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
            raise missing("The log has no ingestion of that ID: /ingestions names the last.")
        return answer(_ingestion(found[0]) | {"history": list(map(_step, found[0]["history"]))})

    return router


def _is_behind(item: Mapping[str, Any], after: list[str]) -> bool:
    """Tell whether an item, which changed no later than a page's last one, comes after that."""
    changed, *key = after
    return changed_at(item) < changed or key_of(item) > tuple(key)


def _ingestion(item: Mapping[str, Any]) -> dict[str, Any]:
    named = {"id": item["ingestedID"], "table": item["ingestedTable"]}
    told = {name: item[name] for name in _INGESTION if name in item}
    return {name: _plain(value) for name, value in (named | told).items()}


def _step(entry: Mapping[str, Any]) -> dict[str, Any]:
    step = {name: str(entry[name]) for name in ("state", "status", "at")}
    # Not the reason: it may quote the file, and whoever asks here need not be one who may know.
    counts = {name: int(value) for name, value in entry.items() if name not in {*step, "reason"}}
    return step | {"counts": counts}


def _plain(value: Any) -> str | int:
    # DynamoDB's numbers are Decimals.
    return value if isinstance(value, str) else int(value)
