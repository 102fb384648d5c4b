"""Responses of the routes, and their descriptions in the OpenAPI document."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.problems import MEDIA_TYPE
from shared.column import Column

_NEXT: dict[str, Any] = {
    "type": ["string", "null"],
    "description": "Cursor of the next page; null on the last page.",
}

_TAG = {
    "ETag": {
        "description": "Send it as If-None-Match to repeat the request.",
        "schema": {"type": "string"},
    }
}
_WAIT = {
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_DESCRIPTIONS = {
    400: "A parameter is missing, unknown or invalid, or the cursor belongs to another query.",
    403: "The API key is missing or unknown, or the signature is invalid.",
    404: "Not found.",
    410: "A file with rows of this key was replaced or removed since the first page. Start again.",
    429: "Too many requests. Send fewer per second.",
    500: "Internal error.",
    503: "The database is resuming or unavailable, or the query took over eight seconds. Retry.",
    504: "The API did not answer in time.",
}
OPEN = (429, 500, 503, 504)
"""Error statuses of every route, including those of the gateway."""
CLOSED = (400, 403, 429, 500, 503, 504)
"""Error statuses of every route that needs a key."""


def new_router() -> APIGatewayRouter:
    """Return an empty router."""
    return APIGatewayRouter()  # type: ignore[no-untyped-call]


def json_response(body: dict[str, Any]) -> Response[str]:
    """Return a JSON response with status 200."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(200, content_types.APPLICATION_JSON, text)


def openapi_responses(
    schema: dict[str, Any], *statuses: int, media_type: str = "application/json", tag: bool = False
) -> dict[int, Any]:
    """Return the OpenAPI responses of a route.

    `schema` and `media_type` describe the body with status 200, `statuses` are the errors. `tag`
    means that responses have an ETag, and adds status 304.
    """
    success: dict[str, Any] = {"description": "OK", "content": {media_type: {"schema": schema}}}
    responses: dict[int, Any] = {200: success | ({"headers": _TAG} if tag else {})}
    if tag:
        unchanged = "Nothing has changed since the response with this ETag."
        responses[304] = {"description": unchanged, "headers": _TAG, "content": {}}
    for status in sorted(statuses):
        headers = {"headers": _WAIT} if status in {429, 503} else {}
        problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[status] = {"description": _DESCRIPTIONS[status], "content": problem} | headers
    return responses


def page_schema(item: Mapping[str, Any], *, name: str = "items", **more: Any) -> dict[str, Any]:
    """Return the schema of a page: items, `next`, and the properties in `more`."""
    return object_schema({**more, name: {"type": "array", "items": item}, "next": _NEXT})


def object_schema(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def value_schema(column: Column) -> dict[str, Any]:
    """Return the schema of a column's value."""
    schema = dict(column.type.schema)
    return schema if column.required else schema | {"type": [schema["type"], "null"]}


PROBLEM_SCHEMA = object_schema(
    {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "examples": [HTTPStatus.BAD_REQUEST.phrase]},
        "status": {"type": "integer", "examples": [400]},
        "detail": {"type": "string", "description": "The problem, and what to do about it."},
        "requestId": {"type": "string", "description": "Quote it when you contact the operators."},
        "errors": {
            "type": "array",
            "description": "One entry per invalid parameter.",
            "items": object_schema({name: {"type": "string"} for name in ("in", "name", "detail")}),
        },
    },
    optional=("status", "errors"),
)
"""Schema of an RFC 9457 problem. The gateway's own problems have no `status`."""
