"""Error responses as `application/problem+json` (RFC 9457)."""

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

RETRY_AFTER = 15
"""Seconds. Aurora resumes in 15 to 30."""

# Parts of pydantic's messages, and their replacements.
_REWORDED = {"Field required": "is missing", "Input should be": "must be", "Value error, ": ""}
_PYDANTIC = re.compile("|".join(_REWORDED))
_PLACES = {"path": "part of the path", "query": "parameter"}


def missing(detail: str) -> ServiceError:
    """Return a 404 error."""
    return ServiceError(HTTPStatus.NOT_FOUND, detail)


def handle_errors(app: APIGatewayRestResolver, instead: Exception | None = None) -> None:
    """Register handlers of all errors; an app without routes answers every request by `instead`."""

    @app.not_found
    def no_route(_: NotFoundError) -> Response[str]:
        raise instead or missing("Unknown route. See /docs for all routes.")

    for error, answer in (
        (RequestValidationError, _invalid),
        (ServiceError, _service_error),
        (Retryable, _unavailable),
        (Exception, _defect),
    ):
        app.exception_handler(error)(lambda error, answer=answer: answer(app, error))


def _invalid(app: APIGatewayRestResolver, error: RequestValidationError) -> Response[str]:
    errors: list[dict[str, str]] = [
        {
            "in": each["loc"][0],
            "name": str(each["loc"][1]),
            "detail": _PYDANTIC.sub(lambda part: _REWORDED[part[0]], each["msg"]),
        }
        for each in error.errors()
    ]
    details = [f"The {_PLACES[e['in']]} '{e['name']}' {e['detail']}." for e in errors]
    return _problem(app, 400, " ".join(details), errors=errors)


def _service_error(app: APIGatewayRestResolver, error: ServiceError) -> Response[str]:
    method = app.current_event.http_method
    if error.status_code == HTTPStatus.NOT_FOUND and method != "GET":
        detail = f"Method {method} is not allowed. Use GET."
        return _problem(app, 405, detail, {"Allow": "GET"})
    return _problem(app, error.status_code, str(error.msg))


def _unavailable(app: APIGatewayRestResolver, error: Retryable) -> Response[str]:
    logger.warning("cannot answer now", extra={"reason": str(error)})
    return _problem(
        app,
        503,
        "The database is resuming, unavailable, or took too long to answer. "
        f"Retry in {RETRY_AFTER} seconds.",
        {"Retry-After": str(RETRY_AFTER)},
    )


def _defect(app: APIGatewayRestResolver, error: Exception) -> Response[str]:
    logger.error("a defect", exc_info=error)
    count_defect()
    return _problem(app, 500, "Internal error. Report the requestId to the operators.")


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
