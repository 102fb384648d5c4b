"""What routes answer, and how the document says it."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types

from functions.api.problems import MEDIA_TYPE
from shared.contract import Column

Documented = dict[int, Any]

NEXT: dict[str, Any] = {
    "type": ["string", "null"],
    "description": "The cursor of the next page; null on the last.",
}

_TAG = {
    "ETag": {"description": "Send it as If-None-Match to ask again.", "schema": {"type": "string"}}
}
_WAIT = {
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_SAID = {
    400: "A parameter is missing, unknown or of the wrong form, or a cursor of another query's.",
    403: "No API key, an unknown one, or a signature that is not right.",
    404: "There is no such thing.",
    410: "A file with rows of this key was replaced or removed since the first page: start again.",
    429: "Too many requests: slow down.",
    500: "Something is broken here.",
    503: "The database or the API is waking up or away, or the query took over eight seconds.",
    504: "The API did not answer in time.",
}
OPEN = (429, 500, 503, 504)
"""What every route may answer besides its own, the gateway's answers among them."""
CLOSED = (400, 403, 429, 500, 503, 504)
"""The same of a route that needs a key."""


def answer(body: dict[str, Any]) -> Response[str]:
    """Return a body of JSON with status 200."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(200, content_types.APPLICATION_JSON, text)


def documented(
    schema: dict[str, Any], *statuses: int, media_type: str = "application/json", tag: bool = False
) -> Documented:
    """Return what a route may answer: a body of `schema`, and problems.

    Args:
        schema: JSON schema of the body.
        statuses: the problems.
        media_type: of the body.
        tag: whether there is an ETag, and so 304.
    """
    good: dict[str, Any] = {"description": "OK", "content": {media_type: {"schema": schema}}}
    found: Documented = {200: good | ({"headers": _TAG} if tag else {})}
    if tag:
        unchanged = "Nothing has changed since the answer with that ETag."
        found[304] = {"description": unchanged, "headers": _TAG, "content": {}}
    for status in sorted(statuses):
        waits = {"headers": _WAIT} if status in {429, 503} else {}
        problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        found[status] = {"description": _SAID[status], "content": problem} | waits
    return found


def page_of(item: Mapping[str, Any], *, name: str = "items", **more: Any) -> dict[str, Any]:
    """Return the schema of a page of items."""
    return an_object({**more, name: {"type": "array", "items": item}, "next": NEXT})


def an_object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def value_of(column: Column) -> dict[str, Any]:
    """Return the schema of a column's value."""
    shown = dict(column.type.schema)
    return shown if column.required else shown | {"type": [shown["type"], "null"]}


PROBLEM = an_object(
    {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string", "examples": [HTTPStatus.BAD_REQUEST.phrase]},
        "status": {"type": "integer", "examples": [400]},
        "detail": {"type": "string", "description": "What was wrong, and what to do."},
        "requestId": {"type": "string", "description": "What to tell the operators."},
        "errors": {
            "type": "array",
            "description": "Each parameter that was refused.",
            "items": an_object({name: {"type": "string"} for name in ("in", "name", "detail")}),
        },
    },
    optional=("status", "errors"),
)
"""The schema of a problem, by RFC 9457; a gateway may know less than the function."""
