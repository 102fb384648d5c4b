"""The application: all routes, and what they stand on."""

import functools
import hashlib
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig

from functions.api.freshness import Freshness
from functions.api.ingestions import ingestions
from functions.api.lookups import lookups, nothing_to_look_up
from functions.api.open_routes import DOCUMENT, documentation
from functions.api.pagination import Pages, RunStatement
from functions.api.problems import tell_problems
from functions.api.view import View
from shared.ingestion_log import IngestionLog

_WRITTEN_IN_PATHS = "%/:@!$&'()*+,;=~"
"""What need not be encoded there, besides letters, digits and `_.-`; and what encodes the rest."""


def application(
    view: View | None,
    run: RunStatement,
    log: Callable[[], IngestionLog],
    origins: Collection[str] = (),
) -> APIGatewayRestResolver:
    """Return the application.

    Args:
        view: what is looked up; None if nothing is.
        run: executes a statement of PostgreSQL.
        log: returns the log of ingestions.
        origins: those whose pages in browsers may ask it.
    """
    app = APIGatewayRestResolver(enable_validation=True, cors=_cors(sorted(origins)))
    tell_problems(app)
    if view is None:
        app.include_router(nothing_to_look_up())
    else:
        app.include_router(lookups(view, Pages(view, run), Freshness(log, _edition())))
    app.include_router(ingestions(log))
    app.include_router(documentation())
    return app


def encoded(event: dict[str, Any]) -> dict[str, Any]:
    """Return a request whose path is percent-encoded, as API Gateway leaves it on AWS.

    Others decode it, and then the routes would not know it again.
    """
    return event | {"path": quote(event["path"], safe=_WRITTEN_IN_PATHS)}


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    first, *others = origins
    return CORSConfig(
        first,
        others,
        allow_headers=["If-None-Match", "X-Amz-Content-Sha256"],
        expose_headers=["ETag", "Retry-After"],
        max_age=600,
    )


@functools.cache
def _edition() -> str:
    # It is drawn up from the contract and from the routes, so it changes with either.
    return hashlib.sha256(DOCUMENT.read_bytes()).hexdigest()
