"""The open routes: whether the function is there, and what it can be asked."""

import functools
import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from functions.api.answers import OPEN, an_object, answer, documented
from functions.api.html_reference import POLICY, render

DOCUMENT = Path(__file__).with_name("openapi.json")
"""The committed one: what the function shows, and what the gateway is made of."""

_OPEN: dict[str, Any] = {"tags": ["documentation"], "openapi_extensions": {"security": []}}
_FOR_A_WHILE: dict[str, str | list[str]] = {"Cache-Control": "public, max-age=300"}


def documentation() -> APIGatewayRouter:
    """Return the routes that need neither a key nor a database."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]

    @router.get(
        "/health",
        operation_id="health",
        summary="Whether the API answers",
        responses=documented(an_object({"status": {"type": "string", "const": "ok"}}), *OPEN),
        **_OPEN,
    )
    def health() -> Response[str]:
        found = answer({"status": "ok"})
        found.headers["Cache-Control"] = "no-store"
        return found

    @router.get(
        "/openapi.json",
        operation_id="document",
        summary="This document",
        responses=documented({"type": "object"}, *OPEN),
        **_OPEN,
    )
    def document() -> Response[str]:
        return Response(200, content_types.APPLICATION_JSON, _document(), dict(_FOR_A_WHILE))

    @router.get(
        "/docs",
        operation_id="docs",
        summary="This document, for people",
        responses=documented({"type": "string"}, *OPEN, media_type="text/html"),
        **_OPEN,
    )
    def docs() -> Response[str]:
        headers = _FOR_A_WHILE | {"Content-Security-Policy": POLICY}
        return Response(200, content_types.TEXT_HTML, _page(), headers)

    return router


@functools.cache
def _document() -> str:
    return DOCUMENT.read_text("utf-8")


@functools.cache
def _page() -> str:
    return render(json.loads(_document()))
