"""Routes to a table's rows: rows of a key, all keys, and sums."""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.freshness import Freshness
from functions.api.pagination import Page, Pages
from functions.api.parameters import Cursor, Limit, Moment, one_of, refuse_unknown, text
from functions.api.problems import missing
from functions.api.responses import (
    CLOSED,
    json_response,
    new_router,
    openapi_responses,
    page_schema,
)
from functions.api.table_spec import ColumnParameter, TableSpec
from shared.column_types import TEXT

_PARTS = ("rows", "keys", "summary")
_ORDERS = ["asc", "desc"]


def get_route(spec: TableSpec, pages: Callable[[], Pages], fresh: Freshness) -> APIGatewayRouter:
    """Return the route `/get`, whose key parameter has the name of the key's column."""
    router = new_router()
    parameter = spec.named_key
    options = _key(parameter, " The parameter has the name of the key's column.")

    @router.get(
        "/get",
        operation_id="getRows",
        summary="List rows of a key in the stack's default table",
        description="Oldest first. An unknown key has no rows.",
        responses=openapi_responses(
            page_schema(spec.row_schema, name="response"), *CLOSED, 404, 410, tag=True
        ),
        **_common(fresh),
    )
    def get(
        key: Annotated[Any, parameter.validator, Query(alias=parameter.name, **options)],
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        page = pages().rows("get", key, limit, cursor)
        return json_response({"response": page.items, "next": page.next})

    return router


def lookups(spec: TableSpec, pages: Callable[[], Pages], fresh: Freshness) -> APIGatewayRouter:
    """Return the routes to a table's rows, keys and sums."""
    router = new_router()
    for add in (_add_rows, _add_keys, _add_summary):
        add(router, spec, pages, fresh)
    return router


def _add_rows(
    router: APIGatewayRouter, spec: TableSpec, pages: Callable[[], Pages], fresh: Freshness
) -> None:
    # Without a group, the parameter is hidden and needs a name that no other parameter has.
    group = spec.group or ColumnParameter("group", text, TEXT)
    group_options: dict[str, Any] = {
        "alias": group.name,
        "description": "Only rows of this group. The parameter has the name of the group's column.",
        "json_schema_extra": group.schema,
        "include_in_schema": spec.group is not None,
    }

    @router.get(
        f"{spec.path}/rows",
        operation_id="listRows",
        summary="List rows of a key, optionally of a period or a group",
        description="An unknown key has no rows.",
        responses=openapi_responses(page_schema(spec.row_schema), *CLOSED, 404, 410, tag=True),
        **_common(fresh),
    )
    def rows(
        key: Annotated[Any, spec.key.validator, Query(**_key(spec.key))],
        since: Annotated[Moment | None, Query(**_time(spec, "from", "at or after"))] = None,
        until: Annotated[Moment | None, Query(**_time(spec, "to", "before"))] = None,
        grouped: Annotated[Any, group.validator, Query(**group_options)] = None,
        order: Annotated[
            str,
            one_of(_ORDERS),
            Query(
                description="Oldest first (asc) or newest first (desc).",
                json_schema_extra={"enum": _ORDERS},
            ),
        ] = _ORDERS[0],
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        filters = _filters(since=since, until=until, group=grouped)
        descending = order == "desc"
        return _page(
            pages().rows("rows", key, limit, cursor, filters=filters, descending=descending)
        )


def _add_keys(
    router: APIGatewayRouter, spec: TableSpec, pages: Callable[[], Pages], fresh: Freshness
) -> None:
    @router.get(
        f"{spec.path}/keys",
        operation_id="listKeys",
        summary="List all keys",
        description="Strings are sorted by their UTF-8 bytes, numbers by value.",
        responses=openapi_responses(page_schema(spec.key_schema), *CLOSED, 404, tag=True),
        **_common(fresh),
    )
    def keys(
        prefix: Annotated[
            Any,
            spec.key.validator,
            Query(
                description="Only keys with this prefix, if keys are strings.",
                json_schema_extra=spec.key.schema,
                include_in_schema=spec.has_prefixes,
            ),
        ] = "",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        return _page(pages().keys(prefix, limit, cursor))


def _add_summary(
    router: APIGatewayRouter, spec: TableSpec, pages: Callable[[], Pages], fresh: Freshness
) -> None:
    @router.get(
        f"{spec.path}/summary",
        operation_id="summarizeRows",
        summary="Count and sum rows of a key",
        description="By UTC days, ISO 8601 weeks or months, or by group.",
        responses=openapi_responses(page_schema(spec.sum_schema), *CLOSED, 404, 410, tag=True),
        include_in_schema=bool(spec.groupings),
        **_common(fresh),
    )
    def summary(
        key: Annotated[Any, spec.key.validator, Query(**_key(spec.key))],
        since: Annotated[Moment | None, Query(**_time(spec, "from", "at or after"))] = None,
        until: Annotated[Moment | None, Query(**_time(spec, "to", "before"))] = None,
        by: Annotated[
            str,
            one_of(spec.groupings),
            Query(
                description=f"Return one sum per {' or '.join(spec.groupings)}.",
                json_schema_extra=spec.by_schema,
            ),
        ] = next(iter(spec.groupings), ""),
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response[str]:
        filters = _filters(since=since, until=until)
        return _page(pages().sums(key, by, limit, cursor, filters))


def without_lookup(table: str) -> APIGatewayRouter:
    """Return the same routes for a table without a lookup; they answer 404."""
    router = new_router()

    def no_lookup() -> Response[str]:
        raise missing(
            f"The contract of {table} has no 'lookup', so the API cannot return its rows. "
            "Add one to the contract."
        )

    for part in _PARTS:
        router.get(f"/tables/{table}/{part}", include_in_schema=False)(no_lookup)
    return router


def _page(page: Page) -> Response[str]:
    return json_response({"items": page.items, "next": page.next})


def _common(fresh: Freshness) -> dict[str, Any]:
    return {"tags": ["lookup"], "middlewares": [refuse_unknown, fresh]}


def _key(parameter: ColumnParameter, hint: str = "") -> dict[str, Any]:
    return {"description": f"The exact key.{hint}", "json_schema_extra": parameter.schema}


def _time(spec: TableSpec, alias: str, relation: str) -> dict[str, Any]:
    description = f"Only rows {relation} this date (midnight UTC) or timestamp with a time zone."
    return {"alias": alias, "description": description, "include_in_schema": spec.has_times}


def _filters(**given: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in given.items()
        if value is not None
    }
