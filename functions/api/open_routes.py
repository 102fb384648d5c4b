"""Routes to the health check and to the documentation."""

import functools
import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.html_reference import POLICY, render
from functions.api.responses import (
    CLOSED,
    OPEN,
    json_response,
    new_router,
    object_schema,
    openapi_responses,
)

_OPEN: dict[str, Any] = {"tags": ["documentation"], "openapi_extensions": {"security": []}}


def health() -> APIGatewayRouter:
    """Return the health check, which needs no key and no database."""
    router = new_router()

    @router.get(
        "/health",
        operation_id="health",
        summary="Check whether the API answers",
        responses=openapi_responses(
            object_schema({"status": {"type": "string", "const": "ok"}}), *OPEN
        ),
        **_OPEN,
    )
    def healthy() -> Response[str]:
        response = json_response({"status": "ok"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return router


def documentation(make: Callable[[], dict[str, Any]], below: str | None = None) -> APIGatewayRouter:
    """Return the routes to an OpenAPI document and its HTML page.

    `make` is called once, at the first request. `below` is the path of the document's table; None
    for the public document.
    """
    router = new_router()
    make = functools.cache(make)
    base, of, cache = ("", "", "public") if below is None else (below, "Table", "private")
    common: dict[str, Any] = _OPEN if below is None else {"tags": ["documentation"]}
    statuses = OPEN if below is None else (*CLOSED, 404)
    headers: dict[str, str | list[str]] = {"Cache-Control": f"{cache}, max-age=300"}

    @router.get(
        f"{base}/openapi.json",
        operation_id=f"document{of}",
        summary="Get this document" if below is None else "Get the document of one table",
        responses=openapi_responses({"type": "object"}, *statuses),
        **common,
    )
    def document() -> Response[str]:
        return Response(200, content_types.APPLICATION_JSON, written(), dict(headers))

    @router.get(
        f"{base}/docs",
        operation_id=f"docs{of}",
        summary="Read this document" if below is None else "Read the document of one table",
        responses=openapi_responses({"type": "string"}, *statuses, media_type="text/html"),
        **common,
    )
    def docs() -> Response[str]:
        policy = {"Content-Security-Policy": POLICY}
        return Response(200, content_types.TEXT_HTML, page(), headers | policy)

    @functools.cache
    def written() -> str:
        return json.dumps(make(), ensure_ascii=False, separators=(",", ":"))

    @functools.cache
    def page() -> str:
        return render(make())

    return router
