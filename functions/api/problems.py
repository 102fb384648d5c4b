"""What goes wrong, as callers are told: `application/problem+json`, by RFC 9457."""

import json
import re
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, ServiceError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from shared.errors import Retryable
from shared.metrics import count_defect
from shared.telemetry import logger

MEDIA_TYPE = "application/problem+json"

COME_AGAIN = 15
"""Seconds: Aurora resumes in 15 to 30."""

# What pydantic says, as part of our sentence.
_OURS = {"Field required": "is missing", "Input should be": "must be", "Value error, ": ""}
_SAID = re.compile("|".join(_OURS))
_PLACES = {"path": "part of the path", "query": "parameter"}


def missing(detail: str) -> ServiceError:
    """Return the error that there is no such thing."""
    return ServiceError(HTTPStatus.NOT_FOUND, detail)


def tell_problems(app: APIGatewayRestResolver, instead: Exception | None = None) -> None:
    """Give `app` an answer to every error; `instead` is that of every request, without routes."""

    @app.not_found
    def no_route(_: NotFoundError) -> Response[str]:
        raise instead or missing("There is no such route: /docs lists them.")

    for error, answer in (
        (RequestValidationError, _refused),
        (ServiceError, _said),
        (Retryable, _come_again),
        (Exception, _defect),
    ):
        app.exception_handler(error)(lambda error, answer=answer: answer(app, error))


def _refused(app: APIGatewayRestResolver, error: RequestValidationError) -> Response[str]:
    errors: list[dict[str, str]] = [
        {
            "in": each["loc"][0],
            "name": str(each["loc"][1]),
            "detail": _SAID.sub(lambda said: _OURS[said[0]], each["msg"]),
        }
        for each in error.errors()
    ]
    said = [f"The {_PLACES[e['in']]} '{e['name']}' {e['detail']}." for e in errors]
    return _problem(app, 400, " ".join(said), errors=errors)


def _said(app: APIGatewayRestResolver, error: ServiceError) -> Response[str]:
    method = app.current_event.http_method
    if error.status_code == HTTPStatus.NOT_FOUND and method != "GET":
        return _problem(app, 405, f"Only GET is answered, not {method}.", {"Allow": "GET"})
    return _problem(app, error.status_code, str(error.msg))


def _come_again(app: APIGatewayRestResolver, error: Retryable) -> Response[str]:
    logger.warning("cannot answer now", extra={"reason": str(error)})
    return _problem(
        app,
        503,
        "The database is waking up, away, or took too long to answer: "
        f"ask again in {COME_AGAIN} seconds.",
        {"Retry-After": str(COME_AGAIN)},
    )


def _defect(app: APIGatewayRestResolver, error: Exception) -> Response[str]:
    logger.error("a defect", exc_info=error)
    count_defect()
    return _problem(app, 500, "Something is broken here. Tell the operators the requestId.")


def _problem(
    app: APIGatewayRestResolver,
    status: int,
    detail: str,
    headers: dict[str, str | list[str]] | None = None,
    **more: Any,
) -> Response[str]:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "requestId": app.current_event.request_context.request_id,
        **more,
    }
    text = json.dumps(body, ensure_ascii=False)
    return Response(status, MEDIA_TYPE, text, {"Cache-Control": "no-store"} | (headers or {}))
