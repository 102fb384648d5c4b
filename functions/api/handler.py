"""Event: an API Gateway request; `/docs` describes the routes.
Answer: JSON or HTML, or an error as `application/problem+json`.
"""

import functools
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.api.application import Application
from functions.api.session import PARAMETERS, Session
from shared.contract_store import deployed, prefetch
from shared.database import Connection, connect
from shared.ingestion_log import IngestionLog
from shared.settings import ApiSettings, read
from shared.telemetry import logged, logger

# Fail early because a caller is waiting.
FAIL_EARLY = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})


def _connect(within: float) -> Connection:
    return connect(read(ApiSettings), within=within, parameters=PARAMETERS)


@functools.cache
def log() -> IngestionLog:
    """Return the ingestion log."""
    tables = boto3.resource("dynamodb", config=FAIL_EARLY)
    return IngestionLog(tables.Table(read(ApiSettings).log_table))


session = Session(_connect)
prefetch(ApiSettings)


@functools.cache
def app() -> Application:
    """Return the application, created at the first request."""
    settings = read(ApiSettings)
    return Application(
        functools.partial(deployed, settings),
        session.run,
        log,
        get_table=settings.get_table,
        origins=settings.cors_origins,
    )


@logged
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the response to a request."""
    # The requestId that callers see; it differs from Lambda's own.
    logger.set_correlation_id(event["requestContext"]["requestId"])
    logger.append_keys(contracts=read(ApiSettings).contracts_hash)
    return app().resolve(event, context)
