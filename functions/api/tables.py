"""Routes to the list of tables and to the description of a table."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.cursor import Cursors, is_text
from functions.api.parameters import MAX_EXAMPLE_LENGTH, MAX_EXAMPLES, Cursor, Limit, refuse_unknown
from functions.api.responses import (
    CLOSED,
    json_response,
    new_router,
    object_schema,
    openapi_responses,
    page_schema,
)
from functions.api.view import MAX_RESPONSE_BYTES, View
from shared.column import Column
from shared.column_types import TYPES
from shared.contract import Contract
from shared.text import bounded

_TEXT: dict[str, Any] = {"type": "string"}
_OPTIONAL: dict[str, Any] = {"type": ["string", "null"]}
_ROLES = ("key", "order", "group", "measure")
_LOOKUP = object_schema(
    {role: _OPTIONAL if role in {"group", "measure"} else _TEXT for role in _ROLES}
)
_COLUMN = object_schema(
    {
        "name": _TEXT,
        "type": {"type": "string", "enum": list(TYPES)},
        "required": {"type": "boolean"},
        "description": _TEXT,
        "examples": {"type": "array", "items": _TEXT, "description": "Values as in a file."},
    }
)
_LINKS = object_schema(
    dict.fromkeys(("rows", "keys", "summary", "document"), _TEXT), ("rows", "keys", "summary")
)


def tables(contracts: Callable[[], Mapping[str, Contract]]) -> APIGatewayRouter:
    """Return the route to the list of tables; `contracts` returns all valid contracts."""
    router = new_router()
    item = object_schema({"table": _TEXT, "description": _TEXT, "lookup": _or_null(_LOOKUP)})

    @router.get(
        "/tables",
        operation_id="listTables",
        summary="List all tables with a valid contract",
        description="Each with the columns of its lookup, if it has one.",
        responses=openapi_responses(page_schema(item), *CLOSED),
        tags=["tables"],
        middlewares=[refuse_unknown],
    )
    def listed(limit: Limit = 100, cursor: Cursor = None) -> Response[str]:
        cursors = Cursors(("tables",), (is_text,))
        [after] = cursors.decode(cursor) or [""]
        known = contracts()
        names = [table for table in sorted(known) if table > after]
        shown = [*islice(_fitting(_listed(known[table]) for table in names), limit)]
        more = len(shown) < len(names)
        return json_response(
            {"items": shown, "next": cursors.encode([shown[-1]["table"]]) if more else None}
        )

    return router


def table(path: str, describe: Callable[[], dict[str, Any]]) -> APIGatewayRouter:
    """Return the route to the description of a table, which `describe` returns."""
    router = new_router()
    schema = {
        "table": _TEXT,
        "version": _TEXT,
        "description": _TEXT,
        "columns": {"type": "array", "items": _COLUMN},
        "lookup": _or_null(_LOOKUP),
        "links": _LINKS | {"description": "Paths relative to the API's URL."},
    }

    @router.get(
        path,
        operation_id="getTable",
        summary="Describe a table",
        responses=openapi_responses(object_schema(schema), *CLOSED, 404),
        tags=["tables"],
        middlewares=[refuse_unknown],
    )
    def one() -> Response[str]:
        return json_response(describe())

    return router


def described(contract: Contract) -> dict[str, Any]:
    """Return the public part of a contract."""
    return _listed(contract) | {
        "version": contract.version,
        "columns": list(map(_column, contract.columns)),
        "links": _links(contract),
    }


def _fitting(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield items as long as they fit into a response, but at least one."""
    size = 0
    for number, item in enumerate(items):
        size += len(json.dumps(json.dumps(item)))
        if number and size > MAX_RESPONSE_BYTES:
            return
        yield item


def _listed(contract: Contract) -> dict[str, Any]:
    lookup = contract.lookup
    return {
        "table": contract.table,
        "description": contract.description,
        "lookup": lookup and {role: getattr(lookup, role) for role in _ROLES},
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.kind,
        "required": column.required,
        "description": column.description,
        "examples": [
            bounded(str(each), MAX_EXAMPLE_LENGTH) for each in column.examples[:MAX_EXAMPLES]
        ],
    }


def _links(contract: Contract) -> dict[str, str]:
    view, path = View.of(contract), f"/tables/{contract.table}"
    parts = ["rows", "keys", *(["summary"] if view.groupings else [])] if view else []
    return {part: f"{path}/{part}" for part in parts} | {"document": f"{path}/openapi.json"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}
