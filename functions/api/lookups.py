"""The routes to the rows: those of a key, all keys, and sums."""

import datetime as dt
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import CLOSED, an_object, answer, documented, page_of, value_of
from functions.api.freshness import Freshness
from functions.api.pagination import Page, Pages
from functions.api.parameters import (
    Cursor,
    Limit,
    Moment,
    none_other,
    one_of,
    reading,
    reading_path,
    schema,
)
from functions.api.statements import PERIODS
from functions.api.view import View

PATHS = ("/get", "/users", "/users/<user>/checkins", "/users/<user>/summary")
_ORDERS = ["asc", "desc"]
_SINCE = "Rows from then on: a date (midnight in UTC) or a timestamp with its zone."
_UNTIL = "Rows before then: a date (midnight in UTC) or a timestamp with its zone."


def lookups(view: View, pages: Pages, fresh: Freshness) -> APIGatewayRouter:
    """Return the routes to what a view shows."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]
    key, group = view.key, view.group or view.key
    groupings = [*(PERIODS if view.has_times else ()), *([group.name] if view.group else ())]
    row = an_object({column.name: value_of(column) for column in view.fields})
    common: dict[str, Any] = {"tags": ["look-up"], "middlewares": [none_other, fresh]}

    asked: dict[str, Any] = {
        "description": f"The whole {key.name}, as it was loaded.",
        "json_schema_extra": schema(key),
    }
    a_group: dict[str, Any] = {
        "alias": group.name,
        "description": f"Rows of that {group.name} alone.",
        "json_schema_extra": schema(group),
        "include_in_schema": view.group is not None,
    }
    times: dict[str, Any] = {"include_in_schema": view.has_times}

    @router.get(
        "/get",
        operation_id="getRows",
        summary=f"The rows of a {key.name}",
        description=f"The oldest first. Nobody knows the {key.name}: no rows.",
        responses=documented(page_of(row, name="response"), *CLOSED, 410, tag=True),
        **common,
    )
    def get(
        user: Annotated[Any, reading(key), Query(alias=key.name, **asked)],
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        page = pages.rows("get", user, limit, cursor)
        return answer({"response": page.items, "next": page.next})

    @router.get(
        "/users",
        operation_id="listUsers",
        summary=f"Every {key.name}, once",
        description="In the order of their bytes in UTF-8.",
        responses=documented(page_of(value_of(key)), *CLOSED, tag=True),
        **common,
    )
    def users(
        prefix: Annotated[
            Any,
            reading(key),
            Query(
                description="Those that begin so.",
                json_schema_extra=schema(key),
                include_in_schema=key.type.is_text,
            ),
        ] = "",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        return _answer(pages.keys(prefix, limit, cursor))

    @router.get(
        "/users/<user>/checkins",
        operation_id="listCheckins",
        summary=f"The rows of a {key.name}, of a time or a {group.name}",
        responses=documented(page_of(row), *CLOSED, 404, 410, tag=True),
        **common,
    )
    def checkins(
        user: Annotated[Any, reading_path(key), Path(**asked)],
        since: Annotated[Moment | None, Query(alias="from", description=_SINCE, **times)] = None,
        until: Annotated[Moment | None, Query(alias="to", description=_UNTIL, **times)] = None,
        grouped: Annotated[Any, reading(group), Query(**a_group)] = None,
        order: Annotated[
            str,
            one_of(_ORDERS),
            Query(
                description="The oldest or the newest first.", json_schema_extra={"enum": _ORDERS}
            ),
        ] = _ORDERS[0],
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        filters = _filters(since=since, until=until, group=grouped)
        last_first = order == "desc"
        page = pages.rows("checkins", user, limit, cursor, filters=filters, descending=last_first)
        return _answer(page, pages, user)

    @router.get(
        "/users/<user>/summary",
        operation_id="summarizeCheckins",
        summary=f"How many rows a {key.name} has, and their sum",
        description="By days, ISO 8601 weeks or months in UTC, or by what they are for.",
        responses=documented(page_of(_sum(view)), *CLOSED, 404, 410, tag=True),
        **common,
    )
    def summary(
        user: Annotated[Any, reading_path(key), Path(**asked)],
        since: Annotated[Moment | None, Query(alias="from", description=_SINCE, **times)] = None,
        until: Annotated[Moment | None, Query(alias="to", description=_UNTIL, **times)] = None,
        by: Annotated[
            str,
            one_of(groupings),
            Query(description="What one sum is of.", json_schema_extra={"enum": groupings}),
        ] = next(iter(groupings), ""),
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        page = pages.sums(user, by, limit, cursor, _filters(since=since, until=until))
        return _answer(page, pages, user)

    def _answer(page: Page, pages: Pages | None = None, user: Any = None) -> Response[str]:
        if not page.items and pages is not None and not pages.knows(user):
            raise NotFoundError(f"There is no such {key.name}: /users names everyone.")
        return answer({"items": page.items, "next": page.next})

    return router


def nothing_to_look_up() -> APIGatewayRouter:
    """Return the same routes where no contract has a look-up."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]
    for path in PATHS:
        router.get(path)(_nothing)
    return router


def _nothing() -> Response[str]:
    raise NotFoundError(
        "There is nothing to look up: no valid contract has the custom property 'lookup'."
    )


def _sum(view: View) -> dict[str, Any]:
    shown = [view.group.type.schema["type"]] if view.group else []
    groups = {"type": list(dict.fromkeys(["string", *shown, "null"]))}
    total = {view.measure.name: {"type": "string"}} if view.measure else {}
    return an_object({"group": groups, "rows": {"type": "integer", "minimum": 1}, **total})


def _filters(**given: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in given.items()
        if value is not None
    }
