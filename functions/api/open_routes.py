"""The routes that say whether the function is there, and what it can be asked."""

import functools
import json
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import CLOSED, OPEN, an_object, answer, documented
from functions.api.html_reference import POLICY, render

_OPEN: dict[str, Any] = {"tags": ["documentation"], "openapi_extensions": {"security": []}}


def health() -> APIGatewayRouter:
    """Return the route that needs neither a key nor a database."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]

    @router.get(
        "/health",
        operation_id="health",
        summary="Whether the API answers",
        responses=documented(an_object({"status": {"type": "string", "const": "ok"}}), *OPEN),
        **_OPEN,
    )
    def healthy() -> Response[str]:
        found = answer({"status": "ok"})
        found.headers["Cache-Control"] = "no-store"
        return found

    return router


def documentation(made: Callable[[], dict[str, Any]], below: str | None = None) -> APIGatewayRouter:
    """Return the routes to a document, which is made when it is asked for, once.

    Args:
        made: makes it.
        below: the path of the table that it is of; None for the one that is open to everybody.
    """
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]
    made = functools.cache(made)
    base, of, age = ("", "", "public") if below is None else (below, "Table", "private")
    common: dict[str, Any] = _OPEN if below is None else {"tags": ["documentation"]}
    statuses = OPEN if below is None else (*CLOSED, 404)
    headers: dict[str, str | list[str]] = {"Cache-Control": f"{age}, max-age=300"}

    @router.get(
        f"{base}/openapi.json",
        operation_id=f"document{of}",
        summary="This document" if below is None else "The same of one table, with its columns",
        responses=documented({"type": "object"}, *statuses),
        **common,
    )
    def document() -> Response[str]:
        return Response(200, content_types.APPLICATION_JSON, written(), dict(headers))

    @router.get(
        f"{base}/docs",
        operation_id=f"docs{of}",
        summary="This document, for people" if below is None else "That document, for people",
        responses=documented({"type": "string"}, *statuses, media_type="text/html"),
        **common,
    )
    def docs() -> Response[str]:
        policy = {"Content-Security-Policy": POLICY}
        return Response(200, content_types.TEXT_HTML, page(), headers | policy)

    @functools.cache
    def written() -> str:
        return json.dumps(made(), ensure_ascii=False, separators=(",", ":"))

    @functools.cache
    def page() -> str:
        return render(made())

    return router
