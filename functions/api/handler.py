"""Takes a request of API Gateway: `GET /get?<key>=VALUE[&limit=N][&cursor=NEXT]`.
Returns its answer: `{response: [{<field>: value, …}, …], next: cursor or null}`, by a contract.
"""

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.logging.correlation_paths import API_GATEWAY_REST
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.pages import page
from functions.api.query import Query
from functions.api.session import PARAMETERS, Session
from functions.api.view import View
from shared.database import Connection, connect
from shared.errors import DatabaseUnavailable
from shared.odcs import load_all
from shared.settings import ApiSettings, read
from shared.telemetry import logger

COME_AGAIN = 15
"""Seconds: Aurora resumes in 15 to 30."""


def _connect(within: float) -> Connection:
    return connect(read(ApiSettings), within=within, parameters=PARAMETERS)


app = APIGatewayRestResolver()
session = Session(_connect)


@app.get("/get")
def get() -> dict[str, Any]:
    """Answer with one page of the rows that the contract lets be looked up."""
    view = View.of(load_all().values())
    query = Query.parse(app.current_event.query_string_parameters, view)
    answer = page(session.run, view, query)
    logger.info("looked up", extra={"rows": len(answer["response"])})
    return answer


@app.exception_handler(DatabaseUnavailable)  # type: ignore[untyped-decorator]
def come_again(error: DatabaseUnavailable) -> Response[str]:
    """Tell the caller when to ask again."""
    logger.warning("the database is away", extra={"reason": str(error)})
    message = f"The database is waking up or away: ask again in {COME_AGAIN} seconds."
    body = json.dumps({"statusCode": 503, "message": message})
    return Response(503, content_types.APPLICATION_JSON, body, {"Retry-After": str(COME_AGAIN)})


@logger.inject_lambda_context(correlation_id_path=API_GATEWAY_REST, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return app.resolve(event, context)
