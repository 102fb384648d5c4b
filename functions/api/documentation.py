"""The open routes: whether the function is there, and what it can be asked."""

import functools
import json

from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.event_handler.api_gateway import Router

from functions.api.answers import OPEN, an_object, answer, documented
from functions.api.document import DOCUMENT
from functions.api.page import POLICY, render

_OPEN = {"tags": ["documentation"], "openapi_extensions": {"security": []}}
_FOR_A_WHILE = {"Cache-Control": "public, max-age=300"}


def documentation() -> Router:
    """Return the routes that need neither a key nor a database."""
    router = Router()

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
        headers = {"Content-Security-Policy": POLICY, **_FOR_A_WHILE}
        return Response(200, content_types.TEXT_HTML, _page(), headers)

    return router


@functools.cache
def _document() -> str:
    return DOCUMENT.read_text("utf-8")


@functools.cache
def _page() -> str:
    return render(json.loads(_document()))
